"""Schemas: one node form for the published definitions and for the structural schemas of custom resources.

The published ones are packed at build time and loaded on first use; a node is built when a kind is first asked for.
"""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


class Form(Enum):
    """What a value of a node looks like."""

    STRUCT = "struct"
    """An object with named properties (and nothing else, unless `preserve`)."""
    MAP = "map"
    """An object of any keys, whose values have one schema."""
    LIST = "list"
    STRING = "string"
    INT32 = "int32"
    INT64 = "int64"
    NUMBER = "number"
    BOOLEAN = "boolean"
    BYTES = "bytes"
    TIME = "time"
    MICRO_TIME = "micro-time"
    QUANTITY = "quantity"
    INT_OR_STRING = "int-or-string"
    ANY = "any"
    """Any JSON at all: RawExtension, JSON, FieldsV1, preserved fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """One node. `properties` is filled once by whoever builds the node, so that schemas may contain themselves."""

    form: Form
    properties: dict[str, "Schema"] = field(default_factory=dict)
    items: "Schema | None" = None
    """Of a LIST, its items; of a MAP, its values."""
    required: tuple[str, ...] = ()
    list_type: str = "atomic"
    """`atomic`, `set` or `map`."""
    map_keys: tuple[str, ...] = ()
    atomic: bool = False
    """A STRUCT or MAP that has one owner as a whole (`x-kubernetes-map-type: atomic`)."""
    patch_strategy: tuple[str, ...] = ()
    """`merge`, `replace`, `retainKeys`: what strategic merge patch does here."""
    merge_key: str = ""
    preserve: bool = False
    """Unknown properties are kept and not typed."""
    embedded: bool = False
    """The value is itself an API object with apiVersion, kind and metadata."""
    nullable: bool = False
    default: Any = None
    type_name: str = ""
    """The name that decoding errors show: `v1.Container`, `int32`, `map[string]string`."""
    definition: str = ""
    """Of a published definition, its name: `io.k8s.api.core.v1.Container`."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The OpenAPI node it was made from: value constraints of custom resources, references of built-in ones."""

    @property
    def short_name(self) -> str:
        """`Container` of `v1.Container`."""
        return self.type_name.rpartition(".")[2]

    @property
    def is_named(self) -> bool:
        """Whether it is a published type; the nodes of custom resources have no names."""
        return "." in self.type_name

    def __repr__(self) -> str:
        return f"Schema({self.type_name or self.form.value})"


ANY = Schema(Form.ANY, type_name="interface {}", preserve=True, atomic=True)
"""Any JSON, owned as a whole."""
DEDUCED = Schema(Form.ANY, type_name="interface {}", preserve=True)
"""Any JSON without a schema: objects are owned key by key, lists as a whole."""

_SPECIAL_FORMS = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": Form.INT_OR_STRING,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": Form.QUANTITY,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": Form.TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": Form.MICRO_TIME,
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": Form.ANY,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": Form.ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": Form.ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": Form.ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": Form.ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": Form.ANY,
}
_SCALARS = {
    ("string", None): (Form.STRING, "string"),
    ("string", "byte"): (Form.BYTES, "[]uint8"),
    ("integer", "int32"): (Form.INT32, "int32"),
    ("integer", "int64"): (Form.INT64, "int64"),
    ("integer", None): (Form.INT64, "int64"),
    ("number", "double"): (Form.NUMBER, "float64"),
    ("boolean", None): (Form.BOOLEAN, "bool"),
}
# Defaults of list map keys, which ownership needs and the published schema leaves out.
_KEY_DEFAULTS: dict[tuple[str, str], Any] = {
    ("io.k8s.api.core.v1.ContainerPort", "protocol"): "TCP",
    ("io.k8s.api.core.v1.ServicePort", "protocol"): "TCP",
}


@cache
def definitions() -> dict[str, Any]:
    """The packed definitions by name, as OpenAPI nodes without prose; `$ref` holds a definition's name."""
    loaded: dict[str, Any] = _load("schema.json.gz")
    return loaded


@cache
def descriptions() -> dict[str, Any]:
    """The prose of each definition: `[description, {property: description}]`."""
    loaded: dict[str, Any] = _load("descriptions.json.gz")
    return loaded


