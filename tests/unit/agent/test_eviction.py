"""Which pod a node ends when it runs short, which it keeps, and which it does not take."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from mizzen.agent import admission, eviction, revival
from mizzen.agent.diskusage import PodDisk
from mizzen.agent.life import Life
from mizzen.agent.machineinfo import Pressure
from mizzen.agent.node import Health, conditions, news
from mizzen.agent.runtime import criconfig
from mizzen.agent.runtime.base import RuntimeFailure, Usage, Used
from mizzen.agent.thresholds import Bound, Shortage, Thresholds, crossed, explained, left_of
from mizzen.api.views.podspec import (
    Container,
    EmptyDir,
    Pod,
    PodMeta,
    PodSecurityContext,
    PodSpec,
    Resources,
    Sysctl,
    Toleration,
    Volume,
)
from mizzen.base.clock import VirtualClock

MIB = 1 << 20
SHORT = Shortage("memory", 100 * MIB, 50 * MIB)
PLENTY = Pressure(1 << 40, 1 << 40, 1 << 40, 1000, 1000, 0, 1000)


def a_life(name: str, *, asks: str = "", priority: int = 0, source: str = "api", **spec: object) -> Life:
    asked = Resources(requests={"memory": asks}) if asks else None
    meta = PodMeta(name=name, namespace="ns", uid=name, annotations={"kubernetes.io/config.source": source})
    spec = {"containers": (Container(name="c", image="i", resources=asked),), **spec}
    life = revival.begin(Pod(metadata=meta, spec=PodSpec(priority=priority, **spec)), 0.0)  # type: ignore[arg-type]
    return replace(life, containers={"c": replace(life.containers["c"], id=f"{name}-c")})


def using(**mebibytes: int) -> dict[str, Usage]:
    seen = {name: Usage(working_set_bytes=amount * MIB) for name, amount in mebibytes.items()}
    return {f"pod/{name}": one for name, one in seen.items()} | {f"{name}-c": one for name, one in seen.items()}


def test_who_uses_more_than_it_asked_for_goes_first_then_the_least_important_then_the_largest() -> None:
    modest, greedy = a_life("modest", asks="64Mi"), a_life("greedy")
    low, large = a_life("low", priority=-1), a_life("large")
    usage = using(modest=60, greedy=10, low=1, large=20)
    order = []
    left = [modest, greedy, low, large]
    while left:
        chosen = eviction.choose(left, usage, {}, SHORT)
        assert chosen is not None
        order.append(chosen.uid)
        left = [one for one in left if one.pod.metadata.uid != chosen.uid]
    assert order == ["low", "large", "greedy", "modest"]


@pytest.mark.parametrize(
    ("priority", "stage"),
    [(-5, 10), (10, 10), (99, 10), (100, 100), (5000, 100), (2_000_000_000, 2_000_000_000)],
)
def test_at_a_shutdown_a_pod_ends_with_those_of_its_priority(priority: int, stage: int) -> None:
    graces = {100: 20.0, 10: 30.0, 2_000_000_000: 5.0}
    assert eviction.stage_of(Pod(spec=PodSpec(priority=priority, containers=())), graces) == stage


def test_static_pods_and_those_of_the_system_are_kept() -> None:
    kept = [a_life("static", source="file"), a_life("system", priority=2_000_000_000)]
    assert eviction.choose(kept, using(static=1, system=1), {}, SHORT) is None


def test_the_message_says_what_was_short_and_who_used_it() -> None:
    chosen = eviction.choose([a_life("a", asks="5Mi")], using(a=20), {}, SHORT)
    assert chosen is not None and chosen.message == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
        "Container c was using 20Mi, request is 5Mi, has larger consumption of memory. "
    )
    pids = eviction.choose([a_life("a")], {}, {}, Shortage("pids", 50, 3))
    assert (
        pids is not None
        and pids.message == "The node was low on resource: pids. Threshold quantity: 50, available: 3. "
    )


@pytest.mark.parametrize(
    ("left", "resource"),
    [
        (PLENTY, None),
        (replace(PLENTY, memory_available=1), "memory"),
        (replace(PLENTY, disk_available=1), "ephemeral-storage"),
        (replace(PLENTY, inodes_free=1), "inodes"),
        (replace(PLENTY, pids_used=999), "pids"),
    ],
)
def test_what_the_node_is_short_of(left: Pressure, resource: str | None) -> None:
    assert [one.resource for one in crossed(left_of(left), Thresholds())] == ([resource] if resource else [])


def test_the_file_system_of_the_images_counts_where_it_is_another() -> None:
    bounds = Thresholds()
    assert crossed(left_of(PLENTY), bounds) == ()
    (short,) = crossed(left_of(PLENTY, replace(PLENTY, disk_available=1)), bounds)
    assert (short.signal, short.resource) == ("imagefs.available", "ephemeral-storage")


def test_what_was_short_must_come_back_by_more_than_it_was_short_of() -> None:
    bounds = Thresholds({"pid.available": Bound(100)}, reclaim={"pid.available": Bound(50)})
    left = left_of(replace(PLENTY, pids_used=880))
    assert crossed(left, bounds) == ()
    assert [one.available for one in crossed(left, bounds, frozenset({("pid.available", False)}))] == [120]
    assert crossed(left_of(replace(PLENTY, pids_used=850)), bounds, frozenset({("pid.available", False)})) == ()


def test_soft_thresholds_are_acted_on_once_they_were_crossed_for_long_enough_and_hard_ones_at_once() -> None:
    bounds = Thresholds(
        {"pid.available": Bound(5)}, {"memory.available": Bound(100)}, {"memory.available": 30.0}, reclaim={}
    )
    soft = crossed(left_of(replace(PLENTY, memory_available=50)), bounds)
    since = {("memory.available", True): 100.0}
    assert [one.soft for one in soft] == [True]
    assert eviction.to_act_on(soft, since, bounds, 129.0) is None
    assert eviction.to_act_on(soft, since, bounds, 130.0) == soft[0]
    both = crossed(left_of(replace(PLENTY, memory_available=50, pids_used=999)), bounds)
    assert eviction.to_act_on(both, since, bounds, 130.0).resource == "pids"  # type: ignore[union-attr]


def test_people_are_told_how_much_is_free_and_how_much_must_be() -> None:
    short = Shortage("ephemeral-storage", 24 << 30, 3 << 30, "nodefs.available")
    because = explained({"DiskPressure": short}, "/data")
    told = "3.0 GiB on the file system of /data are free, less than the 24.0 GiB that the node must keep"
    assert because == {"DiskPressure": told}
    (_, disk, _, _) = conditions(Health(disk_pressure=True, because=because), (), 0.0)
    assert disk["message"] == f"kubelet has disk pressure: {told}"
    (_, disk, _, _) = conditions(Health(), (), 0.0)
    assert disk["message"] == "kubelet has no disk pressure"


def test_the_largest_user_of_the_disk_goes_first_and_is_told_so() -> None:
    small, large = a_life("small"), a_life("large")
    disk = {"small": PodDisk({"c": Used(2048, 9)}), "large": PodDisk({"c": Used(4096, 2)}, {}, {"v": Used(1024, 1)})}
    chosen = eviction.choose([small, large], {}, disk, Shortage("ephemeral-storage", 2048, 1024))
    assert chosen is not None and chosen.uid == "large"
    assert chosen.message == (
        "The node was low on resource: ephemeral-storage. Threshold quantity: 2Ki, available: 1Ki. "
        "Container c was using 4Ki, request is 0, has larger consumption of ephemeral-storage. "
    )
    inodes = eviction.choose([small, large], {}, disk, Shortage("inodes", 50, 3))
    assert inodes is not None and inodes.uid == "small"


def test_a_node_short_of_memory_takes_pods_that_say_how_much_they_need_and_no_others() -> None:
    def refused(life: Life, *pressures: str) -> tuple[str, str] | None:
        return admission.pressure_refusal(life.pod, pressures)

    text = "Pod was rejected: The node had condition: [MemoryPressure]. "
    tolerant = a_life("t", tolerations=(Toleration(key="node.kubernetes.io/memory-pressure", operator="Exists"),))
    assert refused(a_life("a"), "MemoryPressure") == ("Evicted", text)
    assert refused(a_life("a", asks="1Mi"), "MemoryPressure") is None
    assert refused(tolerant, "MemoryPressure") is None
    assert refused(a_life("a", asks="1Mi"), "DiskPressure") is not None
    assert refused(tolerant, "MemoryPressure", "PIDPressure") is not None
    assert refused(a_life("a", priority=2_000_001_000), "DiskPressure") is None
    assert refused(a_life("a")) is None
    assert eviction.pressures(Health(disk_pressure=True, pid_pressure=True)) == ("DiskPressure", "PIDPressure")


def test_storage_limits_hold_for_each_container_for_the_pod_and_for_its_volumes() -> None:
    limited = Container(name="c", image="i", resources=Resources(limits={"ephemeral-storage": "1Mi"}))
    life = a_life("a", containers=(limited, Container(name="free", image="i")))
    text = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    assert eviction.over_storage_limit(life, {"c": MIB, "free": 0}, {}) == ""
    assert eviction.over_storage_limit(life, {"c": 0, "free": MIB}, {"v": 1}) == text
    both = a_life("b", containers=(limited, Container(name="d", image="i", resources=limited.resources)))
    one = eviction.over_storage_limit(both, {"c": MIB + 1, "d": 0}, {})
    assert one == 'Container c exceeded its local ephemeral storage limit "1Mi". '
    small = a_life("s", volumes=(Volume(name="v", emptyDir=EmptyDir(sizeLimit="1Mi")),))
    assert "EmptyDir" in eviction.over_storage_limit(small, {}, {"v": MIB + 1})


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"os": {"name": "windows"}}, "PodOSNotSupported"),
        (
            {"securityContext": PodSecurityContext(sysctls=(Sysctl(name="kernel.msgmax", value="1"),))},
            "SysctlForbidden",
        ),
        (
            {
                "securityContext": PodSecurityContext(sysctls=(Sysctl(name="net.ipv4.tcp_rmem", value="1"),)),
                "hostNetwork": True,
            },
            "SysctlForbidden",
        ),
        ({"securityContext": PodSecurityContext(sysctls=(Sysctl(name="net/ipv4/tcp_rmem", value="1"),))}, None),
    ],
)
def test_what_no_node_runs_is_rejected(spec: dict[str, object], reason: str | None) -> None:
    refused = admission.rejection(a_life("a", **spec).pod, (), {}, {}, ())  # type: ignore[arg-type]
    assert (refused[0] if refused is not None else None) == reason


def test_changed_conditions_of_a_node_are_worth_an_event() -> None:
    before = [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]
    after = [
        {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
        {"type": "Ready", "status": "True", "reason": "KubeletReady"},
    ]
    assert news("n", before, after) == [
        ("NodeHasSufficientMemory", "Node n status is now: NodeHasSufficientMemory"),
        ("NodeReady", "Node n status is now: NodeReady"),
    ]
    assert news("n", after, after) == []


def test_extended_resources_that_others_announce_are_not_the_nodes_to_count() -> None:
    foo = Container(name="c", image="i", resources=Resources(limits={"example.com/foo": "3"}))
    life = a_life("a", containers=(foo,))
    assert admission.rejection(life.pod, (), {}, {}, ()) is None
    assert admission.resize_refusal(life.pod, (), {}) == ("", "")
    refused = admission.rejection(life.pod, (), {"example.com/foo": 2 * 10**9}, {}, ())
    assert refused is not None and refused[0] == "OutOfexample.com/foo"


@dataclass
class Runtime:
    """A runtime that says this of itself; None: nothing."""

    says: str | None = ""

    async def trouble(self) -> str:
        if self.says is None:
            raise RuntimeFailure("CreateContainerError", "context deadline exceeded")
        return self.says


@dataclass
class Tools:
    """As much of the equipment as a look at the runtime needs."""

    runtime: Runtime
    clock: VirtualClock


@dataclass
class NoPods:
    shutting_down: bool = False


async def test_a_node_is_not_ready_for_as_long_as_its_runtime_is_not() -> None:
    tools, told = Tools(Runtime(), VirtualClock()), list[str]()
    guard = eviction.Guard(tools, NoPods())  # type: ignore[arg-type]

    async def changed() -> None:
        told.append(guard.health.not_ready)
        raise ConnectionError("the API server is away")

    following = asyncio.create_task(guard.follow_runtime(changed))
    await asyncio.sleep(0)
    await tools.clock.advance(60)
    tools.runtime.says = None
    await tools.clock.advance(24)
    assert told == []
    await tools.clock.advance(12)
    assert told == ["container runtime is down"]
    tools.runtime.says = criconfig.trouble([
        {"type": "NetworkReady", "status": 0, "reason": "NetworkPluginNotReady", "message": "no plugin"},
        {"type": "RuntimeReady", "status": 0, "reason": "Sick", "message": "no disk"},
    ])  # fmt: skip
    await tools.clock.advance(5)
    tools.runtime.says = criconfig.trouble([{"type": "RuntimeReady", "status": 1, "reason": "", "message": ""}])
    await tools.clock.advance(5)
    assert told[1:] == ["container runtime not ready: RuntimeReady=false reason:Sick message:no disk", ""]
    following.cancel()
