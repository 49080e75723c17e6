"""`metadata.managedFields`: read, changed by an update, written back in the original's order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mizzen.machinery.errors import Object
from mizzen.machinery.patch.apply import sets, walk
from mizzen.machinery.patch.apply.sets import Fields
from mizzen.machinery.schema import DEDUCED, Form, Schema

APPLY = "Apply"
UPDATE = "Update"
_MAX_UPDATERS = 10
_ANCIENT = "ancient-changes"


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, as what, and when (`now` is an RFC 3339 time)."""

    manager: str
    api_version: str
    now: str
    subresource: str = ""
    reset: Fields = field(default_factory=dict)
    """Trees of fields that this endpoint does not write, and so gives no ownership of: `{"f:status": {}}`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one manager owns through one operation."""

    manager: str
    operation: str
    api_version: str
    fields: Fields
    time: str = ""
    subresource: str = ""

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes two entries one; an applier keeps its entry when it changes versions."""
        version = "" if self.operation == APPLY else self.api_version
        return self.manager, self.operation, version, self.subresource

    def to_object(self) -> Object:
        out: Object = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        if self.time:
            out["time"] = self.time
        out["fieldsType"] = "FieldsV1"
        out["fieldsV1"] = self.fields
        if self.subresource:
            out["subresource"] = self.subresource
        return out


Entries = dict[tuple[str, str, str, str], Entry]


def read(managed: Any) -> Entries | None:
    """The entries of a `managedFields` list that a client sends, or None when it is malformed."""
    for each in managed or ():
        if each.get("operation") not in {APPLY, UPDATE} or each.get("fieldsType") != "FieldsV1":
            return None
        if not each.get("apiVersion") or not sets.is_valid(each.get("fieldsV1") or {}):
            return None
    return stored(managed)


def stored(managed: Any) -> Entries:
    """The entries of a `managedFields` list that was written here, and so is well formed."""
    entries: Entries = {}
    for each in managed or ():
        fields = each.get("fieldsV1") or {}
        entry = Entry(
            each.get("manager", ""),
            each["operation"],
            each["apiVersion"],
            fields,
            each.get("time") or "",
            each.get("subresource", ""),
        )
        known = entries.get(entry.identity)
        entries[entry.identity] = entry if known is None else replace(entry, fields=sets.union(known.fields, fields))
    return entries


def write(entries: Mapping[tuple[str, str, str, str], Entry]) -> list[Object]:
    """The `managedFields` list: appliers first, then by time and name."""
    if len(entries) == 1:
        return [entry.to_object() for entry in entries.values()]
    ordered = sorted(
        entries.values(),
        key=lambda entry: (entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource),
    )
    return [entry.to_object() for entry in ordered]


def record_create(new: Object, writer: Writer, schema: Schema) -> list[Object]:
    """The `managedFields` of an object that is being created."""
    fields = walk.created(new, schema)
    if writer.reset:
        fields = sets.without_trees(fields, writer.reset)
    if not fields:
        return []
    entry = Entry(writer.manager, UPDATE, writer.api_version, fields, writer.now, writer.subresource)
    return [entry.to_object()]


def record_update(live: Object | None, new: Object, writer: Writer, schema: Schema) -> list[Object]:
    """The `managedFields` after an update: the writer owns what changed, nobody what vanished.

    Entries that the client sends along replace the live ones when they are well formed; `[]` or `[{}]` clears them.
    An object without entries stays without, until somebody applies: who wrote what so far is not known.
    """
    if live is None:
        return record_create(new, writer, schema)
    entries = with_wholes(_given_or_live(live, new, writer.subresource), schema)
    if not entries:
        return []
    changed, removed = walk.compare(live, new, schema)
    if writer.reset:
        changed = sets.without_trees(changed, writer.reset)
        removed = sets.without_trees(removed, writer.reset)
    if changed or removed:
        entries = without(entries, changed, removed)
    if changed:
        entry = Entry(writer.manager, UPDATE, writer.api_version, changed, writer.now, writer.subresource)
        known = entries.get(entry.identity)
        if known is not None:
            entry = replace(entry, fields=sets.union(known.fields, changed))
        entries[entry.identity] = entry
        entries = _capped(entries)
    return write(entries)


def _given_or_live(live: Object, new: Object, subresource: str) -> Entries:
    before = live["metadata"].get("managedFields")
    given = (new.get("metadata") or {}).get("managedFields")
    if subresource or given is None or given is before:
        return stored(before)
    if given in ([], [{}]):
        return {}
    return read(given) or stored(before)


def with_wholes(entries: Entries, schema: Schema) -> Entries:
    """The entries by the schema of now: who owned parts of what has become indivisible owns it as a whole.

    Only the schemas of custom resources change.
    """
    if schema.type_name != "object":
        return entries
    return {identity: replace(entry, fields=_wholes(entry.fields, schema)) for identity, entry in entries.items()}


def _wholes(fields: Fields, schema: Schema) -> Fields:
    out: dict[str, Any] = {}
    for step, node in fields.items():
        if step == sets.SELF or not node:
            out[step] = node
            continue
        inner = walk.child(schema, step[2:]) if step.startswith("f:") else (schema.items or DEDUCED)
        is_whole = inner.atomic or (inner.form is Form.LIST and inner.list_type == "atomic")
        out[step] = sets.EMPTY if is_whole else _wholes(node, inner)
    return out


def without(entries: Entries, changed: Fields, removed: Fields) -> Entries:
    """The entries minus what somebody else has just changed or removed; those left with nothing are gone."""
    touched = sets.union(changed, removed)
    kept: Entries = {}
    for identity, entry in entries.items():
        if not sets.overlap(entry.fields, touched):
            kept[identity] = entry
            continue
        fields = sets.difference(entry.fields, touched)
        if fields:
            kept[identity] = replace(entry, fields=fields)
    return kept


def _capped(entries: Entries) -> Entries:
    """At most ten updaters: the oldest ones of a version are merged into one."""
    updaters = sorted(
        (entry for entry in entries.values() if entry.operation == UPDATE and not entry.subresource),
        key=lambda entry: (entry.time, entry.manager),
    )
    excess = len(updaters) - _MAX_UPDATERS
    if excess <= 0:
        return entries
    out = dict(entries)
    for entry in updaters[: excess + 1]:
        del out[entry.identity]
        ancient = replace(entry, manager=_ANCIENT)
        known = out.get(ancient.identity)
        if known is not None:
            ancient = replace(ancient, fields=sets.union(known.fields, ancient.fields))
        out[ancient.identity] = ancient
    return out
