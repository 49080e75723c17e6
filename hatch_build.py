"""Build hook: pack the API schema and its wire format before a wheel or an editable install is made."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SchemaHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for name in ("build_schema.py", "build_protobuf.py"):
            runpy.run_path(str(Path(self.root) / "tools" / name))["build"]()
