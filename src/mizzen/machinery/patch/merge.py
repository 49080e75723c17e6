"""JSON merge patch: objects merge, null deletes, everything else replaces.

Ref: RFC 7386.
"""

from typing import Any

from mizzen.machinery.errors import Errors


def apply(target: Any, patch: Any) -> Any:
    """The patched object; the target is left alone, but unchanged parts are shared with it.

    Raises: ApiError 400 when the patch is no object.
    """
    if not isinstance(patch, dict):
        raise Errors.bad_request(_not_an_object(patch))
    return merged(target, patch)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386 for any two values."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = merged(out.get(key), value)
        else:
            out[key] = value
    return out


def difference(old: Any, new: Any) -> Any:
    """The merge patch that leads from one object to another; nulls inside `new` cannot be told apart from absence."""
    patch: dict[str, Any] = {}
    for key in old.keys() - new.keys():
        patch[key] = None
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            inner = difference(old[key], value)
            if inner:
                patch[key] = inner
        elif value != old[key] or isinstance(value, bool) != isinstance(old[key], bool):
            patch[key] = value
    return patch


def _not_an_object(patch: Any) -> str:
    if patch is None:
        return "Invalid JSON Patch"
    names = ((list, "array"), (str, "string"), (bool, "bool"), (int, "number"), (float, "number"))
    shown = next(name for type_, name in names if isinstance(patch, type_))
    return f"error decoding patch: json: cannot unmarshal {shown} into Go value of type map[string]interface {{}}"
