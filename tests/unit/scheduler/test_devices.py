"""Devices for ResourceClaims: what fits, what is taken, what must agree."""

from collections.abc import Sequence
from typing import Any

import msgspec

from mizzen.api.views.core import Node, Pod
from mizzen.api.views.resource import DeviceClass, DeviceTaintRule, ResourceClaim, ResourceSlice
from mizzen.scheduler import extended
from mizzen.scheduler.allocations import allocation
from mizzen.scheduler.classes import PodClass
from mizzen.scheduler.cycle import Decider, Placed, Unschedulable
from mizzen.scheduler.plugins import PLUGINS, resource_claims
from mizzen.scheduler.snapshot import Lookups, PodInfo, Snapshot, pod_info

GPU = msgspec.convert(
    {
        "metadata": {"name": "gpu", "creationTimestamp": "2030-01-01T00:00:00Z"},
        "spec": {
            "selectors": [{"cel": {"expression": 'device.driver == "gpu.example.com"'}}],
            "extendedResourceName": "example.com/gpu",
        },
    },
    DeviceClass,
)
OLD = msgspec.convert(
    {
        "metadata": {"name": "aged", "creationTimestamp": "2029-01-01T00:00:00Z"},
        "spec": {"extendedResourceName": "example.com/gpu"},
    },
    DeviceClass,
)


VERSIONS = {"a": "1.8.1", "b": "1.10.0"}


def slice_of(node: str, *devices: dict[str, Any], pool: dict[str, Any] | None = None, **spec: Any) -> ResourceSlice:
    where = {} if spec else {"nodeName": node}
    pools = {"name": node, "generation": 1, "resourceSliceCount": 1, **(pool or {})}
    body = {"driver": "gpu.example.com", "pool": pools, "devices": list(devices), **where, **spec}
    name = f"slice-{node}-{pools['generation']}"
    return msgspec.convert({"metadata": {"name": name}, "spec": body}, ResourceSlice)


def device(name: str, memory: str = "16Gi", model: str = "a", **more: Any) -> dict[str, Any]:
    capacity = {"memory": {"value": memory}}
    return {"name": name, "attributes": {"model": {"string": model}}, "capacity": capacity} | more


def allocated(*devices: str, pool: str = "a", **more: Any) -> dict[str, Any]:
    results = [{"driver": "gpu.example.com", "pool": pool, "device": one, **more} for one in devices]
    return {"allocation": {"devices": {"results": results}}}


def claim(
    name: str, *, count: int = 1, cel: str = "true", status: Any = None, more: Any = None, **devices: Any
) -> ResourceClaim:
    exactly = {"deviceClassName": "gpu", "count": count, "selectors": [{"cel": {"expression": cel}}], **(more or {})}
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
    def __init__(
        self, slices: list[ResourceSlice], *claims: ResourceClaim, rules: Sequence[DeviceTaintRule] = ()
    ) -> None:
        found = {one.metadata.name: one for one in claims}
        seen = Lookups(
            resource_claim=lambda namespace, name: found.get(name),
            resource_claims=found.values,
            device_class=lambda name: GPU if name == "gpu" else None,
            device_classes=lambda: (OLD, GPU),
            resource_slices=lambda: slices,
            device_taint_rules=lambda: rules,
        )
        self.snapshot = Snapshot(seen)
        self.decider = Decider(self.snapshot, PLUGINS, lambda: 0.5)
        for name in ("a", "b"):
            body = {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "pods": "10"}}}
            self.snapshot.set_node(msgspec.convert(body, Node))

    def allocation(self, name: str, node: str) -> Any:
        """What would be written into a claim's status for a pod on a node."""
        wanted = self.snapshot.lookups.resource_claim("default", name)
        assert wanted is not None
        picked = resource_claims.choose(pod("p", name), self.snapshot.nodes[node], self.snapshot)
        assert picked is not None
        uid = wanted.metadata.uid
        return allocation(picked[uid], resource_claims.wants(wanted), uid, (), node)

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
    newer = 'device.attributes["gpu.example.com"].firmware.isGreaterThan(semver("1.9.0"))'
    dated = [slice_of(name, device("x", attributes={"firmware": {"version": v}})) for name, v in VERSIONS.items()]
    assert World(dated, claim("x", cel=newer)).place(pod("p", "x")) == "b"
    model = 'device.attributes["gpu.example.com"].model == "a"'
    assert World(slices, claim("x", cel=model)).place(pod("p", "x")) == "a"


def test_a_device_is_given_once() -> None:
    taken = {"allocation": {"devices": {"results": [{"driver": "gpu.example.com", "pool": "a", "device": "gpu-0"}]}}}
    world = World([slice_of("a", device("gpu-0"))], claim("old", status=taken), claim("new"))
    assert "2 cannot allocate all claims" in world.place(pod("p", "new"))


