"""Apply: merge a configuration into the live object, take out what its manager gave up, refuse conflicts."""

import orjson

from mizzen.machinery import decode
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.machinery.patch.apply import combine, lastapplied, sets, typed, walk
from mizzen.machinery.patch.apply.entries import (
    APPLY,
    UPDATE,
    Entries,
    Entry,
    Writer,
    stored,
    with_wholes,
    without,
    write,
)
from mizzen.machinery.patch.apply.sets import EMPTY, Fields
from mizzen.machinery.schema import Form, Schema

_BEFORE = "before-first-apply"


def apply(live: Object | None, applied: Object, writer: Writer, schema: Schema, *, force: bool = False) -> Object:
    """The object after an apply, `metadata.managedFields` included; equal to `live` when nothing changed.

    Raises: ApiError 409 with a cause for each conflict, 400 for a configuration that does not fit the schema.
    """
    if (applied.get("metadata") or {}).get("managedFields") is not None:
        raise Errors.bad_request("metadata.managedFields must be nil")
    check(applied, schema)
    before = _bare(live) if live is not None else {}
    entries = _entries(live, before, writer, schema)
    wanted = walk.owned_root(sets.without_trees(walk.named(applied, schema), writer.reset))
    mine = Entry(writer.manager, APPLY, writer.api_version, wanted, writer.now, writer.subresource)
    last = entries.pop(mine.identity, None)
    merged = combine.merge(before, applied, schema)
    owned = wanted
    for entry in entries.values():
        owned = sets.union(owned, entry.fields)
    merged = combine.prune(merged, last.fields if last is not None else EMPTY, owned, schema)
    changed, removed = walk.compare(before, merged, schema)
    if not force:
        contested = sets.difference(changed, lastapplied.conceded(before, writer.manager, schema))
        _refuse_conflicts(entries, contested)
    entries = without(entries, changed, removed)
    unchanged = not changed and not removed
    if unchanged:
        # Another order of the same list items is no change.
        merged = {**before, "metadata": merged.get("metadata")}
    if wanted:
        entries[mine.identity] = _timed(mine, last, unchanged)
    return _with_entries(lastapplied.noted(merged, applied, writer.manager), entries, applied)


def _timed(mine: Entry, last: Entry | None, unchanged: bool) -> Entry:
    """An apply that changes no value leaves the time alone; a new owner of equal values gets none."""
    if not unchanged:
        return mine
    time = last.time if last is not None else ""
    return Entry(mine.manager, mine.operation, mine.api_version, mine.fields, time, mine.subresource)


def _bare(live: Object) -> Object:
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    return {**live, "metadata": metadata}


def _with_entries(merged: Object, entries: Entries, applied: Object) -> Object:
    metadata = dict(merged.get("metadata") or {})
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = write(entries)
    return {**merged, "apiVersion": applied["apiVersion"], "kind": applied["kind"], "metadata": metadata}


def _entries(live: Object | None, before: Object, writer: Writer, schema: Schema) -> Entries:
    """Who owns what now. All of an object that was never tracked belongs to "before-first-apply"."""
    if live is None:
        return {}
    entries = with_wholes(stored(live["metadata"].get("managedFields")), schema)
    if entries:
        return entries
    everything = walk.created(before, schema)
    entry = Entry(_BEFORE, UPDATE, writer.api_version, everything, writer.now)
    return {entry.identity: entry} if everything else {}


def check(applied: Object, schema: Schema) -> None:
    """The configuration has only declared fields, of their types, and proper list items. Raises: ApiError 400."""
    if schema.form is not Form.STRUCT:
        return
    try:
        _, problems = decode.normalise_strictly(orjson.loads(orjson.dumps(applied)), schema)
    except decode.DecodeError as error:
        raise _untyped(applied, typed.told(applied, schema) or str(error)) from None
    if problems:
        path = problems[0].removeprefix('unknown field "').removesuffix('"')
        raise _untyped(applied, typed.told(applied, schema) or f".{path}: field not declared in schema")
    try:
        combine.check_lists(applied, schema)
    except ApiError as error:
        raise _untyped(applied, typed.told(applied, schema) or error.message) from None


def _untyped(applied: Object, why: str) -> ApiError:
    metadata = applied.get("metadata") or {}
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    group, _, version = applied.get("apiVersion", "").rpartition("/")
    kind = f"{group}/{version}, Kind={applied.get('kind', '')}"
    return Errors.bad_request(f"failed to create typed patch object ({name}; {kind}): {why}")


def _refuse_conflicts(entries: Entries, changed: Fields) -> None:
    conflicts = [
        (_shown(entry), path)
        for entry in sorted(entries.values(), key=lambda entry: (entry.manager, entry.operation))
        for path in sets.paths(sets.intersection(entry.fields, changed))
    ]
    if conflicts:
        raise _conflict(conflicts)


def _shown(entry: Entry) -> str:
    text = orjson.dumps(entry.manager).decode()
    if entry.subresource:
        text = f"{text} with subresource {orjson.dumps(entry.subresource).decode()}"
    return f"{text} using {entry.api_version}" if entry.operation == UPDATE else text


def _conflict(conflicts: list[tuple[str, str]]) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": path}
        for owner, path in conflicts
    ]
    if len(conflicts) == 1:
        owner, path = conflicts[0]
        text = f"Apply failed with 1 conflict: conflict with {owner}: {path}"
    else:
        text = f"Apply failed with {len(conflicts)} conflicts: "
        parts = []
        for owner in dict.fromkeys(owner for owner, _ in conflicts):
            parts.append(f"conflicts with {owner}:")
            parts += [f"- {path}" for other, path in conflicts if other == owner]
        text += "\n".join(parts)
    return ApiError(409, "Conflict", text, {"causes": causes})