def _load(name: str) -> Any:
    try:
        packed = files("mizzen").joinpath("_schema", name).read_bytes()
    except FileNotFoundError:
        raise RuntimeError("the API schema is not packed: run `python tools/build_schema.py`") from None
    return orjson.loads(gzip.decompress(packed))


class Registry:
    """The built-in schemas, built on demand, each once."""

    def __init__(self) -> None:
        self._built: dict[str, Schema] = {}
        self._kinds: dict[tuple[str, str, str], str] = {}

    def find(self, group: str, version: str, kind: str) -> Schema | None:
        """The schema of a kind, or None when the published definitions do not have it."""
        name = self.name_of(group, version, kind)
        return self.definition(name) if name else None

    def name_of(self, group: str, version: str, kind: str) -> str | None:
        """The definition's name: `io.k8s.api.core.v1.Pod`."""
        if not self._kinds:
            self._kinds = dict(_kinds())
        return self._kinds.get((group, version, kind))

    def definition(self, name: str) -> Schema:
        """The schema of a definition by name. Raises: KeyError."""
        built = self._built.get(name)
        return built if built is not None else self._build(name)

    def _build(self, name: str) -> Schema:
        source = definitions()[name]
        type_name = _type_name(name)
        special = _SPECIAL_FORMS.get(name)
        if special is not None:
            any_json = special is Form.ANY
            node = Schema(special, type_name=type_name, preserve=any_json, atomic=any_json, source=source)
            self._built[name] = node
            return node
        properties = source.get("properties")
        node = Schema(
            Form.STRUCT,
            required=tuple(source.get("required", ())),
            atomic=source.get("x-kubernetes-map-type") == "atomic",
            type_name=type_name,
            definition=name,
            source=source,
        )
        self._built[name] = node
        for key, inner in (properties or {}).items():
            made = self._node(inner)
            default = _KEY_DEFAULTS.get((name, key))
            node.properties[key] = replace(made, default=default) if default is not None else made
        return node

    def _node(self, source: Mapping[str, Any]) -> Schema:
        reference = source.get("$ref")
        if reference is not None:
            node = self.definition(reference)
            strategy = _strategy(source)
            atomic = source.get("x-kubernetes-map-type") == "atomic"
            if strategy or (atomic and not node.atomic):
                return replace(node, patch_strategy=strategy, atomic=atomic or node.atomic)
            return node
        match source.get("type"):
            case "array":
                return self._list(source)
            case "object":
                values = source.get("additionalProperties")
                inner = self._node(values) if isinstance(values, dict) else ANY
                return Schema(
                    Form.MAP,
                    items=inner,
                    atomic=source.get("x-kubernetes-map-type") == "atomic",
                    patch_strategy=_strategy(source),
                    type_name=f"map[string]{inner.type_name}",
                    source=source,
                )
            case None:
                return ANY
            case type_:
                form, name = _SCALARS[type_, source.get("format")]
                return Schema(form, type_name=name, source=source)

    def _list(self, source: Mapping[str, Any]) -> Schema:
        inner = self._node(source["items"])
        keys = tuple(source.get("x-kubernetes-list-map-keys", ()))
        _default_keys(inner, keys)
        return Schema(
            Form.LIST,
            items=inner,
            list_type=source.get("x-kubernetes-list-type", "atomic"),
            map_keys=keys,
            patch_strategy=_strategy(source),
            merge_key=source.get("x-kubernetes-patch-merge-key", ""),
            type_name=f"[]{inner.type_name}",
            source=source,
        )


def _default_keys(item: Schema, keys: tuple[str, ...]) -> None:
    """A required key that is left out counts as empty: which it is, is for validation to complain about."""
    for key in keys:
        known = item.properties.get(key)
        if known is not None and known.default is None and key in item.required:
            item.properties[key] = replace(known, default="" if known.form is Form.STRING else 0)


def _strategy(source: Mapping[str, Any]) -> tuple[str, ...]:
    text = source.get("x-kubernetes-patch-strategy", "")
    return tuple(text.split(",")) if text else ()


def _type_name(name: str) -> str:
    """`v1.Container` of `io.k8s.api.core.v1.Container`."""
    return ".".join(name.split(".")[-2:])


def _kinds() -> Iterator[tuple[tuple[str, str, str], str]]:
    for name, definition in definitions().items():
        for known in definition.get("x-kubernetes-group-version-kind", ()):
            yield (known["group"], known["version"], known["kind"]), name


registry = Registry()
