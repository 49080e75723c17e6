"""Which fields an object has, and which differ between two: compiled per schema, built as FieldsV1 at once."""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from mizzen.machinery.errors import Object
from mizzen.machinery.patch.apply.sets import LEAF, SELF, Fields
from mizzen.machinery.schema import DEDUCED, Form, Schema

Walk = Callable[[Any], Fields]

# Fields that every write changes or that identify the object: nobody owns them.
_UNOWNED = frozenset({"apiVersion", "kind"})
_UNOWNED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    }
)

# Structs that the original holds by value: they exist in an object that was just made, so creating it does not own
# the struct itself, only what is in it. The published schema does not tell these from pointers.
_BY_VALUE = {
    "DeploymentSpec": {"template", "strategy"},
    "ReplicaSetSpec": {"template"},
    "StatefulSetSpec": {"template", "updateStrategy"},
    "DaemonSetSpec": {"template", "updateStrategy"},
    "JobSpec": {"template"},
    "CronJobSpec": {"jobTemplate"},
    "JobTemplateSpec": {"metadata", "spec"},
    "PodTemplateSpec": {"metadata", "spec"},
    "PodTemplate": {"template"},
    "ServiceStatus": {"loadBalancer"},
    "IngressStatus": {"loadBalancer"},
    "NodeStatus": {"daemonEndpoints", "nodeInfo"},
    "NodeDaemonEndpoints": {"kubeletEndpoint"},
    "PersistentVolumeClaimSpec": {"resources"},
    "HorizontalPodAutoscalerSpec": {"scaleTargetRef"},
    "Event": {"involvedObject", "source", "regarding", "deprecatedSource"},
    "Binding": {"target"},
    "CustomResourceDefinitionSpec": {"names"},
    "CustomResourceDefinitionStatus": {"acceptedNames"},
    "FlowSchemaSpec": {"priorityLevelConfiguration"},
    "VolumeAttachmentSpec": {"source"},
    "ResourceClaimSpec": {"devices"},
    "ResourceClaimTemplateSpec": {"metadata", "spec"},
    "ResourceSliceSpec": {"pool"},
}
_ROOT_BY_VALUE = {"metadata", "spec", "status"}


def child(schema: Schema, key: str) -> Schema:
    """The schema of an object's key; DEDUCED where none is declared."""
    known = schema.properties.get(key)
    if known is not None:
        return known
    if schema.form is Form.MAP and schema.items is not None:
        return schema.items
    return DEDUCED


def is_granular(value: Any, schema: Schema) -> bool:
    """Whether parts of the value have owners of their own."""
    if not isinstance(value, dict | list) or schema.atomic:
        return False
    match schema.form:
        case Form.STRUCT | Form.MAP:
            return isinstance(value, dict)
        case Form.LIST:
            return isinstance(value, list) and schema.list_type != "atomic"
        case Form.ANY:
            return isinstance(value, dict)
        case _:
            return False


def step_of(item: Any, schema: Schema) -> str:
    """The step that leads to an item of a list of type set or map: `v:"x"`, `k:{"name":"fire"}`."""
    if schema.list_type == "set":
        return f"v:{orjson.dumps(item).decode()}"
    properties = schema.items.properties if schema.items is not None else {}
    keys: dict[str, Any] = {}
    for key in schema.map_keys:
        value = item.get(key) if isinstance(item, dict) else None
        if value is None and key in properties:
            value = properties[key].default
        if value is not None:
            keys[key] = value
    return f"k:{orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()}"


def steps_of(items: Iterable[Any], schema: Schema) -> list[str]:
    return [step_of(item, schema) for item in items]


# --- everything that a new object brings -----------------------------------------------------------------------------

_walks: dict[int, tuple[Schema, Walk]] = {}
_owned: dict[tuple[int, bytes], tuple[Schema, Fields]] = {}
_REMEMBERED = 500
_MEMORABLE = 8_192
"""How many specs' owned fields are remembered, and of how many bytes each spec is at most. Nobody changes a node."""
_scalar_forms = frozenset(Form) - {Form.STRUCT, Form.MAP, Form.LIST, Form.ANY}


def everything(value: Any, schema: Schema) -> Fields:
    """The node of a value that was not there before: itself and all below it."""
    return _walk(schema)(value)


