"""A server of nothing but the kinds' own rules: it creates, updates and shows objects in memory, without admission."""

import json
import re
from typing import Any

import orjson

from mizzen.api import meta
from mizzen.api.kind import Kind, Subresource
from mizzen.api.kinds import KINDS
from mizzen.machinery.decode import normalise
from mizzen.machinery.errors import FieldError, Object
from mizzen.machinery.patch import json as json_patch
from mizzen.machinery.patch import merge, strategic
from mizzen.machinery.schema import Schema, registry

NAMESPACE = "recorded"
UID = "00000000-1111-2222-3333-444444444444"
CREATED = "2024-01-01T00:00:00Z"
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v\w+)(?:/namespaces/(?P<ns>recorded))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)


class Invalid(Exception):
    """The object has these errors."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class Target:
    """What a path names: a kind, and perhaps one object and a subresource of it."""

    def __init__(self, path: str) -> None:
        match = _PATH.fullmatch(path.partition("?")[0])
        if match is None:
            raise LookupError(path)
        self.name, self.sub = match["name"] or "", match["sub"] or ""
        wanted = (match["group"] or "", match["version"], match["plural"])
        self.kind = next((kind for kind in KINDS if (kind.group, kind.version, kind.plural) == wanted), None)
        if self.kind is None:
            raise LookupError(path)

    @property
    def subresource(self) -> Subresource | None:
        assert self.kind is not None
        return next((one for one in self.kind.subresources if one.name == self.sub), None)


class Rules:
    """Objects in stored form by storage and name."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], Object] = {}

    def create(self, target: Target, body: Object) -> Object:
        """The created object as its kind serves it. Raises Invalid."""
        kind = _kind(target)
        object_ = _decoded(kind, {**body, "kind": kind.kind, "apiVersion": kind.api_version})
        metadata = object_.setdefault("metadata", {})
        metadata.update(uid=UID, creationTimestamp=CREATED)
        if kind.namespaced:
            metadata["namespace"] = NAMESPACE
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = meta.generated_name(metadata["generateName"], "abcde")
        if kind.default:
            kind.default(object_)
        if kind.has_generation:
            metadata["generation"] = 1
        if kind.prepare:
            kind.prepare(object_, None)
        errors = [*meta.validate(kind, object_, None), *(kind.validate(object_, None) if kind.validate else ())]
        return self._keep(kind, object_, errors)

    def read(self, kind: Kind, name: str) -> Object:
        """The object as the kind serves it. Raises KeyError."""
        stored = _copy(self._stored[kind.storage, name])
        return kind.from_stored(stored) if kind.from_stored else stored

    def listed(self, kind: Kind) -> list[Object]:
        return [self.read(kind, name) for storage, name in sorted(self._stored) if storage == kind.storage]

    def update(self, target: Target, body: Any, how: str) -> Object:
        """The object after a PUT (`how` is empty) or a patch of the media type `how`. Raises Invalid, KeyError."""
        kind = _kind(target)
        old = self.read(kind, target.name)
        object_ = _decoded(kind, _patched(_copy(old), body, how, _schema(kind)))
        object_.update(kind=kind.kind, apiVersion=kind.api_version)
        metadata = object_["metadata"]
        metadata["namespace"] = old["metadata"].get("namespace")
        if not kind.namespaced:
            del metadata["namespace"]
        if kind.default:
            kind.default(object_)
        meta.carry_over(object_, old)
        metadata["generation"] = old["metadata"].get("generation")
        errors = list(self._rules(target, object_, old))
        return self._keep(kind, object_, errors)

    def _rules(self, target: Target, object_: Object, old: Object) -> list[FieldError]:
        kind, sub = _kind(target), target.subresource
        prepare, validate = kind.prepare, kind.validate
        if target.sub == "status":
            prepare, validate = kind.prepare_status, kind.validate_status
            object_.update({key: value for key, value in old.items() if key not in {"status", "metadata"}})
        elif sub is not None:
            prepare, validate = sub.prepare, sub.validate or kind.validate
        if prepare:
            prepare(object_, old)
        return [*meta.validate(kind, object_, old), *(validate(object_, old) if validate else ())]

    def _keep(self, kind: Kind, object_: Object, errors: list[FieldError]) -> Object:
        if errors:
            raise Invalid(errors)
        name = object_["metadata"]["name"]
        self._stored[kind.storage, name] = _copy(kind.to_stored(object_) if kind.to_stored else object_)
        return self.read(kind, name)


def _kind(target: Target) -> Kind:
    assert target.kind is not None
    return target.kind


def _schema(kind: Kind) -> Schema:
    schema = registry.find(kind.group, kind.version, kind.kind)
    assert schema is not None
    return schema


def _decoded(kind: Kind, body: Object) -> Object:
    decoded: Object = normalise(_copy(body), _schema(kind))
    return decoded


def _copy(object_: Object) -> Object:
    copy: Object = orjson.loads(orjson.dumps(object_))
    return copy


def _patched(old: Object, body: Any, how: str, schema: Schema) -> Object:
    if isinstance(body, str):
        body = json.loads(body)
    body = orjson.loads(orjson.dumps(body))
    if not how:
        return body
    if "json-patch" in how:
        patched: Object = json_patch.apply(old, body)
    elif "strategic" in how:
        patched = strategic.apply(old, body, schema)
    else:
        patched = merge.apply(old, body)
    return patched
