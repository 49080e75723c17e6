"""Server-side apply: the patch is what one manager wants to own.

Ref: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Callable
from typing import Any

from mizzen.machinery import decode
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.patch.apply import apply
from mizzen.machinery.schema import Schema
from mizzen.server import bodies
from mizzen.server.call import Write
from mizzen.server.managers import writer_of


class Applied:
    """An apply patch; it creates what is absent."""

    creates = True

    def __init__(self, write: Write, patch: Any, problems: list[str], schema: Schema, now: Callable[[], float]) -> None:
        kind = write.kind
        if not isinstance(patch, dict):
            patch = {}
        stated = (patch.get("apiVersion") or "", patch.get("kind") or "")
        if stated != (kind.api_version, kind.kind):
            group, _, version = str(stated[0]).rpartition("/")
            raise Errors.bad_request(f"invalid object type: {group}/{version}, Kind={stated[1]}")
        if problems and write.options.validation == "Strict":
            why = decode.yaml_error(problems)
            raise Errors.bad_request(f"error strict decoding YAML: error converting YAML to JSON: {why}")
        write.applied = True
        write.warnings += problems if write.options.validation == "Warn" else []
        self._write = write
        self.patch: Object = patch
        self._schema = schema
        self._now = now

    def __call__(self, old: Object | None) -> Object:
        """The object with the applied fields. Raises ApiError 400, 409."""
        write = self._write
        patch = {**self.patch, "metadata": {**(self.patch.get("metadata") or {})}}
        name = patch["metadata"].setdefault("name", write.name)
        if name != write.name:
            raise Errors.bad_request(
                f"the name of the object ({name}) does not match the name on the URL ({write.name})"
            )
        if write.kind.namespaced:
            patch["metadata"].setdefault("namespace", write.namespace)
        if old is None and (uid := patch["metadata"].get("uid")):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise Errors.conflict(write.kind.group, write.kind.plural, write.name, why)
        writer = writer_of(write, self._now())
        applied = apply(old, patch, writer, self._schema, force=bool(write.options.force))
        applied["metadata"].setdefault("name", write.name)
        try:
            checked, _ = bodies.checked_types(applied, self._schema, typed=write.served.builtin)
        except decode.DecodeError as error:
            raise Errors.bad_request(str(error)) from None
        return checked