def _walk(schema: Schema) -> Walk:
    known = _walks.get(id(schema))
    if known is None:
        known = _walks[id(schema)] = (schema, _make(schema))
    return known[1]


def _leaf(_value: Any) -> Fields:
    return LEAF


def _make(schema: Schema) -> Walk:
    if schema.atomic:
        return _leaf
    match schema.form:
        case Form.STRUCT:
            return _struct(schema)
        case Form.MAP:
            assert schema.items is not None
            return _map(schema.items)
        case Form.LIST if schema.list_type != "atomic":
            return _list(schema)
        case Form.ANY:
            return _deduced
        case _:
            return _leaf


def _struct(schema: Schema) -> Walk:
    names = {key: f"f:{key}" for key in schema.properties}
    scalars = {key for key, inner in schema.properties.items() if inner.form in _scalar_forms}

    def walk(value: Any) -> Fields:
        if type(value) is not dict or not value:
            return LEAF
        out: dict[str, Any] = {SELF: LEAF}
        for key, inner in value.items():
            if key in scalars:
                out[names[key]] = LEAF
            else:
                out[f"f:{key}"] = _walk(child(schema, key))(inner)
        return out

    return walk


def _map(values: Schema) -> Walk:
    if values.form in _scalar_forms or values.atomic:

        def walk_flat(value: Any) -> Fields:
            if type(value) is not dict or not value:
                return LEAF
            out: dict[str, Any] = {SELF: LEAF}
            for key in value:
                out["f:" + key] = LEAF
            return out

        return walk_flat

    def walk(value: Any) -> Fields:
        if type(value) is not dict or not value:
            return LEAF
        inner_walk = _walk(values)
        return {SELF: LEAF, **{f"f:{key}": inner_walk(inner) for key, inner in value.items()}}

    return walk


def _list(schema: Schema) -> Walk:
    assert schema.items is not None
    items = schema.items

    def walk(value: Any) -> Fields:
        if type(value) is not list or not value:
            return LEAF
        inner_walk = _walk(items)
        return {SELF: LEAF, **{step_of(item, schema): inner_walk(item) for item in value}}

    return walk


def _deduced(value: Any) -> Fields:
    if type(value) is not dict or not value:
        return LEAF
    return {SELF: LEAF, **{f"f:{key}": _deduced(inner) for key, inner in value.items()}}


def created(new: Object, schema: Schema) -> Fields:
    """What the creator of an object owns; one of a custom kind has no parts before it has a value for them."""
    if not schema.is_named:
        return owned_root({f"f:{key}": everything(inner, child(schema, key)) for key, inner in new.items()})
    return _created(new, schema, root=True)


def _created(value: Object, schema: Schema, root: bool) -> Fields:
    by_value = _ROOT_BY_VALUE if root else frozenset[str]()
    by_value = by_value | _BY_VALUE.get(schema.short_name, frozenset())
    required = schema.required
    out: dict[str, Any] = {}
    for key, inner in value.items():
        if root and key in _UNOWNED:
            continue
        node_schema = child(schema, key)
        if root and key == "metadata":
            fields: Fields = _metadata(inner, node_schema)
        elif key in by_value and node_schema.form is Form.STRUCT and not node_schema.atomic:
            fields = _specified(inner, node_schema) if root else _created(inner, node_schema, root=False)
        else:
            fields = _walk(node_schema)(inner)
            if key in required and SELF in fields and node_schema.form in {Form.LIST, Form.MAP}:
                fields = {step: node for step, node in fields.items() if step != SELF}
            out[f"f:{key}"] = fields
            continue
        if fields:
            out[f"f:{key}"] = fields
    return out


def _specified(value: Object, schema: Schema) -> Fields:
    """What the creator of a spec or status owns; replicas share theirs, so it is known by its bytes."""
    written = orjson.dumps(value)
    if len(written) > _MEMORABLE:
        return _created(value, schema, root=False)
    known = _owned.get((id(schema), written))
    if known is None:
        if len(_owned) >= _REMEMBERED:
            _owned.clear()
        known = _owned[id(schema), written] = (schema, _created(value, schema, root=False))
    return known[1]


