"""The two changes that apply makes to an object: merging a configuration in, and taking given-up fields out."""

from typing import Any

from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.patch.apply.sets import EMPTY, SELF, Fields, difference, intersection, is_member
from mizzen.machinery.patch.apply.walk import child, is_granular, named, step_of, steps_of
from mizzen.machinery.schema import DEDUCED, Form, Schema


def merge(live: Any, applied: Any, schema: Schema) -> Any:
    """The live value with the applied one merged over it; neither is changed, unchanged parts are shared."""
    if applied is None and isinstance(live, dict | list):
        return live
    if not is_granular(applied, schema) or type(live) is not type(applied):
        return applied
    if isinstance(applied, dict):
        out = dict(live)
        for key, value in applied.items():
            may_share = key in live and (value is None or isinstance(value, (dict, list)))
            out[key] = merge(live[key], value, child(schema, key)) if may_share else value
        return out
    assert isinstance(live, list)
    return _merge_list(live, applied, schema)


def _merge_list(live: list[Any], applied: list[Any], schema: Schema) -> list[Any]:
    """Applied items in their order; live ones that the configuration does not name stay before those they preceded."""
    items = schema.items or DEDUCED
    live_steps, applied_steps = steps_of(live, schema), steps_of(applied, schema)
    live_of = dict(zip(live_steps, live, strict=True))
    wanted = set(applied_steps)
    shared = [step for step in applied_steps if step in live_of]
    done: set[str] = set()
    out: list[Any] = []
    at = 0
    for step, item in zip(applied_steps, applied, strict=True):
        while at < len(live_steps) and live_steps[at] != step:
            here = live_steps[at]
            if here not in wanted:
                out.append(live[at])
            elif here not in done and here in shared and step not in live_of:
                break
            at += 1
        if at < len(live_steps) and live_steps[at] == step:
            at += 1
        out.append(merge(live_of[step], item, items) if step in live_of else item)
        done.add(step)
    out += [item for step, item in zip(live_steps[at:], live[at:], strict=True) if step not in wanted]
    return out


def remove(value: Any, gone: Fields, schema: Schema) -> Any:
    """The value without the members of a set; unchanged parts are shared."""
    if not gone or not is_granular(value, schema):
        return value
    if isinstance(value, dict):
        out: Object = {}
        for key, inner in value.items():
            node = gone.get(f"f:{key}")
            if node is None:
                out[key] = inner
            elif not is_member(node):
                out[key] = remove(inner, node, child(schema, key))
        return out
    kept = []
    items = schema.items or DEDUCED
    for item in value:
        node = gone.get(step_of(item, schema))
        if node is None:
            kept.append(item)
        elif not is_member(node):
            kept.append(remove(item, node, items))
    return kept


def prune(merged: Object, last: Fields, owned: Fields, schema: Schema) -> Object:
    """The merged object without what its applier named last time and nobody names now.

    `owned` is the union of all sets, the applier's new one included.
    """
    if not difference(last, owned):
        return merged
    return prune_thoroughly(merged, last, owned, schema)


def prune_thoroughly(merged: Object, last: Fields, owned: Fields, schema: Schema) -> Object:
    """The same; there is nothing to take out, and this need not be asked, when all is still named by somebody."""
    last = with_structs(last, schema)
    pruned = remove(merged, last, schema)
    everything = with_structs(named(merged, schema), schema)
    gone = difference(everything, with_structs(named(pruned, schema), schema))
    pruned = remove(merged, difference(gone, with_structs(owned, schema)), schema)
    gone = difference(everything, with_structs(named(pruned, schema), schema))
    result: Object = remove(merged, intersection(gone, last), schema)
    return result


def with_structs(fields: Fields, schema: Schema) -> Fields:
    """The set with every declared field on the way to a member made a member too."""
    out: dict[str, Any] = {}
    for step, node in fields.items():
        if step == SELF or not node:
            out[step] = node
            continue
        is_field = step.startswith("f:")
        inner = child(schema, step[2:]) if is_field else (schema.items or DEDUCED)
        below = with_structs(node, inner)
        declared = is_field and schema.form is Form.STRUCT and step[2:] in schema.properties
        out[step] = {SELF: EMPTY, **below} if declared and SELF not in below else below
    return out


def check_lists(value: Any, schema: Schema, path: str = "") -> None:
    """Every item of a list of type map has its keys, and no two items are the same one.

    Raises: ApiError 400 with the path.
    """
    if not is_granular(value, schema):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)):
                check_lists(inner, child(schema, key), f"{path}.{key}")
        return
    items = schema.items or DEDUCED
    seen: set[str] = set()
    for position, item in enumerate(value):
        if schema.list_type == "map":
            _check_keys(item, items, schema, path, position)
        step = step_of(item, schema)
        if step in seen:
            from mizzen.machinery.patch.apply.sets import shown

            raise Errors.bad_request(f"{path}: duplicate entries for key {shown(step)}")
        seen.add(step)
        check_lists(item, items, f"{path}[{position}]")


def _check_keys(item: Any, items: Schema, schema: Schema, path: str, position: int) -> None:
    for key in schema.map_keys:
        known = items.properties.get(key)
        if (not isinstance(item, dict) or item.get(key) is None) and (known is None or known.default is None):
            raise Errors.bad_request(
                f"{path}: element {position}: associative list with keys has an element that omits key field"
                f' "{key}" (and doesn\'t have default value)'
            )
