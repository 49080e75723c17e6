"""Whether this node can take a pod that was sent to it: the last check, by the node itself.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ (pods are rejected with phase Failed)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mizzen.agent.life import all_containers
from mizzen.agent.resources import Size, is_critical, qos_class, requested, swap_share
from mizzen.agent.runtime.base import Abilities
from mizzen.api.views.podspec import Pod, Resources
from mizzen.machinery.quantity import NANO

_SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}
"""Ref: https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls"""


_MEMORY_TAINT = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}


def pressure_refusal(pod: Pod, pressures: Sequence[str]) -> tuple[str, str] | None:
    """Why a node that is short of something takes no more pods: of memory alone, it still takes those that say
    how much they need, and those that tolerate its taint."""
    if not pressures or is_critical(pod):
        return None
    if tuple(pressures) == ("MemoryPressure",):
        tolerant = any(_tolerates(one, _MEMORY_TAINT) for one in pod.spec.tolerations or ())
        if tolerant or qos_class(pod) != "BestEffort":
            return None
    return "Evicted", f"{_PREFIX}The node had condition: [{' '.join(pressures)}]. "


def confinement_refusal(pod: Pod, able: Abilities) -> tuple[str, str] | None:
    """Why a pod is not taken by a machine without AppArmor, or a runtime that cannot be strict about its groups."""
    context = pod.spec.securityContext
    if not able.strict_groups and context is not None and context.supplementalGroupsPolicy == "Strict":
        text = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return "SupplementalGroupsPolicyNotSupported", f"{_PREFIX}{text}"
    whole, containers = pod.spec.securityContext, [one.securityContext for one in all_containers(pod)]
    asked = [one.appArmorProfile for one in (whole, *containers) if one is not None]
    if able.apparmor or all(one is None or one.type == "Unconfined" for one in asked):
        return None
    return "AppArmor", f"{_PREFIX}Cannot enforce AppArmor: AppArmor is not enabled on the host"


def rejection(
    pod: Pod,
    others: Iterable[Pod],
    allocatable: Mapping[str, int],
    labels: Mapping[str, str],
    taints: Iterable[Mapping[str, str]],
    unsafe_sysctls: Sequence[str] = (),
) -> tuple[str, str] | None:
    """Reason and message, or None when the pod fits; `allocatable` in nanos, with `pods`."""
    if not _fits_node(pod, labels):
        return (
            "NodeAffinity",
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    for taint in taints:
        if taint.get("effect") == "NoExecute" and not any(_tolerates(one, taint) for one in pod.spec.tolerations or ()):
            return (
                "TaintToleration",
                "Pod was rejected: Predicate TaintToleration failed: node(s) had untolerated taint(s)",
            )
    if (pod.spec.os or {}).get("name", "linux") != "linux":
        return "PodOSNotSupported", f"{_PREFIX}Failed to admit pod as the OS field doesn't match node OS"
    if (forbidden := _forbidden_sysctl(pod, unsafe_sysctls)) is not None:
        return "SysctlForbidden", f"{_PREFIX}{forbidden}"
    present = list(others)
    if "pods" in allocatable and (len(present) + 1) * NANO > allocatable["pods"]:
        limit = allocatable["pods"] // NANO
        return _out_of("pods", 1, len(present), limit)
    taken = [port for other in present for port in _host_ports(other)]
    if any(_clash(wanted, other) for wanted in _host_ports(pod) for other in taken):
        text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
        return "NodePorts", f"{_PREFIX}{text}"
    used: dict[str, int] = {}
    for other in present:
        for name, nanos in requested(other).items():
            used[name] = used.get(name, 0) + nanos
    for name, nanos in requested(pod).items():
        if "/" in name and name not in allocatable:
            continue  # an extended resource that others announce is theirs, and the scheduler's, to count
        if nanos and used.get(name, 0) + nanos > allocatable.get(name, 0):
            unit = NANO // 1000 if name == "cpu" else NANO
            return _out_of(name, nanos // unit, used.get(name, 0) // unit, allocatable.get(name, 0) // unit)
    return None


def resize_bar(pod: Pod, before: Mapping[str, object], node: Size, cpu_policy: str) -> tuple[str, str]:
    """Why a running pod's resources cannot be changed in place on this node whatever they are; empty when they can.

    `before`: the resources of its containers as they are. Memory of which a part may be swapped out needs a restart.
    """
    if cpu_policy == "static" and qos_class(pod) == "Guaranteed":
        return "Infeasible", "Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy"
    for one in pod.spec.containers:
        old, new = before.get(one.name) or Resources(), one.resources or Resources()
        assert isinstance(old, Resources)
        is_changed = any(
            (was or {}).get("memory") != (now or {}).get("memory")
            for was, now in ((old.requests, new.requests), (old.limits, new.limits))
        )
        restarts = {rule.resourceName for rule in one.resizePolicy or () if rule.restartPolicy == "RestartContainer"}
        if is_changed and "memory" not in restarts and swap_share(pod, one, node):
            return "Infeasible", "In-place resize of containers with swap is not supported."
    return "", ""


def resize_refusal(pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, int]) -> tuple[str, str]:
    """Why a running pod cannot have what it asks for now: never on this node, or not yet. Empty when it can."""
    used: dict[str, int] = {}
    for other in others:
        for name, nanos in requested(other).items():
            used[name] = used.get(name, 0) + nanos
    for name, nanos in requested(pod).items():
        if name not in {"cpu", "memory"}:
            continue  # nothing else can be changed in place
        unit, room = (NANO // 1000 if name == "cpu" else NANO), allocatable.get(name, 0)
        if nanos > room:
            text = f"Node didn't have enough capacity: {name}, requested: {nanos // unit}, capacity: {room // unit}"
            return "Infeasible", text
        if nanos and used.get(name, 0) + nanos > room:
            return "Deferred", _out_of(name, nanos // unit, used[name] // unit, room // unit)[1].removeprefix(_PREFIX)
    return "", ""


def _is_allowed(name: str, unsafe: Sequence[str]) -> bool:
    listed = (one.replace("/", ".") for one in unsafe)
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in listed)


def _forbidden_sysctl(pod: Pod, unsafe: Sequence[str]) -> str | None:
    for one in (pod.spec.securityContext.sysctls or ()) if pod.spec.securityContext is not None else ():
        name = one.name.replace("/", ".")
        if name not in _SAFE_SYSCTLS and not _is_allowed(name, unsafe):
            return f'forbidden sysctl: "{one.name}" not allowlisted'
        if pod.spec.hostNetwork and name.startswith("net."):
            return f'forbidden sysctl: "{one.name}" not allowed with host net enabled'
        if pod.spec.hostIPC and name.startswith("kernel.shm"):
            return f'forbidden sysctl: "{one.name}" not allowed with host ipc enabled'
    return None


_PREFIX = "Pod was rejected: "
_ANYWHERE = ("", "0.0.0.0")
_HostPort = tuple[str, str, int]


def _host_ports(pod: Pod) -> list[_HostPort]:
    """The node's ports that a pod's containers take: address, protocol, number."""
    containers = (
        *pod.spec.containers,
        *(one for one in pod.spec.initContainers or () if one.restartPolicy == "Always"),
    )
    return [
        (port.hostIP or "", port.protocol or "TCP", port.hostPort)
        for container in containers
        for port in container.ports or ()
        if port.hostPort
    ]


def _clash(one: _HostPort, other: _HostPort) -> bool:
    if one[1:] != other[1:]:
        return False
    return one[0] == other[0] or one[0] in _ANYWHERE or other[0] in _ANYWHERE


def _out_of(name: str, asked: int, used: int, capacity: int) -> tuple[str, str]:
    text = f"Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}"
    return f"OutOf{name}", f"Pod was rejected: {text}"


def _fits_node(pod: Pod, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (pod.spec.nodeSelector or {}).items()):
        return False
    affinity = ((pod.spec.affinity or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity is None:
        return True
    return any(_term_fits(term, labels) for term in affinity.get("nodeSelectorTerms") or ())


def _term_fits(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    known = {**labels}
    by_name = {"metadata.name": labels.get("kubernetes.io/hostname", "")}
    return all(_holds(one, known) for one in expressions) and all(_holds(one, by_name) for one in fields)


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values: Sequence[str] = expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdigit() and int(value) > _bound(values)
        case "Lt":
            return value is not None and value.isdigit() and int(value) < _bound(values)
    return False


def _bound(values: Sequence[str]) -> int:
    return int(values[0])


def _tolerates(toleration: Any, taint: Mapping[str, str]) -> bool:
    if toleration.effect and toleration.effect != taint.get("effect"):
        return False
    if not toleration.key:
        return bool(toleration.operator == "Exists")
    if toleration.key != taint.get("key"):
        return False
    return bool(toleration.operator == "Exists" or (toleration.value or "") == taint.get("value", ""))
