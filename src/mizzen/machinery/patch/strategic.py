"""Strategic merge patch: lists merge by the keys that the schema names, and directives in the patch steer it.

Ref: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

from collections.abc import Callable, Sequence
from typing import Any

from mizzen.machinery.copies import copied
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.schema import ANY, Form, Schema

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def apply(target: Object, patch: Any, schema: Schema) -> Object:
    """The patched object; target and patch are left alone.

    Raises: ApiError 400 for a patch that is no object or whose directives make no sense.
    """
    if patch is None:
        return target
    if not isinstance(patch, dict):
        shown = "array" if isinstance(patch, list) else "string" if isinstance(patch, str) else "number"
        raise Errors.bad_request(f"json: cannot unmarshal {shown} into Go value of type map[string]interface {{}}")
    return _merge_map(copied(target), copied(patch), schema)


def _child(schema: Schema, key: str) -> Schema:
    if schema.form is Form.MAP and schema.items is not None:
        return schema.items
    return schema.properties.get(key, ANY)


def _items(schema: Schema) -> Schema:
    return schema.items or ANY


def _merge_map(original: Object, patch: Object, schema: Schema) -> Object:
    """Merge the patch into the original, changing both."""
    if _PATCH in patch:
        return _directed(patch)
    if _RETAIN in patch:
        _retain(original, patch)
    for key in [key for key in patch if key.startswith(_ORDER)]:
        _merge_ordered(original, patch, key, schema)
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _delete_primitives(original, key.removeprefix(_DELETE), value)
        elif value is None:
            original.pop(key, None)
        elif key in original and type(original[key]) is type(value):
            original[key] = _merge_value(original[key], value, _child(schema, key))
        else:
            original[key] = without_directives(value)
    return original


def _merge_value(original: Any, patch: Any, schema: Schema) -> Any:
    if isinstance(patch, dict):
        if "replace" in schema.patch_strategy:
            return patch
        return _merge_map(original, patch, schema)
    if isinstance(patch, list) and "merge" in schema.patch_strategy:
        return _merge_list(original, patch, schema)
    return without_directives(patch)


def _directed(patch: Object) -> Object:
    directive = patch.pop(_PATCH)
    if directive == "replace":
        return _cleaned(patch)
    if directive == "delete":
        return {}
    raise Errors.bad_request(f"unknown patch type: {directive} in map: {patch}")


def _retain(original: Object, patch: Object) -> None:
    keys = patch.pop(_RETAIN)
    if not isinstance(keys, list):
        raise Errors.bad_request("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE, _ORDER)) and key not in keys:
            raise Errors.bad_request("invalid patch format of retainKeys")
    for key in [key for key in original if key not in keys]:
        del original[key]


def _delete_primitives(original: Object, key: str, gone: Any) -> None:
    if not isinstance(gone, list):
        raise Errors.bad_request("invalid patch format of primitive list deletion")
    present = original.get(key)
    if isinstance(present, list):
        original[key] = [each for each in present if each not in gone]


def _merge_ordered(original: Object, patch: Object, directive: str, schema: Schema) -> None:
    """Merge one list whose order the patch gives."""
    order = patch.pop(directive)
    if not isinstance(order, list):
        raise Errors.bad_request(f"{directive} must be a list")
    key = directive.removeprefix(_ORDER)
    child = _child(schema, key)
    present, wanted = original.get(key), patch.get(key)
    if wanted is not None and isinstance(wanted, list):
        _check_order(wanted, order, child.merge_key)
    if not isinstance(present, list) and not isinstance(wanted, list):
        return
    if key in patch and wanted is None:
        return
    patch.pop(key, None)
    before = list(present) if isinstance(present, list) else []
    if not isinstance(wanted, list):
        merged = before
    elif isinstance(present, list):
        merged = _merge_value(list(before), wanted, child)
    else:
        merged = without_directives(wanted)
    original[key] = _sorted(merged, order, before, _identity(child.merge_key))


def _check_order(wanted: list[Any], order: list[Any], merge_key: str) -> None:
    """Every item of the patch must stand in the order list, and in that order."""
    identity = _identity(merge_key)
    given = [identity(each) for each in order]
    kept = [identity(each) for each in wanted if not (isinstance(each, dict) and _PATCH in each)]
    at = 0
    for each in kept:
        while at < len(given) and given[at] != each:
            at += 1
        if at == len(given):
            raise Errors.bad_request(
                f"The order in patch list:\n{wanted}\n doesn't match {_ORDER.rstrip('/')} list:\n{order}\n"
            )
        at += 1


def _identity(merge_key: str) -> Callable[[Any], Any]:
    """What makes two items of a list the same: the merge key's value, or the primitive itself."""

    def identity(value: Any) -> Any:
        if isinstance(value, dict):
            if merge_key not in value:
                raise Errors.bad_request(f"map: {value} does not contain declared merge key: {merge_key}")
            value = value[merge_key]
        if isinstance(value, dict | list):
            raise Errors.bad_request(f"a {type(value).__name__} cannot tell the items of a list apart: {value}")
        return value

    return identity


