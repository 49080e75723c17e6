"""What pods ask for and are held to: quality of service, cgroup limits, sums over a pod.

Ref: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mizzen.agent.runtime.base import Limits
from mizzen.api.views.podspec import Container, Pod, Quantity, Resources
from mizzen.machinery import quantity

_COMPUTE = ("cpu", "memory")
_CRITICAL = {"system-node-critical"}
_PERIOD = 100_000
CRITICAL_PRIORITY = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """What a node has for its pods together, in bytes: memory, and swap space if they may use it."""

    memory: int = 0
    swap: int = 0


def is_critical(pod: Pod) -> bool:
    """Whether the node keeps a pod whatever it is short of: static ones and those of system priority."""
    source = (pod.metadata.annotations or {}).get("kubernetes.io/config.source", "api")
    return (pod.spec.priority or 0) >= CRITICAL_PRIORITY or source != "api"


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort."""
    asked = [one.resources or Resources() for one in (*pod.spec.containers, *(pod.spec.initContainers or ()))]
    if pod.spec.resources is not None and (pod.spec.resources.requests or pod.spec.resources.limits):
        asked = [pod.spec.resources]
    if not any(_positive(one.requests) or _positive(one.limits) for one in asked):
        return "BestEffort"
    for one in asked:
        limits = _positive(one.limits)
        requests = {**limits, **_positive(one.requests)}
        if set(limits) != set(_COMPUTE) or requests != limits:
            return "Burstable"
    return "Guaranteed"


def _positive(amounts: Mapping[str, Quantity] | None) -> dict[str, int]:
    parsed = {name: quantity.parse(value).nanos for name, value in (amounts or {}).items() if name in _COMPUTE}
    return {name: nanos for name, nanos in parsed.items() if nanos > 0}


def requested(pod: Pod) -> dict[str, int]:
    """What a pod takes from its node, in nanos by resource: containers and side-cars together, or the largest
    moment of initialization, and the overhead."""
    total: dict[str, int] = {}
    for one in pod.spec.containers:
        _add(total, _requests(one))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for one in pod.spec.initContainers or ():
        if one.restartPolicy == "Always":
            _add(sidecars, _requests(one))
            _raise(peak, sidecars)
        else:
            moment = dict(sidecars)
            _add(moment, _requests(one))
            _raise(peak, moment)
    _add(total, sidecars)
    _raise(total, peak)
    if pod.spec.resources is not None and pod.spec.resources.requests:
        for name, value in pod.spec.resources.requests.items():
            total[name] = quantity.parse(value).nanos
    for name, value in (pod.spec.overhead or {}).items():
        total[name] = total.get(name, 0) + quantity.parse(value).nanos
    return total


def shown_requests(pod: Pod) -> dict[str, str]:
    """What a pod takes from its node, as quantities."""
    return {
        name: str(quantity.Quantity(nanos, quantity.Format.DECIMAL if name == "cpu" else quantity.Format.BINARY))
        for name, nanos in requested(pod).items()
    }