def test_devices_about_to_be_given_are_taken() -> None:
    world = World([slice_of("a", device("gpu-0"))], claim("new"))
    picked = resource_claims.choose(pod("q", "new"), world.snapshot.nodes["a"], world.snapshot)
    assert picked is not None
    world.snapshot.assumed_devices["uid-other"] = ("default/q", picked["uid-new"])
    world.snapshot.taken = None
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
    status = {"allocation": allocation(picked["uid-free"], resource_claims.wants(claim("free")), "uid-free", (), "a")}
    assert status["allocation"]["devices"]["results"] == [
        {"request": "r", "driver": "gpu.example.com", "pool": "a", "device": "gpu-0"}
    ]
    again = World([slice_of("a", device("gpu-0"))], claim("free", status=status))
    assert again.place(pod("p", "free")) == "a"


def test_a_claim_that_is_not_there_is_named() -> None:
    verdict = World([]).decider.decide(pod("p", "gone"))
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == '0/2 nodes are available: resourceclaim "gone" not found.'


def test_only_the_newest_generation_of_a_whole_pool_is_used() -> None:
    old = slice_of("a", device("gone"))
    new = slice_of("a", device("there"), pool={"generation": 2})
    assert World([old, new], claim("x")).allocation("x", "a")["devices"]["results"][0]["device"] == "there"
    part = slice_of("a", device("there"), pool={"resourceSliceCount": 2})
    assert "cannot allocate" in World([part], claim("x")).place(pod("p", "x"))


def test_all_devices_means_all_of_them_free() -> None:
    every = {"allocationMode": "All"}
    slices = [slice_of("a", device("x"), device("y"))]
    assert len(World(slices, claim("all", more=every)).allocation("all", "a")["devices"]["results"]) == 2
    world = World(slices, claim("all", more=every), claim("one", status=allocated("x")))
    assert "cannot allocate" in world.place(pod("p", "all"))


def test_an_administrator_gets_a_device_that_is_in_use_and_takes_none() -> None:
    slices = [slice_of("a", device("x"))]
    world = World(slices, claim("admin", more={"adminAccess": True}), claim("one", status=allocated("x")))
    assert world.allocation("admin", "a")["devices"]["results"][0]["adminAccess"] is True
    used = World(slices, claim("admin", status=allocated("x", adminAccess=True)), claim("free"))
    assert used.place(pod("p", "free")) == "a"


def test_tainted_devices_need_a_toleration_whoever_tainted_them() -> None:
    taint = {"key": "broken", "effect": "NoSchedule"}
    tainted = [slice_of("a", device("x", taints=[taint]))]
    assert "cannot allocate" in World(tainted, claim("x")).place(pod("p", "x"))
    tolerations = {"tolerations": [{"key": "broken", "operator": "Exists"}]}
    assert World(tainted, claim("x", more=tolerations)).place(pod("p", "x")) == "a"
    body = {"spec": {"deviceSelector": {"driver": "gpu.example.com", "device": "x"}, "taint": taint}}
    rule = msgspec.convert(body, DeviceTaintRule)
    slices = [slice_of("a", device("x")), slice_of("b", device("y"))]
    assert World(slices, claim("x"), rules=[rule]).place(pod("p", "x")) == "b"
    everything, nothing = ({"spec": {"taint": taint, **one}} for one in ({"deviceSelector": {}}, {}))
    all_tainted, none_tainted = (
        World(slices, claim("x"), rules=[msgspec.convert(one, DeviceTaintRule)]) for one in (everything, nothing)
    )
    assert "cannot allocate" in all_tainted.place(pod("p", "x"))
    assert none_tainted.place(pod("p", "x")) in ("a", "b"), "a rule without a selector means no device"


def test_parts_of_a_device_share_its_counters() -> None:
    card = {"name": "card", "counters": {"memory": {"value": "40"}}}
    drains = [{"counterSet": "card", "counters": {"memory": {"value": "20"}}}]
    parts = [device(f"half-{number}", consumesCounters=drains) for number in range(3)]
    offered = slice_of("a", *parts, nodeName="a", sharedCounters=[card])
    assert World([offered], claim("two", count=2)).place(pod("p", "two")) == "a"
    assert "cannot allocate" in World([offered], claim("three", count=3)).place(pod("p", "three"))
    world = World([offered], claim("old", status=allocated("half-0")), claim("two", count=2))
    assert "cannot allocate" in world.place(pod("p", "two"))


def test_a_shared_device_is_dealt_out_until_its_capacity_is_used_up() -> None:
    nic = device("nic", allowMultipleAllocations=True)
    nic["capacity"]["memory"]["requestPolicy"] = {"default": "4Gi", "validRange": {"min": "2Gi", "step": "2Gi"}}
    slices = [slice_of("a", nic)]
    wants = {"capacity": {"requests": {"memory": "5Gi"}}}
    result = World(slices, claim("some", more=wants)).allocation("some", "a")["devices"]["results"][0]
    assert result["consumedCapacity"] == {"memory": "6Gi"}
    assert len(result["shareID"]) == 36
    used = claim("old", status=allocated("nic", shareID="s", consumedCapacity={"memory": "12Gi"}))
    assert World(slices, used, claim("usual")).place(pod("p", "usual")) == "a"
    assert "cannot allocate" in World(slices, used, claim("some", more=wants)).place(pod("p", "some"))


