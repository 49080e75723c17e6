"""Who owns which field: the record in metadata.managedFields, kept with every write.

Ref: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from functools import cache
from typing import Any, Final

from mizzen.machinery.errors import Object
from mizzen.machinery.patch.apply import Writer, record_create, record_update
from mizzen.server.bodies import schema_of_served
from mizzen.server.call import Write
from mizzen.server.metadata import timestamp

_MANAGER_LIMIT: Final = 128
_UNNAMED: Final = "unknown"
_STATUS: Final[dict[str, Any]] = {"f:status": {}}
_CUSTOM_BUT_STATUS: Final[dict[str, Any]] = {"f:spec": {}, "f:metadata": {}}
_NOTHING: Final[dict[str, Any]] = {}


class Managers:
    """Records managers of built-in kinds and custom resources."""

    def updated(self, write: Write, obj: Object, old: Object | None, now: float) -> None:
        """Record what a create, update or patch other than apply changed."""
        if write.applied:
            return
        meta = obj["metadata"]
        if _is_untracked(write):
            kept = None if old is None else old["metadata"].get("managedFields")
            _set(meta, kept)
            return
        schema, writer = schema_of_served(write.served), writer_of(write, now)
        if old is None:
            _set(meta, record_create(obj, writer, schema))
        else:
            _set(meta, record_update(old, obj, writer, schema))

    def unchanged(self, obj: Object, old: Object) -> bool:
        """Whether a write would store what is stored already, but for times in the record."""
        if obj == old:
            return True
        new_record, old_record = _record(obj), _record(old)
        if new_record == old_record or _untimed(new_record) != _untimed(old_record):
            return False
        return _bare(obj) == _bare(old)


def writer_of(write: Write, now: float) -> Writer:
    """The manager of a write: as the client names it, or the first word of its User-Agent."""
    kind = write.kind
    manager = write.options.manager or write.agent.partition("/")[0] or _UNNAMED
    reset = _NOTHING
    if write.subresource == "status":
        reset = _all_but_status(kind.status_leaves) if write.served.builtin else _CUSTOM_BUT_STATUS
    elif kind.has_status and not write.subresource:
        reset = _STATUS
    # What is owned through scale is recorded without a time.
    time = "" if write.subresource == "scale" else timestamp(int(now))
    return Writer(manager[:_MANAGER_LIMIT], kind.api_version, time, write.subresource, reset)


@cache
def _all_but_status(left: tuple[str, ...]) -> dict[str, Any]:
    """What nobody comes to own through the status of a built-in kind, which leaves this of the metadata alone."""
    return {"f:spec": {}, "f:metadata": {f"f:{name}": {} for name in left}} if left else {"f:spec": {}}


def _is_untracked(write: Write) -> bool:
    """Subresources that carry another kind's object change fields in nobody's name; scale is known by its own."""
    if write.subresource in ("", "status", "scale"):
        return False
    return any(sub.name == write.subresource and sub.kind != write.kind.kind for sub in write.kind.subresources)


def _set(meta: Object, record: Any) -> None:
    if record:
        meta["managedFields"] = record
    else:
        meta.pop("managedFields", None)


def _record(obj: Object) -> Any:
    return obj["metadata"].get("managedFields") or []


def _untimed(record: Any) -> list[Object]:
    return [{key: value for key, value in entry.items() if key != "time"} for entry in record]


def _bare(obj: Object) -> Object:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}
