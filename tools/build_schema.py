#!/usr/bin/env python3
"""Pack the published Kubernetes API definitions into `src/mizzen/_schema/`, from the installed kubernetes-validate.

`schema.json.gz` holds every definition without prose, `descriptions.json.gz` the prose apart (OpenAPI alone needs it).
"""

import gzip
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "mizzen" / "_schema"
_REFERENCE = "#/$defs/"

# The published JSON Schema spells these as unions; OpenAPI has one form for each.
_SPECIAL: dict[str, dict[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string", "format": "quantity"},
}


def newest_definitions() -> Path:
    """The definitions file of the newest API version that the installed package holds."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        sys.exit("kubernetes-validate is not installed: pip install -r requirements/build.txt")
    folders = Path(spec.origin).parent.glob("kubernetes-json-schema/v*-local")
    newest = max(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.name)])
    return newest / "_definitions.json"


def packed(node: Any) -> Any:
    """A schema node without prose and without the `null` alternative that JSON Schema adds to optional fields."""
    if isinstance(node, list):
        return [packed(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: packed(inner) for name, inner in value.items()}
        elif key == "type" and isinstance(value, list):
            out[key] = next(each for each in value if each != "null")
        elif key == "$ref":
            out[key] = value.removeprefix(_REFERENCE)
        elif key not in {"description", "enum"}:
            out[key] = packed(value)
    return out


def prose(definition: dict[str, Any]) -> list[Any]:
    """`[description, {property: description}]` of one definition."""
    properties = definition.get("properties", {})
    described = {name: inner["description"] for name, inner in properties.items() if "description" in inner}
    return [definition.get("description", ""), described]


def build(target: Path = TARGET) -> None:
    definitions = json.loads(newest_definitions().read_text())["$defs"]
    schema = {name: _SPECIAL.get(name) or packed(definition) for name, definition in definitions.items()}
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "schema.json.gz", schema)
    _write(target / "descriptions.json.gz", {name: prose(definition) for name, definition in definitions.items()})


def _write(path: Path, value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
    path.write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    build()
    for file in sorted(TARGET.iterdir()):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size} bytes")