def test_devices_that_every_node_reaches_tie_nobody_down() -> None:
    assert "nodeSelector" not in World([slice_of("net", device("x"), allNodes=True)], claim("x")).allocation("x", "a")
    there = World([slice_of("a", device("x"))], claim("x")).allocation("x", "a")["nodeSelector"]
    field = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    assert there == {"nodeSelectorTerms": [{"matchFields": [field]}]}


def test_devices_that_must_differ_do() -> None:
    apart = [{"distinctAttribute": "gpu.example.com/model"}]
    alike = [slice_of("a", device("x"), device("y"))]
    assert "cannot allocate" in World(alike, claim("two", count=2, constraints=apart)).place(pod("p", "two"))
    mixed = [slice_of("a", device("x"), device("y", model="b"))]
    assert World(mixed, claim("two", count=2, constraints=apart)).place(pod("p", "two")) == "a"


def asking(name: str, resource: str = "example.com/gpu", count: int = 1, init: int = 0, **more: Any) -> PodInfo:
    """A pod that asks for devices by number, and an init container that asks for some too."""
    resources = {"requests": {resource: count}}
    spec: dict[str, Any] = {"containers": [{"name": "c", "resources": resources}]}
    if init:
        spec["initContainers"] = [{"name": "i", "resources": {"requests": {resource: init}}, **more}]
    meta = {"name": name, "namespace": "default", "uid": name}
    return pod_info(msgspec.convert({"metadata": meta, "spec": spec}, Pod))


def test_devices_can_be_asked_for_by_number_where_no_plugin_counts_them() -> None:
    world = World([slice_of("b", device("x"), device("y"))])
    assert world.place(asking("p")) == "b"
    assert world.place(asking("p", "deviceclass.resource.kubernetes.io/gpu", 2)) == "b"
    assert "cannot allocate all claims" in world.place(asking("p", count=3))
    assert "Insufficient example.com/none" in world.place(asking("p", "example.com/none"))
    counting = {"cpu": "4", "pods": "10", "example.com/gpu": "1"}
    body = {"metadata": {"name": "a"}, "status": {"allocatable": counting}}
    world = World([])
    world.snapshot.set_node(msgspec.convert(body, Node))
    assert world.place(asking("p")) == "a", "its device plugin has one"
    assert resource_claims.choose(asking("p"), world.snapshot.nodes["a"], world.snapshot) == {}


def test_a_claim_made_earlier_ties_the_pod_to_its_node() -> None:
    info = asking("p")
    status = allocated("x", pool="b")
    selector = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}
    status["allocation"]["nodeSelector"] = {"nodeSelectorTerms": [selector]}
    made = claim("p-extended-resources-abc", status=status)
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": True}
    meta = {"annotations": {extended.ANNOTATION: "true"}, "ownerReferences": [owner]}
    body = msgspec.to_builtins(made)
    made = msgspec.convert({**body, "metadata": {**body["metadata"], **meta}}, ResourceClaim)
    world = World([slice_of("a", device("x")), slice_of("b", device("x"))], made)
    assert world.place(info) == "b"
    assert world.place(asking("q")) == "a", "the device of the other node is taken"


def test_init_containers_that_pass_take_what_others_get_later() -> None:
    classes = {"example.com/gpu": "gpu"}
    wanted, mappings = extended.requests(asking("p", count=2, init=2), classes)
    assert [one["name"] for one in wanted] == ["container-1-request-0"]
    assert {one["containerName"]: one["requestName"] for one in mappings} == {
        "c": "container-1-request-0",
        "i": "container-1-request-0",
    }
    for info in (asking("p", count=2, init=1), asking("p", count=2, init=2, restartPolicy="Always")):
        wanted, _ = extended.requests(info, classes)
        assert [one["name"] for one in wanted] == ["container-1-request-0", "container-0-request-0"]


def test_a_node_where_the_first_alternative_is_free_comes_before_others() -> None:
    def alternative(name: str, model: str) -> dict[str, Any]:
        selector = {"cel": {"expression": f'device.attributes["gpu.example.com"].model == "{model}"'}}
        return {"name": name, "deviceClassName": "gpu", "selectors": [selector]}

    listed = {"name": "r", "firstAvailable": [alternative("best", "a"), alternative("good", "b")]}
    body = {"metadata": {"name": "x", "namespace": "default", "uid": "x"}, "spec": {"devices": {"requests": [listed]}}}
    wanted = msgspec.convert(body, ResourceClaim)
    for best in "ab":
        slices = [slice_of(name, device("d", model="a" if name == best else "b")) for name in "ab"]
        world = World(slices, wanted)
        assert world.place(pod("p", "x")) == best
        seen = PodClass(pod("p", "x"), world.snapshot, [resource_claims.PLUGIN], lambda: 0.0).feasible()
        assert sorted(seen.values()) == [100 * 7 // 8, 100]
