"""Strategic merge patch."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery.errors import ApiError
from mizzen.machinery.patch import strategic
from mizzen.machinery.schema import registry

POD = registry.find("", "v1", "Pod")
DEPLOYMENT = registry.find("apps", "v1", "Deployment")
SERVICE = registry.find("", "v1", "Service")
assert POD is not None and DEPLOYMENT is not None and SERVICE is not None


def pod(*names: str) -> dict:
    return {"spec": {"containers": [{"name": name, "image": f"{name}:1"} for name in names]}}


def names_after(patch: list, *before: str) -> list:
    patched = strategic.apply(pod(*before), {"spec": {"containers": patch}}, POD)
    return [container["name"] for container in patched["spec"]["containers"]]


def test_lists_merge_by_key_and_other_lists_are_replaced():
    target = {"spec": {"containers": [{"name": "a", "image": "a:1", "args": ["x"]}, {"name": "b"}]}}
    patch = {"spec": {"containers": [{"name": "a", "args": ["y"]}]}}
    assert strategic.apply(target, patch, POD) == {
        "spec": {"containers": [{"name": "a", "image": "a:1", "args": ["y"]}, {"name": "b"}]}
    }


def test_items_that_are_new_stand_before_those_that_were_there():
    assert names_after([{"name": "new"}], "a", "b") == ["new", "a", "b"]


def test_an_item_is_deleted_or_the_list_replaced():
    assert names_after([{"name": "a", "$patch": "delete"}], "a", "b") == ["b"]
    assert names_after([{"name": "c"}, {"$patch": "replace"}], "a", "b") == ["c"]


def test_an_element_order_sorts_the_list():
    patch = {"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}
    patched = strategic.apply(pod("a", "b"), patch, POD)
    assert [each["name"] for each in patched["spec"]["containers"]] == ["b", "a"]


def test_primitives_are_a_set_from_which_items_can_be_deleted():
    target = {"metadata": {"finalizers": ["x/one", "x/two"]}}
    added = strategic.apply(target, {"metadata": {"finalizers": ["x/three", "x/one"]}}, POD)
    assert sorted(added["metadata"]["finalizers"]) == ["x/one", "x/three", "x/two"]
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/one"]}}
    assert strategic.apply(target, patch, POD) == {"metadata": {"finalizers": ["x/two"]}}


def test_retained_keys_clear_the_others():
    target = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic.apply(target, patch, DEPLOYMENT) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_maps_can_be_replaced_and_deleted():
    target = {"metadata": {"labels": {"a": "1"}}}
    assert strategic.apply(target, {"metadata": {"labels": {"$patch": "replace", "b": "2"}}}, POD) == {
        "metadata": {"labels": {"b": "2"}}
    }
    assert strategic.apply(target, {"metadata": {"labels": {"$patch": "delete"}}}, POD) == {"metadata": {"labels": {}}}


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"$patch": "merge"}},
        {"spec": {"containers": [{"image": "x"}]}},
        {"spec": {"containers": [{"name": "a", "$patch": "odd"}]}},
        {"spec": {"$retainKeys": "x"}},
        {"spec": {"$retainKeys": ["nodeName"], "hostname": "x"}},
        {"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}},
        [],
    ],
)
def test_directives_that_make_no_sense_are_a_400(patch):
    with pytest.raises(ApiError) as caught:
        strategic.apply(pod("a"), patch, POD)
    assert caught.value.code == 400


_ports = st.lists(st.integers(1, 6), unique=True, max_size=5).map(
    lambda numbers: {"spec": {"ports": [{"port": each, "name": f"p{each}"} for each in numbers]}}
)


@given(_ports, _ports)
def test_a_patch_applied_twice_is_applied_once_and_loses_nothing(target, patch):
    before = copy.deepcopy((target, patch))
    once = strategic.apply(target, patch, SERVICE)
    assert strategic.apply(once, patch, SERVICE) == once
    assert {each["port"] for each in once["spec"]["ports"]} == {
        each["port"] for source in (target, patch) for each in source["spec"]["ports"]
    }
    assert (target, patch) == before
