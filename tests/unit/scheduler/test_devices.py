"""Devices for ResourceClaims: what fits, what is taken, what must agree."""

from typing import Any

import msgspec

from mizzen.api.views.core import Node, Pod
from mizzen.api.views.resource import DeviceClass, ResourceClaim, ResourceSlice
from mizzen.scheduler.cycle import Decider, Placed, Unschedulable
from mizzen.scheduler.devices import allocation
from mizzen.scheduler.plugins import PLUGINS, resource_claims
from mizzen.scheduler.snapshot import Lookups, PodInfo, Snapshot, pod_info

GPU = msgspec.convert(
    {
        "metadata": {"name": "gpu"},
        "spec": {"selectors": [{"cel": {"expression": 'device.driver == "gpu.example.com"'}}]},
    },
    DeviceClass,
)


def slice_of(node: str, *devices: dict[str, Any]) -> ResourceSlice:
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": "gpu.example.com", "nodeName": node, "pool": pool, "devices": list(devices)}
    return msgspec.convert({"metadata": {"name": f"slice-{node}"}, "spec": spec}, ResourceSlice)


def device(name: str, memory: str = "16Gi", model: str = "a") -> dict[str, Any]:
    return {"name": name, "attributes": {"model": {"string": model}}, "capacity": {"memory": {"value": memory}}}


def claim(name: str, *, count: int = 1, cel: str = "true", status: Any = None, **devices: Any) -> ResourceClaim:
    exactly = {"deviceClassName": "gpu", "count": count, "selectors": [{"cel": {"expression": cel}}]}
    spec = {"devices": {"requests": [{"name": "r", "exactly": exactly}], **devices}}
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status or {}}, ResourceClaim)


def pod(name: str, *claims: str) -> PodInfo:
    wanted = [{"name": one, "resourceClaimName": one} for one in claims]
    spec = {"containers": [{"name": "c"}], "resourceClaims": wanted}
    return pod_info(
        msgspec.convert({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": spec}, Pod)
    )


class World:
    def __init__(self, slices: list[ResourceSlice], *claims: ResourceClaim) -> None:
        found = {one.metadata.name: one for one in claims}
        seen = Lookups(
            resource_claim=lambda namespace, name: found.get(name),
            resource_claims=found.values,
            device_class=lambda name: GPU if name == "gpu" else None,
            resource_slices=lambda: slices,
        )
        self.snapshot = Snapshot(seen)
        self.decider = Decider(self.snapshot, PLUGINS, lambda: 0.5)
        for name in ("a", "b"):
            body = {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "pods": "10"}}}
            self.snapshot.set_node(msgspec.convert(body, Node))

    def place(self, info: PodInfo) -> str:
        verdict = self.decider.decide(info)
        return verdict.node if isinstance(verdict, Placed) else verdict.message


def test_a_pod_goes_where_its_devices_are() -> None:
    world = World([slice_of("b", device("gpu-0"))], claim("one"))
    assert world.place(pod("p", "one")) == "b"


def test_selectors_read_attributes_and_capacity() -> None:
    slices = [slice_of("a", device("small", "8Gi")), slice_of("b", device("large", "80Gi", "b"))]
    large = 'device.capacity["gpu.example.com"].memory.compareTo(quantity("40Gi")) >= 0'
    assert World(slices, claim("x", cel=large)).place(pod("p", "x")) == "b"
    model = 'device.attributes["gpu.example.com"].model == "a"'
    assert World(slices, claim("x", cel=model)).place(pod("p", "x")) == "a"


def test_a_device_is_given_once() -> None:
    taken = {"allocation": {"devices": {"results": [{"driver": "gpu.example.com", "pool": "a", "device": "gpu-0"}]}}}
    world = World([slice_of("a", device("gpu-0"))], claim("old", status=taken), claim("new"))
    assert "2 cannot allocate all claims" in world.place(pod("p", "new"))


def test_devices_about_to_be_given_are_taken() -> None:
    world = World([slice_of("a", device("gpu-0"))], claim("new"))
    world.snapshot.assumed_devices["uid-other"] = ("default/q", (("gpu.example.com", "a", "gpu-0"),))
    assert "cannot allocate all claims" in world.place(pod("p", "new"))


def test_constraints_hold_over_all_devices_of_a_claim() -> None:
    mixed = [slice_of("a", device("x", model="a"), device("y", model="b")), slice_of("b", device("z", model="c"))]
    same = [{"matchAttribute": "gpu.example.com/model"}]
    assert "cannot allocate" in World(mixed, claim("two", count=2, constraints=same)).place(pod("p", "two"))
    alike = [slice_of("b", device("w", model="q"), device("x", model="c"), device("z", model="c"))]
    assert World(alike, claim("two", count=2, constraints=same)).place(pod("p", "two")) == "b"


def test_an_allocated_claim_ties_its_pod_to_its_node() -> None:
    world = World([slice_of("a", device("gpu-0"))], claim("free"))
    picked = resource_claims.choose(pod("p", "free"), world.snapshot.nodes["a"], world.snapshot)
    assert picked is not None
    status = {"allocation": allocation(picked["uid-free"], resource_claims.wants(claim("free")), "a", ())}
    assert status["allocation"]["devices"]["results"] == [
        {"request": "r", "driver": "gpu.example.com", "pool": "a", "device": "gpu-0"}
    ]
    again = World([slice_of("a", device("gpu-0"))], claim("free", status=status))
    assert again.place(pod("p", "free")) == "a"


def test_a_claim_that_is_not_there_is_named() -> None:
    verdict = World([]).decider.decide(pod("p", "gone"))
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == '0/2 nodes are available: resourceclaim "gone" not found.'
