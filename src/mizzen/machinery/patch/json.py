"""JSON patch (RFC 6902) with the liberties of the original: negative indexes, replace of an absent key.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply
"""

from typing import Any

import orjson

from mizzen.machinery.copies import copied
from mizzen.machinery.errors import ApiError, Errors
from mizzen.machinery.parse import is_too_deep
from mizzen.machinery.paths import unescape

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 << 20
"""Bytes that all copies of one patch may add: each may copy what the one before has made."""
_HARMLESS = 50
"""So many operations nest nothing too deeply."""
_REJECTED = "the server rejected our request due to an error in our request"


class _FailedError(Exception):
    """An operation that does not apply."""


def apply(target: Any, patch: Any) -> Any:
    """The patched value; the target is left alone.

    Raises: ApiError 400 when the patch is no list of operations, 413 when there are too many, 422 when one fails.
    """
    if not isinstance(patch, list):
        shown = _json_type(patch)
        raise _undecodable(shown, "value of type []handlers.jsonPatchOp")
    for operation in patch:
        _check_types(operation)
    if len(patch) > MAX_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {text}")
    patched = copied(target)
    budget = MAX_COPIED
    try:
        for operation in patch:
            budget -= _apply_one(patched, operation)
            if budget < 0:
                text = "Unable to complete the copy, the accumulated size increase of copies exceeds the limit"
                raise ApiError(422, "Invalid", f"{text} of {MAX_COPIED} bytes")
        if len(patch) > _HARMLESS and is_too_deep(patched):
            raise _FailedError
    except (_FailedError, RecursionError):
        raise ApiError(422, "Invalid", _REJECTED) from None
    return patched


def _undecodable(shown: str, where: str) -> ApiError:
    return Errors.bad_request(f"error decoding patch: json: cannot unmarshal {shown} into Go {where}")


def _check_types(operation: Any) -> None:
    """An operation is an object whose words are strings. Raises ApiError 400."""
    if not isinstance(operation, dict):
        if operation is not None:
            raise _undecodable(_json_type(operation), "value of type handlers.jsonPatchOp")
        return
    for member in ("op", "path", "from"):
        value = operation.get(member)
        if value is not None and not isinstance(value, str):
            raise _undecodable(_json_type(value), f"struct field jsonPatchOp.{member} of type string")


def _json_type(value: Any) -> str:
    names = ((dict, "object"), (list, "array"), (str, "string"), (bool, "bool"), (int, "number"), (float, "number"))
    for type_, name in names:
        if isinstance(value, type_):
            return name
    return "null"


def _apply_one(target: Any, operation: Any) -> int:
    """Change the target; answers the bytes that were copied within it."""
    if not isinstance(operation, dict):
        raise _FailedError
    holder, key = _find(target, _pointer(operation, "path"))
    match operation.get("op"):
        case "add":
            _add(holder, key, copied(operation.get("value")))
        case "remove":
            _remove(holder, key)
        case "replace":
            _replace(holder, key, copied(operation.get("value")))
        case "move":
            source, source_key = _find(target, _pointer(operation, "from"))
            value = _get(source, source_key)
            _remove(source, source_key)
            holder, key = _find(target, operation["path"])
            _add(holder, key, value)
        case "copy":
            source, source_key = _find(target, _pointer(operation, "from"))
            value = _get(source, source_key)
            _add(holder, key, copied(value))
            return _size(value)
        case "test":
            _test(holder, key, operation.get("value"))
        case _:
            raise _FailedError
    return 0


def _size(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # too deep to be written
        raise _FailedError from None


def _pointer(operation: dict[str, Any], member: str) -> str:
    pointer = operation.get(member)
    if not isinstance(pointer, str):
        raise _FailedError
    return pointer


def _find(target: Any, pointer: str) -> tuple[Any, str]:
    """The container that a pointer's last step is looked up in. What stands before the first slash is ignored."""
    steps = [unescape(step) for step in pointer.split("/")[1:]]
    if not steps:
        raise _FailedError
    for step in steps[:-1]:
        target = _get(target, step)
    if not isinstance(target, dict | list):
        raise _FailedError
    return target, steps[-1]


def _get(holder: Any, key: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(key)
    if isinstance(holder, list):
        return holder[_index(key, len(holder))]
    raise _FailedError


def _index(key: str, length: int) -> int:
    """A list position; negative ones count from the end."""
    try:
        position = int(key)
    except ValueError:
        raise _FailedError from None
    if not -length <= position < length:
        raise _FailedError
    return position % length


def _add(holder: Any, key: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[key] = value
    elif key == "-":
        holder.append(value)
    else:
        holder.insert(_index(key, len(holder) + 1), value)


def _replace(holder: Any, key: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[key] = value
    else:
        holder[_index(key, len(holder))] = value


def _remove(holder: Any, key: str) -> None:
    if isinstance(holder, list):
        del holder[_index(key, len(holder))]
    elif key in holder:
        del holder[key]
    else:
        raise _FailedError


def _test(holder: Any, key: str, value: Any) -> None:
    found = _get(holder, key)
    if found != value or type(found) is not type(value):
        raise _FailedError
