"""Request bodies as checked objects: of the kind that the path names, typed, unknown fields reported or refused."""

from dataclasses import replace
from typing import Any, Final

from mizzen.api.kind import Kind
from mizzen.machinery import decode, structural
from mizzen.machinery.errors import ApiError, Errors, Object, invalid
from mizzen.machinery.parse import TOO_DEEP, ParseError, is_too_deep
from mizzen.machinery.protobuf import envelope
from mizzen.machinery.protobuf.messages import ProtobufError
from mizzen.machinery.schema import Schema, registry
from mizzen.server.codec import content_type, unsupported_media
from mizzen.server.media import JSON, PROTOBUF, YAML
from mizzen.server.served import Served
from mizzen.wire.message import Request

BODY_LIMIT: Final = 3 << 20
_TYPES: Final = {"": False, JSON: False, YAML: True}
_SENT_AS: Final = {("policy/v1beta1", "Eviction"): "policy/v1"}
"""Kinds that are still sent in a version that nothing else is served in, to the one whose form is the same."""
_NO_KIND: Final = "couldn't get version/kind; json parse error"
_NO_OBJECT: Final = (
    'json: cannot unmarshal %s into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; '
    'Kind string "json:\\"kind,omitempty\\"" }'
)


def schema_of(kind: Kind) -> Schema:
    """The published schema of a built-in kind. Raises LookupError."""
    found = registry.definition(kind.schema) if kind.schema else registry.find(kind.group, kind.version, kind.kind)
    if found is None:
        raise LookupError(f"no schema for {kind.kind} in {kind.api_version}")
    return found


def check_size(request: Request) -> None:
    """Raises ApiError 413."""
    if type(request.body) is bytes and len(request.body) > BODY_LIMIT:
        text = f"Request entity too large: limit is {BODY_LIMIT}"
        raise ApiError(413, "RequestEntityTooLarge", text)


def is_yaml(request: Request) -> bool:
    """Whether the body is YAML. Raises ApiError 415 when it is neither YAML nor JSON."""
    media = content_type(request)
    if media in _TYPES:
        return _TYPES[media]
    if media == PROTOBUF:
        raise unsupported_media(f"{JSON}, {YAML}")
    raise unsupported_media()


def read(request: Request, served: Served, validation: str, warnings: list[str]) -> Object:
    """The body as an object of the kind that is served. Raises ApiError 400, 415, 422."""
    return read_as(request, served.kind, schema_of_served(served), validation, warnings, typed=served.builtin)


def read_as(
    request: Request, kind: Kind, schema: Schema, validation: str, warnings: list[str], *, typed: bool = True
) -> Object:
    """The body as an object of a kind, checked by a schema. Raises ApiError 400, 415, 422."""
    value, repeats = _parsed(request, kind, typed)
    if not isinstance(value, dict):
        if value is not None:
            raise decode.unrecognized(_bytes(request), kind.kind, f"{_NO_KIND}: {_NO_OBJECT % _json_type(value)}")
        value = {}
    _check_stated(request, value, kind)
    check_kind(value, kind, typed=typed)
    try:
        checked, unknown = checked_types(value, schema, typed=typed, by_name=content_type(request) == YAML)
    except decode.DecodeError as error:
        raise decode.cannot_handle(kind.kind, kind.version, kind.kind, error) from None
    problems = [] if validation == "Ignore" else _problems(request, schema, repeats, unknown, typed=typed)
    checked["kind"], checked["apiVersion"] = kind.kind, kind.api_version
    if checked.get("metadata") is None:
        checked["metadata"] = {}
    if problems and validation == "Strict":
        raise decode.cannot_handle(kind.kind, kind.version, kind.kind, decode.strict_error(problems))
    warnings += problems
    return checked


def _problems(request: Request, schema: Schema, repeats: list[str], unknown: list[str], *, typed: bool) -> list[str]:
    """What a strict client wants to know of a body, in the original's order."""
    if not typed or not repeats:
        return [*repeats, *unknown]
    return decode.strict_problems(_bytes(request), schema, repeats, unknown, is_yaml=content_type(request) == YAML)


def checked_types(value: Object, schema: Schema, *, typed: bool, by_name: bool = False) -> tuple[Object, list[str]]:
    """The object without unknown fields, and complaints about those. Raises DecodeError.

    Types of custom resources are left to their validation, which finds everything that is wrong at once.
    """
    if typed:
        checked: Object
        checked, unknown = decode.normalise_strictly(value, schema, by_name=by_name)
        return checked, unknown
    problems = structural.coerce_metadata(value, schema)
    problems += [f'unknown field "{path}"' for path in structural.prune(value, schema)]
    return value, problems


