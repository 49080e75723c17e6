"""What a node may change of volumes: it lets go of its own that are being deleted, and nothing else."""

from typing import Any

import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import Identity
from mizzen.server.admission.noderestriction import NodeRestriction
from mizzen.server.authz.chain import Superusers
from mizzen.server.seams import Admission

NODE = Identity("system:node:n1", groups=("system:nodes",))


def volume(host: str = "n1", finalizers: tuple[str, ...] = ("mizzen.io/local-path",), **rest: Any) -> Object:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}
    spec = {"local": {"path": "/v"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}, **rest}
    found = made("v", "", spec=spec)
    found["metadata"] |= {"finalizers": list(finalizers), "deletionTimestamp": "2026-01-01T00:00:00Z"}
    return found


def update(old: Object, new: Object) -> Admission:
    return Admission("UPDATE", PERSISTENT_VOLUME, "", "", "v", NODE, new, old)


def test_a_node_releases_a_deleted_volume_on_its_own_disk() -> None:
    NodeRestriction(FakeReader(), Superusers()).mutate(update(volume(), volume(finalizers=())))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (volume(host="n2"), volume(host="n2", finalizers=())),
        (volume(), volume(finalizers=(), capacity={"storage": "1Ti"})),
        (volume(finalizers=("mizzen.io/local-path", "other")), volume(finalizers=())),
        (volume(), volume(finalizers=("mine",))),
    ],
)
def test_a_node_changes_nothing_else_of_a_volume(old: Object, new: Object) -> None:
    with pytest.raises(ApiError, match="can only release local volumes"):
        NodeRestriction(FakeReader(), Superusers()).mutate(update(old, new))


def test_a_volume_that_is_not_being_deleted_stays_as_it_is() -> None:
    old, new = volume(), volume(finalizers=())
    del old["metadata"]["deletionTimestamp"], new["metadata"]["deletionTimestamp"]
    with pytest.raises(ApiError):
        NodeRestriction(FakeReader(), Superusers()).mutate(update(old, new))
