"""PATCH: which of the four formats the body is, and what it makes of the stored object."""

from collections.abc import Callable
from typing import Any, Final

from mizzen.machinery import decode
from mizzen.machinery.copies import copied
from mizzen.machinery.errors import ApiError, Cause, Errors, FieldError, Object
from mizzen.machinery.parse import ParseError
from mizzen.machinery.patch import json as json_patch
from mizzen.machinery.patch import merge, strategic
from mizzen.machinery.schema import Schema
from mizzen.server import applying, bodies, codec
from mizzen.server.call import Call, Write
from mizzen.server.options import check_patch_options
from mizzen.server.served import Served

APPLY: Final = "application/apply-patch+yaml"
_JSON: Final = "application/json-patch+json"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_ACCEPTED_CUSTOM: Final = f"{_JSON}, {_MERGE}, {APPLY}"
_ACCEPTED_SUBRESOURCE: Final = f"{_JSON}, {_MERGE}, {_STRATEGIC}, {APPLY}"


def change(call: Call, write: Write, now: Callable[[], float]) -> "Patched | applying.Applied":
    """What the patch of a request does to an object. Raises ApiError 400, 413, 415, 422."""
    media = codec.content_type(call.request)
    _check_media(call.served, media)
    check_patch_options(write.options, applying=media == APPLY)
    patch, problems = _body(call, media)
    schema = bodies.schema_of_served(call.served)
    if media == APPLY:
        return applying.Applied(write, patch, problems, schema, now)
    if media == _JSON and not isinstance(patch, list):
        text = f"json: cannot unmarshal {_json_type(patch)} into Go value of type []handlers.jsonPatchOp"
        raise Errors.bad_request(f"error decoding patch: {text}")
    return Patched(write, media, patch, problems, schema)


class Patched:
    """A JSON, merge or strategic merge patch."""

    creates = False

    def __init__(self, write: Write, media: str, patch: Any, problems: list[str], schema: Schema) -> None:
        self._write = write
        self._media = media
        self._patch = patch
        self._problems = problems
        self._schema = schema

    def __call__(self, old: Object | None) -> Object:
        """The patched object, decoded anew. Raises ApiError."""
        assert old is not None
        patched = self.raw(old)
        if not isinstance(patched, dict):
            raise _invalid_patch(self._patch, "the patch makes something else than an object")
        return self.finish(patched)

    def raw(self, old: Object) -> Any:
        """What the patch makes of an object, unchecked; it shares nothing with the patch, which may be tried again."""
        if self._media == _JSON:
            return json_patch.apply(old, self._patch)
        if self._media == _STRATEGIC:
            return strategic.apply(old, self._patch, self._schema)
        return copied(merge.apply(old, self._patch))

    def finish(self, patched: Object) -> Object:
        """Check the types of a patched object. Raises ApiError."""
        write, kind = self._write, self._write.kind
        if self._media == _STRATEGIC:
            # It is folded into the object's fields, whatever it calls itself: a Scale is patched in its owner's name.
            patched.update(kind=kind.kind, apiVersion=kind.api_version)
        stated = (patched.setdefault("kind", kind.kind), patched.setdefault("apiVersion", kind.api_version))
        if stated != (kind.kind, kind.api_version):
            raise _invalid_patch(self._patch, f"{stated[0]} in {stated[1]} is not {kind.kind} in {kind.api_version}")
        validation = write.options.validation
        problems = [] if validation == "Ignore" else list(self._problems)
        try:
            result, unknown = bodies.checked_types(patched, self._schema, typed=write.served.builtin, by_name=True)
        except decode.DecodeError as error:
            why = error.folded() if self._media == _STRATEGIC else str(error)
            raise _invalid_patch(self._patch, why) from None
        if validation != "Ignore":
            problems = [*problems, *unknown]
        if problems and validation == "Strict":
            raise _invalid_patch(self._patch, decode.strict_error(problems))
        write.warnings += [problem for problem in problems if problem not in write.warnings]
        name = (result.get("metadata") or {}).get("name") or ""
        if name != write.name:
            _refuse_name(write, name)
        return result


def _refuse_name(write: Write, name: str) -> None:
    if not name:
        text = f"the name of the object ({write.name} based on URL) was undeterminable: name must be provided"
        raise Errors.bad_request(text)
    raise Errors.bad_request(f"the name of the object ({name}) does not match the name on the URL ({write.name})")


def _check_media(served: Served, media: str) -> None:
    if media in (_JSON, _MERGE, APPLY):
        return
    if media == _STRATEGIC:
        if served.builtin:
            return
        raise codec.unsupported_media(_ACCEPTED_CUSTOM)
    raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")


def _body(call: Call, media: str) -> tuple[Any, list[str]]:
    body = call.request.body
    if not isinstance(body, bytes):
        return body, []
    try:
        value, repeats = decode.parse(body, media == APPLY)
    except ParseError as error:
        if media == APPLY:
            raise Errors.bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from None
        prefix = "" if media == _STRATEGIC else "error decoding patch: "
        raise Errors.bad_request(f"{prefix}{error}") from None
    if media == _JSON:
        return value, decode.json_patch_problems(body, repeats())
    return value, repeats()


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case dict():
            return "object"
        case _:
            return "number"


def _invalid_patch(patch: Any, why: str) -> ApiError:
    error = FieldError(Cause.INVALID, "patch", patch, why)
    return Errors.invalid("", "", "", [error])
