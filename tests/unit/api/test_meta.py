"""ObjectMeta: names, what an update carries over, and what it may not change."""

import pytest

from mizzen.api import meta
from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.pod import POD
from mizzen.machinery.errors import Object


def _pod(**metadata: object) -> Object:
    return {"metadata": {"name": "p", "namespace": "n", "uid": "u", **metadata}}


def _paths(new: Object, old: Object | None = None) -> list[str]:
    return [error.path for error in meta.validate(POD, new, old)]


def test_a_generated_name_is_cut_so_that_it_fits_in_a_label() -> None:
    assert meta.generated_name("web-", "x7k2q") == "web-x7k2q"
    assert len(meta.generated_name("a" * 70, "x7k2q")) == 63


def test_a_dash_at_the_end_of_a_prefix_is_no_mistake() -> None:
    assert _paths(_pod(generateName="web-", name="web-x7k2q")) == []


def test_a_bad_prefix_is_reported_beside_the_name_it_made() -> None:
    assert _paths(_pod(generateName="Web-", name="Web-x7k2q")) == ["metadata.generateName", "metadata.name"]


def test_a_cluster_wide_object_has_no_namespace() -> None:
    errors = list(meta.validate(NAMESPACE, {"metadata": {"name": "a", "namespace": "n"}}, None))
    assert [str(error) for error in errors] == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_annotations_are_limited_in_total_size() -> None:
    assert _paths(_pod(annotations={"a": "x" * (256 << 10)})) == ["metadata.annotations"]


def test_annotation_keys_may_have_capitals() -> None:
    assert _paths(_pod(annotations={"Acme.test/Key": "v"})) == []


def test_only_one_owner_controls() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1", "controller": True}
    assert _paths(_pod(ownerReferences=[owner, {**owner, "name": "b", "uid": "2"}])) == ["metadata.ownerReferences"]


@pytest.mark.parametrize("field", ["name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"])
def test_what_is_immutable_is_reported_twice(field: str) -> None:
    assert _paths(_pod(**{field: "other"}), _pod()) == [f"metadata.{field}"] * 2


def test_a_bad_label_on_update_is_reported_as_often_as_clients_know_it() -> None:
    new, old = _pod(labels={"a b": "c"}), _pod()
    assert _paths(new, old) == ["metadata.labels"] * 4
    assert len(list(meta.validate(DEPLOYMENT, new, old))) == 3


def test_an_object_being_deleted_takes_no_new_finalizers() -> None:
    old = _pod(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["acme.test/a"])
    new = _pod(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["acme.test/a", "acme.test/b"])
    assert _paths(new, old) == ["metadata.finalizers"] * 2


def test_a_generation_does_not_go_back() -> None:
    assert "metadata.generation" in _paths(_pod(generation=1), _pod(generation=2))


def test_an_update_keeps_what_clients_leave_out() -> None:
    old = _pod(
        creationTimestamp="2026-01-01T00:00:00Z",
        deletionTimestamp="2026-01-02T00:00:00Z",
        deletionGracePeriodSeconds=30,
    )
    new = {"metadata": {"name": "p", "namespace": "n", "creationTimestamp": "1999-01-01T00:00:00Z"}}
    meta.carry_over(new, old)
    assert new == old
