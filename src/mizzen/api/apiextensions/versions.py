"""Versions of a custom kind: schemas, columns, subresources and selectable fields.

What all versions have alike is reported once, at the place where it stood before versions had their own.
"""

from collections.abc import Callable, Iterator
from typing import Any

from mizzen.api.rules import fields
from mizzen.machinery import dialect, jsonpath, names, structural
from mizzen.machinery.cel import rules
from mizzen.machinery.errors import Cause, FieldError, Object, duplicate, forbidden, invalid, required

COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
WARNING_LIMIT = 256
SELECTABLE_LIMIT = 8
_PLAIN_FIELDS = (
    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
)
_SIMPLE = "must be a simple json path starting with ."
Check = Callable[[str, Any], Iterator[FieldError]]


def errors(spec: Object, old: Object | None = None) -> Iterator[FieldError]:
    """What is wrong with the versions of a definition; schemas that stay as they are stored are not looked at again."""
    entries: list[Object] = spec.get("versions") or []
    for i, version in enumerate(entries):
        path = f"spec.versions[{i}]"
        yield from fields.joined(f"{path}.name", version.get("name") or "", names.dns1035_label)
        yield from _deprecation_errors(path, version)
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"{path}.schema.openAPIV3Schema")
    if entries and entries[0].get("name"):
        yield from fields.joined("spec.version", entries[0].get("name") or "", names.dns1035_label)
    given = [version.get("name") for version in entries] or None
    if len({version.get("name") for version in entries}) != len(entries):
        yield invalid("spec.versions", given, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in entries) != 1:
        yield invalid("spec.versions", given, "must have exactly one version marked as storage version")
    before = [version.get("schema") for version in (old or {}).get("versions") or ()]
    if old is None or [version.get("schema") for version in entries] != before:
        yield from _each(entries, "schema", "validation", _schema_errors)
    yield from _status_errors(entries)
    yield from _each(entries, "subresources", "subresources", _subresource_errors)
    yield from _each(entries, "additionalPrinterColumns", "additionalPrinterColumns", _column_errors)
    yield from _selectables_errors(entries)


def _each(entries: list[Object], field: str, shared: str, check: Check) -> Iterator[FieldError]:
    values = [version.get(field) for version in entries]
    if values and all(value == values[0] for value in values):
        if values[0]:
            yield from check(f"spec.{shared}", values[0])
        return
    for i, value in enumerate(values):
        if value:
            yield from check(f"spec.versions[{i}].{field}", value)


def _status_errors(entries: list[Object]) -> Iterator[FieldError]:
    """What the schema of a version with a status subresource may not say, reported where its other errors stand."""
    schemas = [version.get("schema") for version in entries]
    shared = bool(schemas) and all(schema == schemas[0] for schema in schemas)
    for i, version in enumerate(entries[:1] if shared else entries):
        source = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        if (version.get("subresources") or {}).get("status") is not None:
            path = "spec.validation" if shared else f"spec.versions[{i}].schema"
            yield from dialect.check_with_status(source, f"{path}.openAPIV3Schema")


def _deprecation_errors(path: str, version: Object) -> Iterator[FieldError]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    if not version.get("deprecated"):
        yield invalid(f"{path}.deprecationWarning", warning, "can only be set for deprecated versions")
        return
    if not warning:
        yield invalid(f"{path}.deprecationWarning", warning, "must not be an empty string")
    elif len(warning.encode()) > WARNING_LIMIT:
        yield invalid(f"{path}.deprecationWarning", warning, f"must be <= {WARNING_LIMIT} characters long")
    if warning and not warning.isprintable():
        yield invalid(f"{path}.deprecationWarning", warning, "must only contain printable UTF-8 characters")


def _schema_errors(path: str, schema: Object) -> Iterator[FieldError]:
    source = schema.get("openAPIV3Schema")
    if source is None:
        return
    where = f"{path}.openAPIV3Schema"
    if source.get("nullable"):
        yield forbidden(f"{where}.nullable", "nullable cannot be true at the root")
    unsound = list(structural.check(source, where))
    if dialect.is_convertible(source):
        unsound += rules.check_wording(structural.build(source), where)
    yield from unsound
    if not unsound:
        yield from rules.check_rules(structural.build(source), where)