def _check_stated(request: Request, value: Object, kind: Kind) -> None:
    """What a body says of its kind is text, its version one of a group at most. Raises ApiError 400."""
    for field in ("apiVersion", "kind"):
        if (stated := value.get(field)) is not None and not isinstance(stated, str):
            why = f"json: cannot unmarshal {_json_type(stated)} into Go struct field .{field} of type string"
            raise decode.unrecognized(_bytes(request), kind.kind, f"{_NO_KIND}: {why}")
    if (value.get("apiVersion") or "").count("/") > 1:
        why = f"unexpected GroupVersion string: {value['apiVersion']}"
        raise decode.unrecognized(_bytes(request), kind.kind, why)


def check_kind(value: Object, kind: Kind, *, typed: bool = True) -> None:
    """A body may leave its kind out, but not state another. Raises ApiError 400, 422."""
    stated_kind, stated_version = value.get("kind") or kind.kind, value.get("apiVersion") or kind.api_version
    if (stated_kind, stated_version) == (kind.kind, kind.api_version):
        return
    if not typed and isinstance(stated_kind, str) and isinstance(stated_version, str):
        raise _other_custom_kind(value, kind, stated_kind, stated_version)
    group, _, version = str(stated_version).rpartition("/")
    if registry.find(group, version, str(stated_kind)) is None:
        why = f'no kind "{stated_kind}" is registered for version "{stated_version}"'
        raise decode.cannot_handle(str(stated_kind), version, kind.kind, why)
    if stated_kind == kind.kind:
        text = (
            f"the API version in the data ({stated_version}) does not match the expected API version "
            f"({kind.api_version})"
        )
        raise Errors.bad_request(text)
    source = f"{version}.{stated_kind}"
    target = f"{_package(kind.group)}.{kind.kind}"
    why = f"converting ({source}) to ({target}): unknown conversion"
    raise decode.cannot_handle(str(stated_kind), version, kind.kind, why)


def _other_custom_kind(value: Object, kind: Kind, stated_kind: str, stated_version: str) -> ApiError:
    name = (value.get("metadata") or {}).get("name", "")
    if stated_kind != kind.kind:
        return Errors.invalid(kind.group, stated_kind, name, [invalid("kind", stated_kind, f"must be {kind.kind}")])
    error = invalid("apiVersion", stated_version, f"must be {kind.api_version}")
    return Errors.invalid(kind.group, kind.kind, name, [error])


def _package(group: str) -> str:
    return group.partition(".")[0] or "core"


def schema_of_served(served: Served) -> Schema:
    """The schema of a kind, built in or custom."""
    schema: Schema | None = served.schema
    return schema if schema is not None else schema_of(served.kind)


def _parsed(request: Request, kind: Kind, typed: bool) -> tuple[Any, list[str]]:
    """The body's value and the complaints about repeated keys. Callers in the same process hand over an object."""
    if not isinstance(request.body, bytes):
        return request.body, []
    if typed and content_type(request) == PROTOBUF:
        return from_protobuf(request.body, kind.api_version, kind.kind), []
    yaml = is_yaml(request)
    if not request.body and not yaml:
        raise decode.unrecognized(b"", kind.kind, f"{_NO_KIND}: unexpected end of JSON input")
    try:
        value, repeats = decode.parse(request.body, yaml)
        if isinstance(value, dict) and "apiVersion" in value:
            value["apiVersion"] = _served_version(value["apiVersion"], value.get("kind"))
    except ParseError as error:
        why = error if yaml else f"{_NO_KIND}: {error}"
        raise decode.unrecognized(request.body, kind.kind, why) from None
    return value, repeats()


def from_protobuf(body: bytes, api_version: str, kind: str) -> Object:
    """The object of a protobuf body, of the kind given if it states none. Raises ApiError 400."""
    try:
        sent = envelope.opened(body)
        sent = replace(sent, api_version=_served_version(sent.api_version, sent.kind))
        value = envelope.read(sent, api_version, kind)
        if is_too_deep(value):
            raise ProtobufError(TOO_DEEP)
        return value
    except (ProtobufError, RecursionError) as error:
        why = f"the object provided is unrecognized (must be of type {kind}): {error} ({body[:32].hex()})"
        raise Errors.bad_request(why) from None


def _served_version(stated: Any, kind: Any) -> Any:
    return _SENT_AS.get((stated, kind), stated) if isinstance(stated, str) and isinstance(kind, str) else stated


def _bytes(request: Request) -> bytes:
    return request.body if isinstance(request.body, bytes) else b""


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"
