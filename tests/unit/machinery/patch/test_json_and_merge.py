"""JSON patch and JSON merge patch."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery.errors import ApiError
from mizzen.machinery.patch import json as json_patch
from mizzen.machinery.patch import merge

DATA = {"data": {"hue": "grey", "list": ["a", "b"]}}


@pytest.mark.parametrize(
    ("operation", "data"),
    [
        ({"op": "add", "path": "/data/x", "value": 1}, {"hue": "grey", "list": ["a", "b"], "x": 1}),
        ({"op": "replace", "path": "/data/none", "value": 1}, {"hue": "grey", "list": ["a", "b"], "none": 1}),
        ({"op": "remove", "path": "/data/hue"}, {"list": ["a", "b"]}),
        ({"op": "add", "path": "/data/list/-", "value": "c"}, {"hue": "grey", "list": ["a", "b", "c"]}),
        ({"op": "add", "path": "/data/list/0", "value": "c"}, {"hue": "grey", "list": ["c", "a", "b"]}),
        ({"op": "replace", "path": "/data/list/-1", "value": "z"}, {"hue": "grey", "list": ["a", "z"]}),
        ({"op": "move", "from": "/data/hue", "path": "/data/tone"}, {"tone": "grey", "list": ["a", "b"]}),
        ({"op": "copy", "from": "/data/gone", "path": "/data/hue"}, {"hue": None, "list": ["a", "b"]}),
        ({"op": "test", "path": "/data/void", "value": None}, {"hue": "grey", "list": ["a", "b"]}),
    ],
)
def test_an_operation_changes_what_the_original_changes(operation, data):
    before = copy.deepcopy(DATA)
    assert json_patch.apply(DATA, [operation]) == {"data": data}
    assert before == DATA


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/data/gone"},
        {"op": "test", "path": "/data/hue", "value": "red"},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "replace", "path": "", "value": {}},
        {"op": "merge", "path": "/data/x", "value": 1},
        {"op": "move", "path": "/data/x"},
        {"op": "replace", "path": "/data/list/9", "value": 1},
        {"op": "add", "value": 1},
    ],
)
def test_an_operation_that_fails_is_a_bare_422(operation):
    with pytest.raises(ApiError) as caught:
        json_patch.apply(DATA, [operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.details == {}


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (5, "number into Go value of type handlers.jsonPatchOp"),
        ([], "array into Go value of type handlers.jsonPatchOp"),
        ({"op": 5, "path": "/x"}, "number into Go struct field jsonPatchOp.op of type string"),
        ({"op": "add", "path": True}, "bool into Go struct field jsonPatchOp.path of type string"),
        ({"op": "move", "path": "/x", "from": {}}, "object into Go struct field jsonPatchOp.from of type string"),
    ],
)
def test_an_operation_of_the_wrong_types_is_no_patch(operation, why):
    with pytest.raises(ApiError) as caught:
        json_patch.apply(DATA, [operation])
    assert (caught.value.code, caught.value.message) == (400, f"error decoding patch: json: cannot unmarshal {why}")


def test_a_test_tells_a_number_from_its_like():
    json_patch.apply({"n": 1}, [{"op": "test", "path": "/n", "value": 1}])
    for other in (1.0, True, "1"):
        with pytest.raises(ApiError):
            json_patch.apply({"n": 1}, [{"op": "test", "path": "/n", "value": other}])


def test_a_json_patch_that_is_no_list_is_a_400_and_one_too_long_a_413():
    with pytest.raises(ApiError, match=r"cannot unmarshal object into Go value of type \[\]handlers.jsonPatchOp"):
        json_patch.apply(DATA, {})
    with pytest.raises(ApiError) as caught:
        json_patch.apply(DATA, [{}] * 10_001)
    assert caught.value.code == 413


_json = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=10,
)
_objects = st.dictionaries(st.sampled_from("abcd"), _json, max_size=4)


@given(_objects, _objects)
def test_the_merge_patch_between_two_objects_leads_from_one_to_the_other(old, new):
    patch = merge.difference(old, new)
    assert merge.apply(old, patch) == new
    assert merge.apply(new, patch) == new


@given(_objects, _objects)
def test_a_merge_patch_applied_twice_is_applied_once(target, patch):
    once = merge.apply(target, patch)
    assert merge.apply(once, patch) == once


def test_null_removes_and_bodies_that_are_no_object_are_refused():
    assert merge.apply({"a": {"b": 1, "c": 2}}, {"a": {"b": None}, "x": None}) == {"a": {"c": 2}}
    with pytest.raises(ApiError, match="cannot unmarshal array"):
        merge.apply({}, [])


def test_copies_of_copies_end_before_they_fill_the_memory():
    start = {"op": "add", "path": "/x", "value": {"a": "1" * 1000}}
    doubling = [{"op": "copy", "from": "/x", "path": f"/x/k{number}"} for number in range(40)]
    with pytest.raises(ApiError, match="accumulated size increase") as caught:
        json_patch.apply({}, [start, *doubling])
    assert caught.value.code == 422


def test_a_patch_that_nests_ever_deeper_does_not_apply():
    deeper = [{"op": "copy", "from": "/x", "path": "/y/x"}, {"op": "move", "from": "/y", "path": "/x"}]
    steps = [{"op": "add", "path": "/y", "value": {}}, *deeper] * 1000
    with pytest.raises(ApiError) as caught:
        json_patch.apply({"x": {}}, steps)
    assert caught.value.code == 422
