"""A version of a CustomResourceDefinition as a kind to serve: schema, hooks, columns and subresources at run time.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from mizzen.api.kind import Column, Default, Kind, Scale, Table, Validate
from mizzen.machinery import jsonpath, structural, times, values
from mizzen.machinery.cel import rules
from mizzen.machinery.cel.timing import limited
from mizzen.machinery.errors import Cause, FieldError, Object, invalid
from mizzen.machinery.schema import Schema
from mizzen.server.admission.matching import CEL_SECONDS
from mizzen.server.admission.webhooks.call import Caller
from mizzen.server.crd.conversion import WebhookConverter
from mizzen.server.served import Served

_NAME: Final = Column("Name", format="name", description="The object's name.")
_AGE: Final = Column("Age", type="date", description="Time since the object was made.")
_AGE_PATH: Final = ".metadata.creationTimestamp"
_UNCHECKED: Final = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_UNREADABLE: Final = frozenset(
    (Cause.NOT_SUPPORTED, Cause.REQUIRED, Cause.TOO_LONG, Cause.TOO_MANY, Cause.TYPE_INVALID)
)
"""What keeps rules from being asked of an object: they rely on types and bounds, not on other constraints."""
_WHOLE: Final = "<nil>"


@dataclass(frozen=True, slots=True)
class Stored:
    """The version that objects of a definition are written as."""

    prefix: str
    """The key segment of the store."""
    api_version: str
    source: Object
    schema: Schema
    by_webhook: bool
    """Whether objects that are stored in other versions are turned into this one by a webhook."""

    def coerce(self, obj: Object) -> None:
        """Prune and default an object in place."""
        structural.coerce(obj, self.schema)


def stored_version(definition: Object) -> Stored:
    """How a definition's objects are stored from now on."""
    spec = definition["spec"]
    version = next((one for one in spec["versions"] if one.get("storage")), spec["versions"][0])
    source = _source(version)
    by_webhook = (spec.get("conversion") or {}).get("strategy") == "Webhook"
    prefix = f"{spec['group']}/{spec['names']['plural']}"
    return Stored(prefix, f"{spec['group']}/{version['name']}", source, structural.build(source), by_webhook)


def served_versions(definition: Object, caller: Caller) -> Iterator[Served]:
    """What a definition makes the server serve."""
    stored = stored_version(definition)
    for version in definition["spec"]["versions"]:
        if version.get("served"):
            yield _served(definition, version, stored, caller)


def stored_kind(definition: Object, caller: Caller) -> Kind:
    """The kind of a definition's objects as they are stored, served or not."""
    stored = stored_version(definition)
    versions = definition["spec"]["versions"]
    version = next((one for one in versions if one.get("storage")), versions[0])
    return _served(definition, version, stored, caller).kind


def _source(version: Object) -> Object:
    source: Object = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
    return source


def _converter(
    definition: Object, api_version: str, schema: Schema, stored: Stored, caller: Caller
) -> WebhookConverter | None:
    """What turns the versions of a definition with strategy Webhook into each other."""
    if not stored.by_webhook:
        return None
    spec = definition["spec"]
    webhook = spec["conversion"].get("webhook") or {}
    schemas = {stored.api_version: stored.schema, api_version: schema}
    return WebhookConverter(caller, webhook, spec["names"]["kind"], api_version, stored.api_version, schemas)


def _served(definition: Object, version: Object, stored: Stored, caller: Caller) -> Served:
    spec, names = definition["spec"], definition["spec"]["names"]
    source = _source(version)
    schema = structural.build(source)
    subresources = version.get("subresources") or {}
    has_status = subresources.get("status") is not None
    api_version = f"{spec['group']}/{version['name']}"
    converter = _converter(definition, api_version, schema, stored, caller)
    plain = converter is None and api_version != stored.api_version
    kind = Kind(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        namespaced=spec.get("scope") == "Namespaced",
        singular=names.get("singular") or names["kind"].lower(),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        structure=schema,
        default=_defaulting(schema, has_status=has_status),
        validate=_validation(schema),
        validate_status=_validation(schema),
        warn=_finalizer_warnings,
        deprecation=_deprecation(version, api_version, names["kind"]),
        has_status=has_status,
        has_generation=True,
        scale=_scale(subresources.get("scale")),
        table=_table(version.get("additionalPrinterColumns") or ()),
        selectable=_selectable(version.get("selectableFields") or ()),
        unconditional_update=False,
        bare_finalizers=True,
        revalidates_metadata=0,
        to_stored=_to_stored(source, stored) if plain else None,
        from_stored=converter.from_stored if converter else _from_stored(source, schema, stored) if plain else None,
        converter=converter,
    )
    return Served(kind, builtin=False, list_kind=names.get("listKind") or "", schema=schema, document=source)