def _merge_list(original: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    if not any(isinstance(each, dict) for each in (*original, *patch)):
        identity = _identity("")
        merged = list({identity(each): each for each in (*original, *patch)}.values())
        return _sorted(merged, patch, original, identity)
    if any(not isinstance(each, dict) for each in (*original, *patch)):
        raise Errors.bad_request("list elements must all be of one type")
    if not schema.merge_key:
        raise Errors.bad_request(f"cannot merge lists without merge key for {schema.short_name}")
    identity = _identity(schema.merge_key)
    original, patch = _without_special(original, patch, identity)
    merged = list(original)
    for each in patch:
        wanted = identity(each)
        for position, known in enumerate(merged):
            if known.get(schema.merge_key) == wanted:
                merged[position] = _merge_map(known, each, _items(schema))
                break
        else:
            merged.append(without_directives(each))
    return _sorted(merged, patch, original, identity)


def _without_special(
    original: list[Any], patch: list[Any], identity: Callable[[Any], Any]
) -> tuple[list[Any], list[Any]]:
    """Carry out the items that hold a directive, and answer what is left to merge."""
    plain, replaces = [], False
    for each in patch:
        directive = each.get(_PATCH)
        if directive is None:
            plain.append(each)
        elif directive == "delete":
            gone = identity(each)
            original = [known for known in original if identity(known) != gone]
        elif directive == "replace":
            replaces = True
        elif directive == "merge":
            raise Errors.bad_request("merging lists cannot yet be specified in the patch")
        else:
            raise Errors.bad_request(f"unknown patch type: {directive} in map: {each}")
    return ([], plain) if replaces else (original, plain)


def _sorted(
    merged: list[Any], order: Sequence[Any], before: Sequence[Any], identity: Callable[[Any], Any]
) -> list[Any]:
    """Items named by the patch in its order, the others in theirs, woven together by where they stood before.

    An item that was not there before goes as far to the front as the patch's order lets it.
    """
    ranks = _ranks(order, identity)
    places = _ranks(before, identity)
    named = [each for each in merged if identity(each) in ranks]
    others = [each for each in merged if identity(each) not in ranks]
    named.sort(key=lambda each: ranks[identity(each)])
    others.sort(key=lambda each: places.get(identity(each), len(places)))
    woven: list[Any] = []
    while named and others:
        left, right = places.get(identity(others[0])), places.get(identity(named[0]))
        if left is not None and right is not None and left < right:
            woven.append(others.pop(0))
        else:
            woven.append(named.pop(0))
    return woven + others + named


def _ranks(items: Sequence[Any], identity: Callable[[Any], Any]) -> dict[Any, int]:
    ranks: dict[Any, int] = {}
    for position, each in enumerate(items):
        ranks.setdefault(identity(each), position)
    return ranks


def without_directives(value: Any) -> Any:
    """A patch's value as it enters an object that had nothing there: no nulls, no directives."""
    if isinstance(value, list):
        kept = [each for each in value if not (isinstance(each, dict) and each.get(_PATCH) in ("delete", "replace"))]
        return [without_directives(each) for each in kept]
    if not isinstance(value, dict):
        return value
    if value.get(_PATCH) == "delete":
        return {}
    return _cleaned(value)


def _cleaned(value: Object) -> Object:
    return {key: without_directives(inner) for key, inner in value.items() if inner is not None and key[:1] != "$"}
