"""Which containers have processors for themselves, and which ones: values and decisions.

Ref: https://kubernetes.io/docs/tasks/administer-cluster/cpu-management-policies/
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

from mizzen.agent.cpus.topology import Level, Topology
from mizzen.agent.resources import qos_class
from mizzen.api.views.podspec import Container, Pod, Resources
from mizzen.machinery import quantity

FULL_CORES: Final = "full-pcpus-only"
STRICT: Final = "strict-cpu-reservation"
ALIGNMENTS: Final = ("none", "best-effort", "restricted", "single-numa-node")
_WHOLE: Final[tuple[Level, ...]] = ("socket", "node", "core")


class CpusRefused(Exception):
    """Processors that a pod cannot have: reason and message of its rejection."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Machine:
    """The processors of a node, those that are never given, and the options of the policy."""

    topology: Topology
    reserved: frozenset[int]
    options: frozenset[str] = frozenset()
    alignment: str = "none"
    """How much it matters that what a container, or else a whole pod, has lies in few memory nodes."""
    scope: str = "container"


@dataclass(frozen=True, slots=True)
class Assignments:
    """The processors that containers have for themselves, by pod uid and container."""

    entries: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)

    @property
    def taken(self) -> frozenset[int]:
        """All that are given."""
        return frozenset(cpu for entry in self.entries.values() for cpus in entry.values() for cpu in cpus)

    def without(self, pods: Set[str]) -> "Assignments":
        """The same when some pods have ended."""
        return Assignments({uid: entry for uid, entry in self.entries.items() if uid not in pods})


def shared(assigned: Assignments, machine: Machine) -> frozenset[int]:
    """The processors on which all other containers run."""
    left = machine.topology.ids - assigned.taken
    return left - machine.reserved if STRICT in machine.options else left


def wanted(pod: Pod, container: Container) -> int:
    """How many processors a container has for itself: as many as it asks for, if it and its pod are guaranteed them.

    A pod may be guaranteed as a whole what not all of its containers are.
    """
    asked = container.resources or Resources()
    limits = dict(asked.limits or {})
    requests = {**limits, **(asked.requests or {})}
    if qos_class(pod) != "Guaranteed" or any(
        quantity.parse(requests.get(name, 0)).nanos != quantity.parse(limits.get(name, 0)).nanos
        for name in ("cpu", "memory")
    ):
        return 0
    millicores = quantity.millicores(limits.get("cpu", 0)) if "memory" in limits else 0
    return millicores // 1000 if millicores % 1000 == 0 else 0


def assign(pod: Pod, before: Assignments, machine: Machine) -> Assignments:
    """What is assigned once a pod has its processors, too. Raises CpusRefused.

    Containers that follow an init container have its processors first.
    """
    free = machine.topology.ids - machine.reserved - before.taken
    lent: frozenset[int] = frozenset()
    entry: dict[str, frozenset[int]] = {}
    if machine.scope == "pod":
        free = aligned(machine, free, wanted_by_all(pod))
    for one in (*(pod.spec.initContainers or ()), *pod.spec.containers):
        count = wanted(pod, one)
        if not count:
            continue
        _check_cores(count, free | lent, machine)
        near = aligned(machine, free | lent, count) if machine.scope == "container" else free | lent
        reused = take(machine.topology, lent & near, min(count, len(lent & near)))
        entry[one.name] = reused | take(machine.topology, free & near, count - len(reused))
        free -= entry[one.name]
        passes = one in (pod.spec.initContainers or ()) and one.restartPolicy != "Always"
        lent = lent | entry[one.name] if passes else lent - entry[one.name]
    return replace(before, entries={**before.entries, pod.metadata.uid: entry}) if entry else before


def wanted_by_all(pod: Pod) -> int:
    """How many processors the containers of a pod have for themselves together; init containers pass theirs on."""
    inits = pod.spec.initContainers or ()
    lasting = [*pod.spec.containers, *(one for one in inits if one.restartPolicy == "Always")]
    return max(sum(wanted(pod, one) for one in lasting), *(wanted(pod, one) for one in inits), 0)


def aligned(machine: Machine, free: frozenset[int], count: int) -> frozenset[int]:
    """Those of the free processors that lie in as few memory nodes as can hold so many. Raises CpusRefused.

    Ref: https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/#topology-manager-policies
    """
    if machine.alignment == "none" or not count:
        return free
    nodes = list(machine.topology.units("node").values())
    whole, narrowest = 0, 0
    for size in sorted((len(node) for node in nodes), reverse=True):
        if whole < count:
            whole, narrowest = whole + size, narrowest + 1
    widest = {"best-effort": len(nodes), "restricted": narrowest, "single-numa-node": 1}[machine.alignment]
    for number in range(narrowest, widest + 1):
        for some in combinations(nodes, number):
            near = free & frozenset[int]().union(*some)
            if len(near) >= count:
                return near
    if machine.alignment == "best-effort":
        return free
    raise CpusRefused("TopologyAffinityError", "Resources cannot be allocated with Topology locality")


def _check_cores(count: int, free: Set[int], machine: Machine) -> None:
    """Whether whole cores are asked for and there, where nothing else is given."""
    threads = machine.topology.threads
    if FULL_CORES not in machine.options:
        return
    if count % threads:
        text = f"SMT Alignment Error: requested {count} cpus not multiple cpus per core = {threads}"
        raise CpusRefused("SMTAlignmentError", text)
    whole = sum(len(core) for core in machine.topology.units("core").values() if core <= free)
    if whole < count:
        text = f"SMT Alignment Error: not enough free physical CPUs: available physical CPUs = {whole}"
        raise CpusRefused("SMTAlignmentError", f"{text}, requested CPUs = {count}, CPUs per core = {threads}")


def take(topology: Topology, free: Set[int], count: int) -> frozenset[int]:
    """So many of the free processors: whole sockets, then whole cores, then threads of cores that others use already.

    What is left over stays as whole as it can be. Raises CpusRefused.
    """
    if len(free) < count:
        text = f"not enough cpus available to satisfy request: requested={count}, available={len(free)}"
        raise CpusRefused("UnexpectedAdmissionError", f"Allocate failed due to {text}, which is unexpected")
    chosen: set[int] = set()
    for level in _WHOLE:
        while len(chosen) < count:
            fitting = [unit for unit in topology.units(level).values() if unit <= free - chosen]
            fitting = [unit for unit in fitting if len(unit) <= count - len(chosen)]
            if not fitting:
                break
            chosen |= min(fitting, key=lambda unit: _distance(topology, unit, free - chosen, chosen))
    while len(chosen) < count:
        singles = [frozenset({cpu}) for cpu in free - chosen]
        chosen |= min(singles, key=lambda unit: _distance(topology, unit, free - chosen, chosen))
    return frozenset(chosen)


def _distance(topology: Topology, unit: Set[int], left: Set[int], chosen: Set[int]) -> tuple[bool, int, int, int]:
    """How bad it would be to choose a unit: away from what is chosen, or from a socket or core that is still free."""
    home = next(one for one in topology.cpus if one.id in unit)
    socket, core = topology.units("socket")[home.socket], topology.units("core")[home.core]
    return not chosen & socket and bool(chosen), len(left & socket), len(left & core), min(unit)
