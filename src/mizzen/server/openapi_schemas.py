"""The schemas of an OpenAPI document: packed definitions with their prose put back, and those of custom resources."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mizzen.machinery.errors import Object
from mizzen.machinery.schema import definitions, descriptions, registry
from mizzen.server import openapi_custom, openapi_defaults, openapi_enums
from mizzen.server.served import Served

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_ANY_KIND: Final = "io.k8s.api.core.v1.ConfigMap"
STATUS: Final = _META + "Status"
DELETE_OPTIONS: Final = _META + "DeleteOptions"
PATCH: Final = _META + "Patch"


class Collected:
    """Definitions that a document refers to, found while its paths are made. `prefix` starts every reference."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._version_two = prefix == "#/definitions/"
        self._wanted: dict[str, None] = {}
        self._custom: Object = {}

    def refer(self, name: str) -> Object:
        """A reference to a definition, which thereby becomes part of the document."""
        self._wanted.setdefault(name)
        return {"$ref": self._prefix + name}

    def kind(self, served: Served) -> str:
        """The name of the schema of a kind."""
        kind = served.kind
        if served.builtin:
            return kind.schema or registry.name_of(kind.group, kind.version, kind.kind) or _META + "Status"
        name = custom_name(kind.group, kind.version, kind.kind)
        if name not in self._custom:
            self._custom[name] = self._custom_schema(served)
            self._custom[name + "List"] = self._custom_list(served, name)
        return name

    def list(self, served: Served) -> str:
        """The name of the schema of a kind's list."""
        name = self.kind(served) + "List"
        if served.builtin and name not in definitions():
            return self.kind(served)
        return name

    def named(self, group: str, version: str, kind: str) -> str:
        """The name of any published kind's schema."""
        return registry.name_of(group, version, kind) or STATUS

    def schemas(self) -> Object:
        """All definitions of the document, those that they refer to included."""
        found: Object = {}
        waiting = list(self._wanted)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            if name in self._custom:
                found[name] = self._custom[name]
                waiting.extend(_references(found[name], self._prefix))
            elif name in definitions():
                found[name] = self._published(name)
                waiting.extend(_references(found[name], self._prefix))
        return {name: found[name] for name in sorted(found)}

    def _published(self, name: str) -> Object:
        prose = descriptions().get(name) or ["", {}]
        made = self._special(name)
        if made is None:
            source = definitions()[name]
            made = {key: value for key, value in source.items() if key != "properties"}
            about = prose[1] if len(prose) > 1 else {}
            if "properties" in source:
                made["properties"] = {
                    key: self._node(inner, about.get(key, "")) for key, inner in source["properties"].items()
                }
                for key, words in openapi_enums.of(name).items():
                    openapi_enums.put(made["properties"][key], words)
                if not self._version_two:
                    openapi_defaults.put(name, made["properties"], source.get("required") or ())
        return {"description": prose[0], **made} if prose[0] else made

    def _special(self, name: str) -> Object | None:
        """Forms that the packed definitions flatten."""
        if name == _QUANTITY and not self._version_two:
            return {"oneOf": [{"type": "string"}, {"type": "number"}]}
        if name == _INT_OR_STRING and not self._version_two:
            return {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
        if name in (_QUANTITY, _INT_OR_STRING):
            made: Object = {"type": "string"}
            if name == _INT_OR_STRING:
                made["format"] = "int-or-string"
            return made
        return None

    def _node(self, source: Mapping[str, Any], about: str) -> Object:
        node: Object = {"description": about} if about else {}
        reference = source.get("$ref")
        if reference is not None:
            link = {"$ref": self._prefix + reference}
            extra = {key: value for key, value in source.items() if key != "$ref"}
            if self._version_two:
                return {**node, **extra, **link}
            if "properties" in definitions().get(reference, {}):
                node["default"] = {}
            return {**node, **extra, "allOf": [link]}
        for key, value in source.items():
            node[key] = self._item(value) if key in ("items", "additionalProperties") else value
        return node

    def _item(self, source: Any) -> Any:
        if not isinstance(source, Mapping):
            return source
        if "$ref" in source and not self._version_two:
            link = {"$ref": self._prefix + source["$ref"]}
            is_struct = "properties" in definitions().get(source["$ref"], {})
            return {"allOf": [link], "default": {}} if is_struct else link
        node = self._node(source, "")
        if not self._version_two:
            openapi_defaults.put_empty(node)
        return node

    def _custom_schema(self, served: Served) -> Object:
        source = served.document if served.document is not None else {"type": "object"}
        if self._version_two and openapi_custom.is_open(source):
            return {"type": "object", **_extensions(served)}
        schema: Object = openapi_custom.version_two(source) if self._version_two else dict(source)
        properties = dict(schema.get("properties") or {})
        for name in ("apiVersion", "kind"):
            properties[name] = {"type": "string", "description": _common(name)}
        self._wanted.setdefault(_META + "ObjectMeta")
        link = {"$ref": self._prefix + _META + "ObjectMeta"}
        about = _common("metadata")
        properties["metadata"] = (
            {"description": about, **link} if self._version_two else {"description": about, "allOf": [link]}
        )
        schema["properties"] = properties
        return schema | _extensions(served)

    def _custom_list(self, served: Served, name: str) -> Object:
        kind = served.kind
        self._wanted.setdefault(_META + "ListMeta")
        meta = {"$ref": self._prefix + _META + "ListMeta"}
        return {
            "description": f"{served.list_kind} is a list of {kind.kind}",
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string", "description": _common("apiVersion")},
                "kind": {"type": "string", "description": _common("kind")},
                "items": {"type": "array", "items": {"$ref": self._prefix + name}},
                "metadata": meta if self._version_two else {"allOf": [meta]},
            },
            "x-kubernetes-group-version-kind": [
                {"group": kind.group, "version": kind.version, "kind": served.list_kind}
            ],
        }


def _extensions(served: Served) -> Object:
    """What a schema says of the kind as a whole."""
    kind = served.kind
    identity = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    extensions: Object = {"x-kubernetes-group-version-kind": [identity]}
    if kind.selectable:
        extensions["x-kubernetes-selectable-fields"] = [{"fieldPath": path} for path in kind.selectable]
    return extensions


def _common(field: str) -> str:
    """What every kind says of a field that all of them have."""
    return str(descriptions()[_ANY_KIND][1][field])


def custom_name(group: str, version: str, kind: str) -> str:
    """`com.example.v1.Kite` of example.com/v1, Kind=Kite."""
    return ".".join([*reversed(group.split(".")), version, kind])


def _references(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner.removeprefix(prefix)
            else:
                yield from _references(inner, prefix)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner, prefix)
