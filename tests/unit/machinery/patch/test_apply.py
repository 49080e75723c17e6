"""Server-side apply: ownership, conflicts, giving up, and the tracking of other writes."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery import structural
from mizzen.machinery.errors import ApiError
from mizzen.machinery.patch.apply import (
    Writer,
    apply,
    combine,
    entries,
    lastapplied,
    record_create,
    record_update,
    sets,
    walk,
)
from mizzen.machinery.schema import DEDUCED, Form, Schema, registry

CONFIG_MAP = registry.find("", "v1", "ConfigMap")
DEPLOYMENT = registry.find("apps", "v1", "Deployment")
POD = registry.find("", "v1", "Pod")
assert CONFIG_MAP is not None and DEPLOYMENT is not None and POD is not None
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def writer(manager: str, now: str = EARLY, **more) -> Writer:
    return Writer(manager, "v1", now, **more)


def tile(**data: str | None) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tile"}, "data": data}


def owners(thing: dict) -> dict:
    return {entry["manager"]: entry["fieldsV1"] for entry in thing["metadata"].get("managedFields", [])}


def test_a_field_given_up_vanishes():
    first = apply(None, tile(a="1", b="2"), writer("alpha"), CONFIG_MAP)
    assert owners(first) == {"alpha": {"f:data": {"f:a": {}, "f:b": {}}}}
    second = apply(first, tile(a="1"), writer("alpha"), CONFIG_MAP)
    assert second["data"] == {"a": "1"}
    assert owners(second) == {"alpha": {"f:data": {"f:a": {}}}}


def test_an_object_without_owners_has_none_until_somebody_applies():
    cleared = {**tile(a="1"), "metadata": {"name": "tile", "labels": {"app": "x"}}}
    edited = {**cleared, "data": {"a": "2"}}
    assert record_update(cleared, edited, writer("editor"), CONFIG_MAP) == []
    labelled = {**tile(), "metadata": {"name": "tile", "labels": {"tier": "web"}}}
    live = apply(edited, labelled, writer("robot"), CONFIG_MAP)
    assert set(owners(live)) == {"robot", "before-first-apply"}
    assert apply(live, tile(), writer("robot"), CONFIG_MAP)["metadata"]["labels"] == {"app": "x"}


def test_conflicts_are_refused_with_a_cause_each():
    live = apply(None, tile(a="1", b="1"), writer("alpha"), CONFIG_MAP)
    with pytest.raises(ApiError) as caught:
        apply(live, tile(a="2", b="2"), writer("beta"), CONFIG_MAP)
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert caught.value.message == 'Apply failed with 2 conflicts: conflicts with "alpha":\n- .data.a\n- .data.b'
    assert caught.value.details["causes"][0] == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "alpha"',
        "field": ".data.a",
    }


def test_force_takes_a_field_from_its_owner():
    live = record(tile(a="1", b="1"), "editor")
    with pytest.raises(ApiError, match=r'1 conflict: conflict with "editor" using v1: \.data\.a'):
        apply(live, tile(a="2"), writer("robot"), CONFIG_MAP)
    forced = apply(live, tile(a="2"), writer("robot"), CONFIG_MAP, force=True)
    assert forced["data"] == {"a": "2", "b": "1"}
    assert owners(forced) == {"robot": {"f:data": {"f:a": {}}}, "editor": {"f:data": {".": {}, "f:b": {}}}}


def record(thing: dict, manager: str, schema: Schema = CONFIG_MAP) -> dict:
    return {**thing, "metadata": {**thing["metadata"], "managedFields": record_create(thing, writer(manager), schema)}}


def test_equal_values_are_shared_and_stay_while_one_owner_is_left():
    live = apply(None, tile(a="1"), writer("alpha"), CONFIG_MAP)
    live = apply(live, tile(a="1"), writer("beta"), CONFIG_MAP)
    live = apply(live, tile(), writer("alpha"), CONFIG_MAP)
    assert live["data"] == {"a": "1"}
    assert owners(live) == {"beta": {"f:data": {"f:a": {}}}, "alpha": {"f:data": {}}}


def test_an_apply_that_changes_nothing_answers_what_was_there():
    live = apply(None, tile(a="1"), writer("alpha"), CONFIG_MAP)
    assert apply(live, tile(a="1"), writer("alpha", LATE), CONFIG_MAP) == live


def test_what_was_there_before_the_first_apply_has_an_owner():
    live = {**tile(a="1"), "metadata": {"name": "tile", "uid": "u"}}
    with pytest.raises(ApiError, match=r'"before-first-apply" using v1: \.data\.a'):
        apply(live, tile(a="2"), writer("alpha"), CONFIG_MAP)


def test_managed_fields_may_not_be_applied():
    body = tile(a="1")
    body["metadata"]["managedFields"] = []
    with pytest.raises(ApiError, match=r"metadata\.managedFields must be nil"):
        apply(None, body, writer("alpha"), CONFIG_MAP)


def test_an_undeclared_field_is_refused_with_its_path():
    with pytest.raises(ApiError, match=r"\(/tile; /v1, Kind=ConfigMap\): .shape: field not declared in schema"):
        apply(None, {**tile(), "shape": "x"}, writer("alpha"), CONFIG_MAP)


def test_a_field_of_another_type_is_refused_with_what_was_expected():
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"priority": "high"}}
    wanted = r"\(/p; /v1, Kind=Pod\): \.spec\.priority: expected numeric \(int or float\), got string"
    with pytest.raises(ApiError, match=wanted):
        apply(None, body, writer("alpha"), POD)


def kiln(*containers: dict, **spec) -> dict:
    template = {"metadata": {"labels": {"app": "kiln"}}, "spec": {"containers": list(containers)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kiln"},
        "spec": {"selector": {"matchLabels": {"app": "kiln"}}, "template": template, **spec},
    }


def test_items_of_a_list_have_owners_of_their_own():
    live = apply(None, kiln({"name": "one", "image": "1"}), writer("alpha"), DEPLOYMENT)
    partial = {**kiln({"name": "two", "image": "2", "ports": [{"containerPort": 80}]})}
    del partial["spec"]["selector"]
    both = apply(live, partial, writer("beta"), DEPLOYMENT)
    assert [each["name"] for each in both["spec"]["template"]["spec"]["containers"]] == ["one", "two"]
    item = owners(both)["beta"]["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"two"}']
    port = {".": {}, "f:containerPort": {}}
    assert item["f:ports"] == {'k:{"containerPort":80,"protocol":"TCP"}': port}
    gone = apply(both, kiln({"name": "three"}), writer("alpha"), DEPLOYMENT)
    assert {each["name"] for each in gone["spec"]["template"]["spec"]["containers"]} == {"two", "three"}


def test_atomic_lists_and_maps_have_one_owner():
    live = apply(None, kiln({"name": "one", "args": ["a"]}), writer("alpha"), DEPLOYMENT)
    with pytest.raises(ApiError, match=r'\.spec\.template\.spec\.containers\[name="one"\]\.args'):
        apply(live, kiln({"name": "one", "args": ["a", "b"]}), writer("beta"), DEPLOYMENT)


def test_an_item_without_its_required_key_is_left_to_validation():
    made = apply(None, kiln({"image": "x"}), writer("alpha"), DEPLOYMENT)
    assert made["spec"]["template"]["spec"]["containers"] == [{"image": "x"}]


@pytest.mark.parametrize(
    ("containers", "problem"),
    [
        ([{"image": "x"}, {"image": "y"}], r'duplicate entries for key \[name=""\]'),
        ([{"name": "a"}, {"name": "a"}], r'duplicate entries for key \[name="a"\]'),
    ],
)
def test_items_with_equal_keys_are_refused(containers, problem):
    with pytest.raises(ApiError, match=problem) as caught:
        apply(None, kiln(*containers), writer("alpha"), DEPLOYMENT)
    assert caught.value.code == 400


def test_a_creator_owns_what_it_sent_but_not_the_structs_every_object_has():
    thing = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cup", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}], "volumes": [{"name": "v"}]},
    }
    assert record_create(thing, writer("alpha"), POD)[0]["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {
            "f:containers": {
                'k:{"name":"main"}': {
                    ".": {},
                    "f:name": {},
                    "f:resources": {".": {}, "f:requests": {".": {}, "f:cpu": {}}},
                }
            },
            "f:volumes": {".": {}, 'k:{"name":"v"}': {".": {}, "f:name": {}}},
        },
    }


def test_a_creator_of_a_custom_resource_owns_the_parts_that_it_has_as_such_too():
    names = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}
    spec = {"type": "object", "properties": {"names": names, "size": {"type": "integer"}}, "required": ["names"]}
    schema = structural.build({"type": "object", "properties": {"spec": spec}})
    thing = {
        "apiVersion": "ex.test/v1",
        "kind": "Kite",
        "metadata": {"name": "k", "labels": {"a": "b"}},
        "spec": {"names": ["x"], "size": 2},
    }
    assert record_create(thing, writer("alpha"), schema)[0]["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {".": {}, "f:names": {".": {}, 'v:"x"': {}}, "f:size": {}},
    }


def test_who_applies_an_entry_of_a_map_owns_it_as_such():
    size = {"type": "object", "properties": {"size": {"type": "integer"}}}
    properties = {
        "open": {"x-kubernetes-preserve-unknown-fields": True},
        "sizes": {"type": "object", "additionalProperties": size},
    }
    spec = {"type": "object", "properties": properties}
    schema = structural.build({"type": "object", "properties": {"spec": spec}})
    kite = {"apiVersion": "v1", "kind": "Kite", "metadata": {"name": "k"}}
    applied = kite | {"spec": {"open": {"x": {"y": 1}, "z": [1]}, "sizes": {"a": {"size": 2}}}}
    assert owners(apply(None, applied, writer("alpha"), schema)) == {
        "alpha": {
            "f:spec": {
                "f:open": {"f:x": {".": {}, "f:y": {}}, "f:z": {}},
                "f:sizes": {"f:a": {".": {}, "f:size": {}}},
            }
        }
    }


def updated(live: dict, new: dict, manager: str, now: str = LATE, **more) -> dict:
    managed = record_update(live, new, writer(manager, now, **more), CONFIG_MAP)
    return {**new, "metadata": {**new["metadata"], "managedFields": managed}}


def test_an_update_owns_what_it_changed_and_takes_it_from_the_others():
    live = record(tile(a="1", b="1"), "alpha")
    new = updated(live, tile(a="2", b="1", c="1"), "beta")
    assert owners(new) == {
        "alpha": {"f:data": {".": {}, "f:b": {}}},
        "beta": {"f:data": {"f:a": {}, "f:c": {}}},
    }
    assert owners(updated(new, tile(b="1"), "gamma")) == {"alpha": {"f:data": {".": {}, "f:b": {}}}}


def test_an_update_that_changes_nothing_keeps_every_entry_as_it_was():
    live = record(tile(a="1"), "alpha")
    assert updated(live, copy.deepcopy(live), "beta") == live


@pytest.mark.parametrize("cleared", [[], [{}]])
def test_a_client_may_clear_the_managed_fields(cleared):
    live = record(tile(a="1"), "alpha")
    new = copy.deepcopy(live)
    new["metadata"]["managedFields"] = cleared
    assert updated(live, new, "beta")["metadata"]["managedFields"] == []


def test_nonsense_managed_fields_of_a_client_are_passed_over():
    live = record(tile(a="1"), "alpha")
    new = copy.deepcopy(live)
    new["metadata"]["managedFields"] = [{"manager": "forged", "operation": "Steal", "fieldsV1": {"f:x": {}}}]
    assert updated(live, new, "beta") == live


def test_fields_that_an_endpoint_does_not_write_are_not_owned_through_it():
    fields = record_create(
        {"metadata": {}, "spec": {"replicas": 1}, "status": {"replicas": 1}},
        writer("alpha", reset={"f:status": {}}),
        DEPLOYMENT,
    )
    assert fields[0]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


def test_the_oldest_of_more_than_ten_updaters_are_merged():
    live = record(tile(k="0"), "m00")
    for number in range(1, 12):
        data = {**live["data"], f"x{number}": "1"}
        live = updated(live, tile(**data), f"m{number:02}", f"2026-01-{number + 1:02}T00:00:00Z")
    names = [entry["manager"] for entry in live["metadata"]["managedFields"]]
    assert names == ["ancient-changes", *(f"m{number:02}" for number in range(3, 12))] or len(names) == 10
    assert "ancient-changes" in names


def test_without_a_schema_objects_are_owned_by_key_and_lists_whole():
    schema = Schema(Form.STRUCT, {"metadata": DEPLOYMENT.properties["metadata"]}, preserve=True)
    thing = {"apiVersion": "x/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"a": {"b": 1}, "l": [1, 2]}}
    live = apply(None, thing, writer("alpha"), schema)
    assert owners(live) == {"alpha": {"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}}, "f:l": {}}}}
    assert schema.properties.get("spec", DEDUCED) is DEDUCED


# --- properties ---

_step = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', "v:1"])
_node = st.recursive(
    st.just({}),
    lambda inner: st.builds(
        lambda below, member: {**({".": {}} if member and below else {}), **below},
        st.dictionaries(_step, inner, min_size=1, max_size=3),
        st.booleans(),
    ),
    max_leaves=6,
)
_fields = st.dictionaries(_step, _node, max_size=3)


def members(fields: dict) -> set[str]:
    return set(sets.paths(fields))


@given(_fields, _fields)
def test_set_operations_are_those_of_sets_of_paths(left, right):
    assert members(sets.union(left, right)) == members(left) | members(right)
    assert members(sets.intersection(left, right)) == members(left) & members(right)
    assert members(sets.difference(left, right)) == members(left) - members(right)


_data = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"]), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), _data), max_size=6))
def test_applying_the_same_again_changes_nothing_and_owners_own_only_what_is_there(history):
    live = None
    for manager, data in history:
        live = apply(live, tile(**data), writer(manager), CONFIG_MAP, force=True)
        assert apply(live, tile(**data), writer(manager), CONFIG_MAP) == live
        present = {f".data.{key}" for key in live["data"]}
        for fields in owners(live).values():
            assert {path for path in members(fields) if path != ".data"} <= present


@given(_data, _data)
def test_what_changed_and_what_vanished_account_for_the_whole_difference(old, new):
    changed, removed = walk.compare(tile(**old), tile(**new), CONFIG_MAP)
    assert members(changed) == {f".data.{key}" for key in new if old.get(key) != new[key]}
    assert members(removed) == {f".data.{key}" for key in old if key not in new}


@given(_data, st.sampled_from(["alpha", "beta"]))
def test_entries_survive_writing_and_reading(data, manager):
    managed = record_create(tile(**data), writer(manager), CONFIG_MAP)
    assert entries.write(entries.read(managed) or {}) == managed


def client_side(**data: str) -> dict:
    """What kubectl's client-side apply leaves: its manifest in an annotation, itself as an updater."""
    note = {lastapplied.ANNOTATION: json.dumps(tile(**data))}
    return record({**tile(**data), "metadata": {"name": "tile", "annotations": note}}, "kubectl-client-side-apply")