def _to_stored(source: Object, stored: Stored) -> Callable[[Object], Object]:
    """With conversion strategy None versions differ in name, and in what their schemas prune and default."""
    if source == stored.source:
        return lambda obj: {**obj, "apiVersion": stored.api_version}

    def to_stored(obj: Object) -> Object:
        made: Object = {**orjson.loads(orjson.dumps(obj)), "apiVersion": stored.api_version}
        stored.coerce(made)
        return made

    return to_stored


def _from_stored(source: Object, schema: Schema, stored: Stored) -> Callable[[Object], Object] | None:
    if source == stored.source:
        return None

    def from_stored(obj: Object) -> Object:
        made: Object = orjson.loads(orjson.dumps(obj))
        structural.coerce(made, schema)
        return made

    return from_stored


def _defaulting(schema: Schema, *, has_status: bool) -> Default:
    def default(obj: Object) -> None:
        structural.default(obj, schema)

    return default


def _validation(schema: Schema) -> Validate:
    has_rules = rules.has_rules(schema)

    def validate(obj: Object, old: Object | None) -> Iterable[FieldError]:
        errors = list(values.validate(obj, schema) if old is None else values.validate(obj, schema, "", old))
        if not has_rules:
            return errors
        if any(error.cause in _UNREADABLE for error in errors):
            return [*errors, invalid(_WHOLE, "null", _UNCHECKED)]
        with limited(time.thread_time, CEL_SECONDS):
            return [*errors, *(_placed(error) for error in rules.validate(obj, schema, old))]

    return validate


def _placed(error: FieldError) -> FieldError:
    """An error of the whole object has the path that the original shows for it."""
    return error if error.path else replace(error, path=_WHOLE)


def _deprecation(version: Object, api_version: str, kind: str) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{api_version} {kind} is deprecated"


_STANDARD_FINALIZERS: Final = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
_BARE_FINALIZER: Final = (
    "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer "
    "writers"
)


def _finalizer_warnings(obj: Object, old: Object | None) -> Iterator[str]:
    """New finalizers that somebody else might use as well."""
    before = (old["metadata"].get("finalizers") or ()) if old is not None else ()
    for name in sorted(set(obj["metadata"].get("finalizers") or ()) - _STANDARD_FINALIZERS - set(before)):
        if "/" not in name:
            yield f'metadata.finalizers: "{name}": {_BARE_FINALIZER}'


def _scale(source: Mapping[str, Any] | None) -> Scale | None:
    if source is None:
        return None
    return Scale(
        replicas=source.get("specReplicasPath", ".spec.replicas").removeprefix("."),
        status_replicas=source.get("statusReplicasPath", ".status.replicas").removeprefix("."),
        selector=(source.get("labelSelectorPath") or "").removeprefix("."),
    )


def _selectable(sources: Iterable[Object]) -> Mapping[str, Callable[[Object], str]]:
    return {source["jsonPath"].removeprefix("."): _selected(source["jsonPath"]) for source in sources}


def _selected(path: str) -> Callable[[Object], str]:
    parsed = jsonpath.parse(path)

    def value_of(obj: Object) -> str:
        value = parsed.first(obj)
        if value is None:
            return ""
        return value if isinstance(value, str) else orjson.dumps(value).decode()

    return value_of


def _column_path(text: str) -> jsonpath.Path:
    """The path of a column; one that cannot be read leads nowhere, so that its column is empty."""
    try:
        return jsonpath.parse(text)
    except ValueError:
        return jsonpath.Path(text, (lambda _value: iter(()),))


def _table(sources: Iterable[Object]) -> Table | None:
    columns, cells = [_NAME], []
    for source in sources:
        columns.append(
            Column(
                source["name"],
                source.get("type", "string"),
                source.get("format") or "",
                source.get("description")
                or f"Custom resource definition column (in JSONPath format): {source['jsonPath']}",
                source.get("priority") or 0,
            )
        )
        cells.append((_column_path(source["jsonPath"]), source.get("type", "string")))
    if not cells:
        columns.append(_AGE)
        cells.append((jsonpath.parse(_AGE_PATH), "date"))

    def row(obj: Object, now: float) -> list[Any]:
        return [obj["metadata"].get("name", ""), *(_cell(path.find(obj), type_, now) for path, type_ in cells)]

    return Table(tuple(columns), row)


def _cell(found: list[Any], type_: str, now: float) -> Any:
    """A cell's value: the first match in the column's type, null when it is of another."""
    if not found:
        return None
    value = found[0]
    match type_:
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _since(value, now)
        case _:
            return value if isinstance(value, str) else orjson.dumps(value).decode()


def _since(value: Any, now: float) -> Any:
    if not isinstance(value, str):
        return None
    try:
        return times.age(now - times.parse(value))
    except ValueError:
        return "<invalid>"
