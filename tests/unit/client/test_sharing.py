"""Objects in the cache share what is equal in them, and stay what they were."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mizzen.api.views.core import Node, Pod
from mizzen.client.sharing import Shared
from mizzen.machinery.errors import Object


def pod(name: str, image: str = "web", second: int = 0) -> Object:
    stamp = f"2026-01-01T00:00:{second:02}Z"
    return {
        "metadata": {
            "name": name,
            "namespace": "d",
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "c", "image": image, "resources": {"requests": {"cpu": "1"}}}],
            "tolerations": [{"key": "k", "operator": "Exists"}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": stamp}],
            "containerStatuses": [{"name": "c", "ready": True}],
        },
    }


def test_pods_of_one_template_share_its_parts() -> None:
    shared = Shared()
    one, other = (shared.object(msgspec.convert(pod(name), Pod)) for name in ("a", "b"))
    assert one.spec.containers is other.spec.containers
    assert one.spec.tolerations is other.spec.tolerations
    assert one.spec.nodeName is other.spec.nodeName
    assert one.metadata.labels is other.metadata.labels
    assert one.metadata.ownerReferences is other.metadata.ownerReferences
    assert one.status.conditions[0] is other.status.conditions[0]
    assert one.status.containerStatuses is other.status.containerStatuses


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(("web", "db")), st.integers(0, 3)), max_size=8))
def test_sharing_changes_no_object(pods: list[tuple[str, str, int]]) -> None:
    shared = Shared()
    for name, image, second in pods:
        body = pod(name, image, second)
        assert shared.object(msgspec.convert(body, Pod)) == msgspec.convert(body, Pod)


def test_objects_of_other_kinds_and_empty_ones_stay_as_they_are() -> None:
    shared = Shared()
    assert shared.object(Pod()) == Pod()
    node = {"metadata": {"name": "n1", "labels": {"a": "b"}}}
    assert shared.object(msgspec.convert(node, Node)) == msgspec.convert(node, Node)