def test_kubectl_takes_over_what_it_applied_on_the_client_side():
    live = client_side(a="1", b="1")
    applied = apply(live, tile(a="2", b="1"), writer("kubectl"), CONFIG_MAP)
    assert applied["data"] == {"a": "2", "b": "1"}
    assert json.loads(applied["metadata"]["annotations"][lastapplied.ANNOTATION]) == tile(a="2", b="1")
    with pytest.raises(ApiError, match=r'conflict with "kubectl-client-side-apply" using v1: \.data\.a'):
        apply(live, tile(a="2"), writer("another"), CONFIG_MAP)


def test_kubectl_does_not_take_over_what_others_changed_since():
    live = client_side(a="1", b="1")
    live["data"]["a"] = "rival"
    with pytest.raises(ApiError, match=r"1 conflict: .*: \.data\.a"):
        apply(live, tile(a="2", b="2"), writer("kubectl"), CONFIG_MAP)


def test_replicas_share_the_record_of_their_spec_and_keep_their_own_afterwards():
    spec = {"containers": [{"name": "a", "image": "one"}]}
    first = record({"metadata": {"name": "p1"}, "spec": copy.deepcopy(spec)}, "robot", POD)
    before = copy.deepcopy(owners(first))
    changed = copy.deepcopy(first)
    changed["spec"]["containers"][0]["image"] = "two"
    record_update(first, changed, writer("hand", LATE), POD)
    second = record({"metadata": {"name": "p2"}, "spec": copy.deepcopy(spec)}, "robot", POD)
    other = record({"metadata": {"name": "p3"}, "spec": {**spec, "hostNetwork": True}}, "robot", POD)
    assert owners(second) == before
    assert "f:hostNetwork" in owners(other)["robot"]["f:spec"]


