"""Devices of plugins and of dynamic resources: who can have which, and what that does to a container."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mizzen.agent.devices import checkpoint, ledger, preparation
from mizzen.agent.devices.ledger import Assignment, Choice, DeviceFailure, Offer
from mizzen.agent.devices.preparation import ClaimFailure, PreparedDevice, Record
from mizzen.agent.runtime.base import Device, Mount
from mizzen.api.views.podspec import Container, Pod
from mizzen.wire import deviceplugin

GPU = "test.io/gpu"


def pod(uid: str = "u1", inits: tuple[dict[str, Any], ...] = (), status: Any = None, **spec: Any) -> Pod:
    """A pod whose container c asks for a device."""
    one = {"name": "c", "resources": {"limits": {GPU: "1", "cpu": "1"}}}
    body = {
        "metadata": {"uid": uid, "name": "p", "namespace": "default"},
        "spec": {"containers": [one], "initContainers": inits, **spec},
        "status": status,
    }
    return msgspec.convert(body, Pod)


def offers(*healthy: str, bad: tuple[str, ...] = (), lost_at: float | None = None) -> dict[str, Offer]:
    return {GPU: Offer(frozenset(healthy), frozenset(bad), lost_at)}


def test_unhealthy_devices_count_in_capacity_alone() -> None:
    assert ledger.amounts(offers("a", "b", bad=("c",)), 0) == ({GPU: "3"}, {GPU: "2"})


def test_nothing_is_left_of_a_plugin_that_went_long_ago() -> None:
    lost = {GPU: offers("a", "b")[GPU].lost(100)}
    assert ledger.amounts(lost, 101) == ({GPU: "2"}, {GPU: "0"})
    assert ledger.amounts(lost, 100 + ledger.FORGOTTEN_AFTER) == ({GPU: "0"}, {GPU: "0"})


@pytest.mark.parametrize(
    ("name", "extended"),
    [("test.io/gpu", True), ("cpu", False), ("kubernetes.io/x", False), ("requests.a.io/x", False), ("a.io/", False)],
)
def test_a_plugin_offers_resources_of_a_domain_of_its_own(name: str, extended: bool) -> None:
    assert ledger.is_extended(name) is extended


def test_a_container_gets_only_what_no_other_has() -> None:
    taken = [Assignment("u2", "c", GPU, ("a",))]
    assert ledger.choice(pod(), (GPU, 1), offers("a", "b"), taken) == Choice((), ("b",), 1)


@pytest.mark.parametrize(
    ("offered", "text"),
    [
        (offers("a"), "requested number of devices unavailable for test.io/gpu. Requested: 1, Available: 0"),
        (offers(bad=("a",)), "no healthy devices present; cannot allocate unhealthy devices test.io/gpu"),
        (offers(bad=("a",), lost_at=1), "no healthy devices present; cannot allocate unhealthy devices test.io/gpu"),
        (offers(lost_at=1), "can't allocate unregistered device test.io/gpu"),
    ],
)
def test_devices_that_cannot_be_had_are_told_of(offered: dict[str, Offer], text: str) -> None:
    with pytest.raises(DeviceFailure, match=text.replace(".", "[.]")):
        ledger.choice(pod(), (GPU, 1), offered, [Assignment("u2", "c", GPU, ("a",))])


def test_a_container_takes_over_the_devices_of_an_init_container() -> None:
    limits = {"limits": {GPU: "1"}}
    one = pod(inits=({"name": "i", "resources": limits}, {"name": "s", "restartPolicy": "Always"}))
    assigned = [Assignment("u1", "i", GPU, ("a",))]
    assert ledger.choice(one, (GPU, 1), offers("a", "b"), assigned).filled() == ("a",)
    assigned.append(Assignment("u1", "s", GPU, ("a",)))
    assert ledger.choice(one, (GPU, 1), offers("a", "b"), assigned).filled() == ("b",)


def test_what_the_plugin_prefers_comes_first_and_what_it_cannot_give_not_at_all() -> None:
    choice = Choice(("a",), ("b", "c", "d"), 3)
    assert choice.filled() == ("a", "b", "c")
    assert choice.filled(["d", "x"]) == ("a", "b", "d")


def test_only_resources_of_plugins_are_asked_of_them() -> None:
    assert [(one.name, name, count) for one, name, count in ledger.wanted(pod(), [GPU, "other.io/x"])] == [
        ("c", GPU, 1)
    ]
    assert not list(ledger.wanted(pod(), []))


def test_answers_of_several_plugins_are_merged_and_the_first_one_counts() -> None:
    mount = {"host_path": "/lib/x", "container_path": "/x", "read_only": 1}
    device = {"host_path": "/dev/null", "container_path": "/dev/gpu0", "permissions": "rw"}
    answers = [
        {"envs": {"A": "1"}, "mounts": [mount], "devices": [device], "cdi_devices": [{"name": "t.io/gpu=a"}]},
        {"envs": {"A": "2", "B": "3"}, "mounts": [{**mount, "host_path": "/other"}], "annotations": {"k": "v"}},
    ]
    encoded = [deviceplugin.encode("ContainerAllocateResponse", one) for one in answers]
    found = ledger.granted(deviceplugin.decode("ContainerAllocateResponse", one) for one in encoded)
    assert dict(found.env) == {"A": "1", "B": "3"}
    assert found.mounts == (Mount("/lib/x", "/x", read_only=True),)
    assert found.devices == (Device("/dev/null", "/dev/gpu0", "rw"),)
    assert (found.annotations, found.cdi) == ({"k": "v"}, ("t.io/gpu=a",))


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path) == ([], [])
    assigned = [Assignment("u1", "c", GPU, ("a", "b"), b"\x0a\xff")]
    checkpoint.write(tmp_path, assigned, {GPU: {"a", "b", "c"}})
    assert checkpoint.read(tmp_path) == (assigned, [GPU])
    (tmp_path / checkpoint.NAME).write_bytes(b'{"Data":')
    assert checkpoint.read(tmp_path) == ([], [])


CLAIMED = ({"name": "mine", "resourceClaimTemplateName": "t"}, {"name": "ours", "resourceClaimName": "shared"})
MADE = {"resourceClaimStatuses": [{"name": "mine", "resourceClaimName": "p-mine-x"}]}


def claim(*reserved: str, driver: str = "gpu.test.io") -> dict[str, Any]:
    allocation = {"devices": {"results": [{"request": "r", "driver": driver, "pool": "p", "device": "d"}]}}
    return {
        "metadata": {"name": "shared", "namespace": "default", "uid": "c1"},
        "status": {"allocation": allocation, "reservedFor": [{"resource": "pods", "uid": uid} for uid in reserved]},
    }


def test_claims_are_those_that_the_pod_names_and_those_made_for_it() -> None:
    assert preparation.names_of(pod(resourceClaims=CLAIMED, status=MADE)) == ("p-mine-x", "shared")
    unneeded = {"resourceClaimStatuses": [{"name": "mine"}]}
    assert preparation.names_of(pod(resourceClaims=CLAIMED, status=unneeded)) == ("shared",)
    with pytest.raises(ClaimFailure, match="pod claim mine"):
        preparation.names_of(pod(resourceClaims=CLAIMED))


def test_a_claim_must_be_allocated_and_reserved_for_the_pod() -> None:
    assert preparation.new_record(pod(), claim("u1")).DriverState == {"gpu.test.io": ()}
    with pytest.raises(ClaimFailure, match="is not allowed to use resource claim shared"):
        preparation.new_record(pod(), claim("u2"))
    with pytest.raises(ClaimFailure, match="is not allocated"):
        preparation.new_record(pod(), {**claim(), "status": {"reservedFor": [{"uid": "u1"}]}})


def test_what_a_driver_says_of_each_claim_is_kept_or_refused() -> None:
    record = preparation.new_record(pod(), claim("u1"))
    device = {"request_names": ["r"], "pool_name": "p", "device_name": "d", "cdi_device_ids": ["t.io/gpu=d"]}
    good = {"claims": [{"key": "c1", "value": {"devices": [device], "error": ""}}]}
    (after,) = preparation.answered([record], "gpu.test.io", good)
    assert after.DriverState == {"gpu.test.io": (PreparedDevice("p", "d", ("r",), ("t.io/gpu=d",)),)}
    for answer, text in (
        ({"claims": []}, "NodePrepareResources skipped 1 ResourceClaims"),
        ({"claims": [{"key": "c1", "value": {"error": "boom"}}]}, "failed for ResourceClaim shared: boom"),
        ({"claims": [{"key": "c9", "value": {}}]}, "unknown claim UID c9"),
    ):
        with pytest.raises(ClaimFailure, match=text):
            preparation.answered([record], "gpu.test.io", answer)


def test_a_container_gets_the_devices_of_the_requests_that_it_names() -> None:
    devices = (
        PreparedDevice("p", "d1", ("one",), ("t.io/gpu=1",)), PreparedDevice("p", "d2", ("two/big",), ("t.io/gpu=2",)),
        PreparedDevice("p", "d3", (), ("t.io/all=x",)),
    )  # fmt: skip
    record = Record("c1", "shared", "default", ("u1",), {"gpu.test.io": devices}, Prepared=True)
    records, one = {record.key: record}, pod(resourceClaims=CLAIMED, status=MADE)

    def given(*claims: dict[str, str]) -> tuple[str, ...]:
        container = msgspec.convert({"name": "c", "resources": {"claims": claims}}, Container)
        return preparation.cdi_devices(one, container, records)

    assert given() == ()
    assert given({"name": "ours"}) == ("t.io/gpu=1", "t.io/gpu=2", "t.io/all=x")
    assert given({"name": "ours", "request": "two"}) == ("t.io/gpu=2", "t.io/all=x")
    with pytest.raises(DeviceFailure, match="p-mine-x in namespace default is not prepared"):
        given({"name": "mine"})


def test_a_container_shows_the_devices_of_its_claims() -> None:
    devices = (PreparedDevice("p", "d1", ("one",), ("t.io/gpu=1",)), PreparedDevice("p", "d2", ("two",)))
    record = Record("c1", "shared", "default", ("u1",), {"gpu.test.io": devices}, Prepared=True)
    one = pod(resourceClaims=CLAIMED, status=MADE)
    claims = [{"name": "ours", "request": "one"}, {"name": "ours"}, {"name": "mine"}]
    container = msgspec.convert({"name": "c", "resources": {"claims": claims}}, Container)
    first, second = ({"resourceID": id, "health": "Unknown"} for id in ("t.io/gpu=1", "gpu.test.io/p/d2"))
    assert preparation.health(one, container, {record.key: record}) == [
        {"name": "claim:ours/one", "resources": [first]}, {"name": "claim:ours", "resources": [first, second]},
    ]  # fmt: skip