def _metadata(value: Object, schema: Schema) -> Fields:
    return {
        f"f:{key}": _walk(child(schema, key))(inner) for key, inner in value.items() if key not in _UNOWNED_METADATA
    }


# --- what an applied configuration names -----------------------------------------------------------------------------


def named(value: Any, schema: Schema) -> Fields:
    """The set of an applied configuration: leaves, list items and entries of maps, but not the fields on the way."""
    out: dict[str, Any] = {}
    if isinstance(value, dict):
        for key, inner in value.items():
            node = child(schema, key)
            below = named(inner, node) if is_granular(inner, node) else LEAF
            out[f"f:{key}"] = {SELF: LEAF, **below} if below and key not in schema.properties else below
    elif isinstance(value, list):
        items = schema.items or DEDUCED
        for item in value:
            below = named(item, items) if is_granular(item, items) else LEAF
            out[step_of(item, schema)] = {SELF: LEAF, **below} if below else LEAF
    return out


def owned_root(fields: Fields) -> Fields:
    """A root set without the fields that nobody owns."""
    out = {step: node for step, node in fields.items() if step[2:] not in _UNOWNED}
    metadata = out.get("f:metadata")
    if metadata is not None:
        kept = {step: node for step, node in metadata.items() if step[2:] not in _UNOWNED_METADATA and step != SELF}
        if kept:
            out["f:metadata"] = kept
        else:
            del out["f:metadata"]
    return out


# --- what differs ----------------------------------------------------------------------------------------------------


def compare(old: Object, new: Object, schema: Schema) -> tuple[Fields, Fields]:
    """What was added or changed, and what was removed, from one root object to another."""
    changed, removed = _compare_maps(old, new, schema)
    return owned_root(changed), owned_root(removed)


def _compare_maps(old: Object, new: Object, schema: Schema) -> tuple[dict[str, Any], dict[str, Any]]:
    changed: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    for key, inner in new.items():
        if key not in old:
            changed[f"f:{key}"] = everything(inner, child(schema, key))
        else:
            before = old[key]
            if before is not inner and (before != inner or type(before) is not type(inner)):
                fresh, gone = _between(before, inner, child(schema, key))
                if fresh is not None:
                    changed[f"f:{key}"] = fresh
                if gone is not None:
                    removed[f"f:{key}"] = gone
    for key, before in old.items():
        if key not in new:
            removed[f"f:{key}"] = everything(before, child(schema, key))
    return changed, removed


def _between(old: Any, new: Any, schema: Schema) -> tuple[Fields | None, Fields | None]:
    """What changed and what was removed between two different values at one node; None where nothing was."""
    old_parts, new_parts = _parts(old, schema), _parts(new, schema)
    if isinstance(old_parts, dict) and isinstance(new_parts, dict):
        changed, removed = _compare_maps(old_parts, new_parts, schema)
    elif isinstance(old_parts, list) and isinstance(new_parts, list):
        changed, removed = _compare_lists(old_parts, new_parts, schema)
    else:
        return LEAF, None
    return changed or None, removed or None


def _parts(value: Any, schema: Schema) -> Object | list[Any] | None:
    """The container whose parts are compared; null counts as an empty one. None for what is compared as a whole."""
    if value is None and not schema.atomic:
        if schema.form in {Form.STRUCT, Form.MAP}:
            return {}
        if schema.form is Form.LIST and schema.list_type != "atomic":
            return []
    if not is_granular(value, schema):
        return None
    return value  # type: ignore[no-any-return]


def _compare_lists(old: list[Any], new: list[Any], schema: Schema) -> tuple[dict[str, Any], dict[str, Any]]:
    items = schema.items or DEDUCED
    before = {step_of(item, schema): item for item in old}
    after = {step_of(item, schema): item for item in new}
    changed: dict[str, Any] = {}
    removed: dict[str, Any] = {}
    for step, item in after.items():
        if step not in before:
            changed[step] = everything(item, items)
        elif before[step] != item:
            fresh, gone = _between(before[step], item, items)
            if fresh is not None:
                changed[step] = fresh
            if gone is not None:
                removed[step] = gone
    for step, item in before.items():
        if step not in after:
            removed[step] = everything(item, items)
    return changed, removed