def partial_tiles() -> st.SearchStrategy[dict]:
    """Deployments with some of a few fields, containers and environment variables."""
    names = st.lists(st.sampled_from("abc"), unique=True)
    variables = st.lists(st.sampled_from("XYZ"), unique=True).map(lambda found: [{"name": name} for name in found])
    containers = st.dictionaries(st.sampled_from("pqr"), st.tuples(variables, st.booleans()), max_size=3).map(
        lambda found: [
            {"name": name, "env": env, **({"image": "i"} if imaged else {})} for name, (env, imaged) in found.items()
        ]
    )

    def built(labels: list[str], containers: list[dict], paused: bool, node: list[str]) -> dict:
        pod = {"containers": containers, "nodeSelector": dict.fromkeys(node, "1")}
        spec = {"template": {"metadata": {"labels": dict.fromkeys(labels, "1")}, "spec": pod}}
        return {"metadata": {"name": "d"}, "spec": {**spec, "paused": True} if paused else spec}

    return st.builds(built, names, containers, st.booleans(), names)


@given(live=partial_tiles(), applied=partial_tiles(), others=st.lists(partial_tiles(), max_size=2))
def test_what_somebody_still_names_is_never_taken_out(live, applied, others):
    merged = combine.merge(live, applied, DEPLOYMENT)
    last = walk.named(applied, DEPLOYMENT)
    owned = last
    for other in others:
        owned = sets.union(owned, walk.created(other, DEPLOYMENT))
    assert combine.prune(merged, last, owned, DEPLOYMENT) == merged
    assert combine.prune_thoroughly(merged, last, owned, DEPLOYMENT) == merged