def _requests(container: Container) -> dict[str, int]:
    asked = container.resources or Resources()
    merged = {**(asked.limits or {}), **(asked.requests or {})}
    return {name: quantity.parse(value).nanos for name, value in merged.items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, nanos in more.items():
        total[name] = total.get(name, 0) + nanos


def _raise(total: dict[str, int], floor: Mapping[str, int]) -> None:
    for name, nanos in floor.items():
        total[name] = max(total.get(name, 0), nanos)


def container_limits(pod: Pod, container: Container, node: Size) -> Limits:
    """The cgroup settings of one container."""
    asked = container.resources or Resources()
    limits, requests = asked.limits or {}, {**(asked.limits or {}), **(asked.requests or {})}
    cpu_limit = quantity.millicores(limits.get("cpu", 0))
    return Limits(
        cpu_shares=_shares(quantity.millicores(requests.get("cpu", 0))),
        cpu_quota=max(1000, cpu_limit * _PERIOD // 1000) if cpu_limit else 0,
        cpu_period=_PERIOD,
        memory=quantity.in_bytes(limits.get("memory", 0)),
        swap=swap_share(pod, container, node),
        oom_score_adj=oom_score(pod, quantity.in_bytes(requests.get("memory", 0)), node.memory),
        hugepages={
            _page_size(name): quantity.in_bytes(value)
            for name, value in limits.items()
            if name.startswith("hugepages-")
        },
    )


def swap_share(pod: Pod, container: Container, node: Size) -> int:
    """How much of a container may be swapped out, in bytes: as much of the space as it asks for of the memory.

    Only burstable pods swap, and of those no critical ones, nor containers that ask for all the memory they may have.
    Ref: https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/
    """
    asked = container.resources or Resources()
    limit = quantity.in_bytes((asked.limits or {}).get("memory", 0))
    request = quantity.in_bytes((asked.requests or {}).get("memory", limit))
    if not node.swap or not node.memory or request == limit or is_critical(pod) or qos_class(pod) != "Burstable":
        return 0
    return node.swap * request // node.memory


def pod_limits(pod: Pod, pids: int, node: Size) -> Limits:
    """The cgroup settings of the pod as a whole: limits only where every container has one."""
    total = requested(pod)
    runners = [*pod.spec.containers, *(one for one in pod.spec.initContainers or () if one.restartPolicy == "Always")]
    sums: dict[str, int] = {}
    for name in _COMPUTE:
        limits = [quantity.parse(((one.resources or Resources()).limits or {}).get(name, 0)).nanos for one in runners]
        if limits and all(limits):
            sums[name] = sum(limits)
    for name, value in ((pod.spec.resources or Resources()).limits or {}).items():
        sums[name] = quantity.parse(value).nanos
    overhead = {name: quantity.parse(value).nanos for name, value in (pod.spec.overhead or {}).items()}
    cpu = (sums["cpu"] + overhead.get("cpu", 0)) // 10**6 if "cpu" in sums else 0
    memory = (sums["memory"] + overhead.get("memory", 0)) // 10**9 if "memory" in sums else 0
    for one in pod.spec.initContainers or ():
        own = (one.resources or Resources()).limits or {}
        cpu = max(cpu, quantity.millicores(own.get("cpu", 0))) if cpu else 0
        memory = max(memory, quantity.in_bytes(own.get("memory", 0))) if memory else 0
    return Limits(
        cpu_shares=_shares(total.get("cpu", 0) // 10**6),
        cpu_quota=max(1000, cpu * _PERIOD // 1000) if cpu else 0,
        memory=memory,
        swap=sum(swap_share(pod, one, node) for one in (*pod.spec.containers, *(pod.spec.initContainers or ()))),
        pids=pids,
        hugepages={
            _page_size(name): nanos // quantity.NANO for name, nanos in total.items() if name.startswith("hugepages-")
        },
    )


def node_limits(unreserved: Mapping[str, int]) -> Limits:
    """What the pods of a node are held to together; `unreserved` in nanos by resource."""
    return Limits(
        cpu_shares=_shares(unreserved.get("cpu", 0) // 10**6),
        memory=unreserved.get("memory", 0) // quantity.NANO,
    )


def tier_limits(pods: Iterable[Pod]) -> dict[str, Limits]:
    """The shares of the classes that have a group of their own: burstable pods have what they ask for together."""
    asked = sum(requested(one).get("cpu", 0) for one in pods if qos_class(one) == "Burstable")
    return {"burstable": Limits(cpu_shares=_shares(asked // 10**6)), "besteffort": Limits()}


def _shares(millicores: int) -> int:
    return min(262_144, max(2, millicores * 1024 // 1000))


def _page_size(name: str) -> str:
    """`hugepages-2Mi` → `2MB`, as cgroups call it."""
    return name.removeprefix("hugepages-").replace("Mi", "MB").replace("Gi", "GB").replace("Ki", "KB")


def oom_score(pod: Pod, memory_request: int, node_memory: int) -> int:
    """Who dies first when the node runs out of memory: best effort, then those far above their request."""
    qos = qos_class(pod)
    if pod.spec.priorityClassName in _CRITICAL or qos == "Guaranteed":
        return -997
    if qos == "BestEffort" or not node_memory:
        return 1000
    return min(999, max(3, 1000 - 1000 * memory_request // node_memory))


def resource_field(
    pod: Pod, container: Container, resource: str, divisor: Quantity | None, node: Mapping[str, int]
) -> str:
    """A resourceFieldRef's value; an absent limit is what the node could give (`node`, in nanos). Raises ValueError."""
    which, _, name = resource.partition(".")
    asked = container.resources or Resources()
    limits, requests = asked.limits or {}, asked.requests or {}
    if which == "limits":
        nanos = quantity.parse(limits[name]).nanos if name in limits else node.get(name, 0)
    elif which == "requests":
        nanos = quantity.parse(requests.get(name, 0)).nanos
    else:
        raise ValueError(f"unsupported container resource : {resource}")
    unit = quantity.parse(divisor).nanos if divisor not in {None, "", "0", 0} else quantity.NANO
    return str(-(-nanos // unit))