def _subresource_errors(path: str, subresources: Object) -> Iterator[FieldError]:
    scale = subresources.get("scale")
    if scale is None:
        return
    for field, roots in (("specReplicasPath", (".spec",)), ("statusReplicasPath", (".status",))):
        if not scale.get(field):
            yield required(f"{path}.scale.{field}")
        else:
            yield from _replica_path_errors(f"{path}.scale.{field}", scale[field], roots)
    if scale.get("labelSelectorPath"):
        where = f"{path}.scale.labelSelectorPath"
        yield from _replica_path_errors(where, scale["labelSelectorPath"], (".spec", ".status"))


def _replica_path_errors(path: str, text: str, roots: tuple[str, ...]) -> Iterator[FieldError]:
    problem = _path_problem(text)
    if problem:
        yield invalid(path, text, problem)
    elif "[" in text:
        yield invalid(path, text, "must be a simple json path without array notation")
    elif not any(text.startswith(f"{root}.") for root in roots):
        under = roots[0] if len(roots) == 1 else f"either {' or '.join(roots)}"
        yield invalid(path, text, f"should be a json path under {under}")


def _path_problem(text: str) -> str:
    if not text.startswith("."):
        return _SIMPLE
    try:
        jsonpath.parse(text)
    except ValueError as failure:
        return f"is an invalid path: {failure}"
    return ""


def _column_errors(path: str, columns: list[Object]) -> Iterator[FieldError]:
    for i, column in enumerate(columns):
        where, type_, text = f"{path}[{i}]", column.get("type"), column.get("jsonPath") or ""
        yield from fields.required_text(f"{where}.name", column.get("name"))
        allowed = f"must be one of {','.join(COLUMN_TYPES)}"
        if not type_:
            yield required(f"{where}.type", allowed)
        elif type_ not in COLUMN_TYPES:
            yield invalid(f"{where}.type", type_, allowed)
        if column.get("format") and column["format"] not in COLUMN_FORMATS:
            yield invalid(f"{where}.format", column["format"], f"must be one of {','.join(COLUMN_FORMATS)}")
        if not text:
            yield required(f"{where}.JSONPath")
        elif not text.startswith("."):
            yield invalid(f"{where}.JSONPath", text, _SIMPLE)


def _selectables_errors(entries: list[Object]) -> Iterator[FieldError]:
    """Like all else that versions have alike they are told of once, and of the schema of the first."""
    values = [version.get("selectableFields") for version in entries]
    if values and all(value == values[0] for value in values):
        yield from _selectable_errors("spec.selectableFields", entries[0])
        return
    for i, version in enumerate(entries):
        yield from _selectable_errors(f"spec.versions[{i}].selectableFields", version)


def _selectable_errors(path: str, version: Object) -> Iterator[FieldError]:
    selectable = version.get("selectableFields") or ()
    source = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    seen: set[str] = set()
    for i, entry in enumerate(selectable):
        where, text = f"{path}[{i}].jsonPath", entry.get("jsonPath") or ""
        if not text:
            yield required(where)
            continue
        problem = _path_problem(text) or _unselectable(source, text)
        if problem:
            yield invalid(where, text, problem)
        if text in seen:
            yield duplicate(where, text)
        seen.add(text)
    if len(seen) > SELECTABLE_LIMIT:
        yield FieldError(Cause.TOO_MANY, path, len(seen), f"must have at most {SELECTABLE_LIMIT} items")


def _unselectable(source: Object, text: str) -> str:
    """What keeps a path from leading to one plain value of the schema."""
    if "[" in text:
        return "is an invalid path: array notation is not allowed"
    node: Object | None = source
    for step in text.split(".")[1:]:
        if not step and text.endswith("."):
            return "is an invalid path: unexpected end of JSON path"
        node = ((node or {}).get("properties") or {}).get(step)
        if node is None:
            return "is an invalid path: does not refer to a valid field"
    if (node or {}).get("type") not in {"string", "integer", "boolean"}:
        return _PLAIN_FIELDS
    return "must not point to fields in metadata" if text.startswith(".metadata.") else ""