@given(left=partial_tiles(), right=partial_tiles())
def test_sets_overlap_where_they_have_a_member_in_common(left, right):
    one, other = walk.named(left, DEPLOYMENT), walk.created(right, DEPLOYMENT)
    assert sets.overlap(one, other) == sets.overlap(other, one) == bool(sets.intersection(one, other))


def test_who_owned_parts_of_what_became_indivisible_owns_it_as_a_whole():
    def schema(**extension: str) -> Schema:
        entries = {"type": "object", "additionalProperties": {"type": "string"}, **extension}
        return structural.build({"type": "object", "properties": {"spec": entries}})

    def kite(**spec: str) -> dict:
        return {"apiVersion": "ex.test/v1", "kind": "Kite", "metadata": {"name": "k"}, "spec": spec}

    live = apply(None, kite(a="1"), writer("alpha"), schema())
    live = apply(live, kite(b="1"), writer("beta"), schema())
    whole = schema(**{"x-kubernetes-map-type": "atomic"})
    edited = {**live, "spec": {"a": "1", "b": "2"}}
    assert [entry["manager"] for entry in record_update(live, edited, writer("editor", LATE), whole)] == ["editor"]
    with pytest.raises(ApiError, match=r'conflict with "alpha": \.spec'):
        apply(live, kite(b="2"), writer("beta"), whole)
    forced = apply(live, kite(b="2"), writer("beta"), whole, force=True)
    assert (forced["spec"], owners(forced)) == ({"b": "2"}, {"beta": {"f:spec": {}}})
