"""The processors of the node's pods, by the policy that the node was given."""

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from mizzen.agent.config import AgentConfig
from mizzen.agent.cpus import checkpoint
from mizzen.agent.cpus.assignment import Assignments, CpusRefused, Machine, assign, shared, take, wanted
from mizzen.agent.cpus.topology import Topology, parse, read, shown
from mizzen.api.views.podspec import Container, Pod
from mizzen.machinery import quantity

_SYS: Final = Path("/sys")


def machine_of(config: AgentConfig, topology: Topology) -> Machine:
    """What the policy goes by. Raises ValueError when nothing would be left for those who share."""
    reserved = parse(config.reserved_cpus) & topology.ids
    if not reserved:
        count = math.ceil(quantity.millicores(config.reserved.get("cpu", 0)) / 1000)
        if not 0 < count <= len(topology.ids):
            raise ValueError(f"cpuManagerPolicy: static needs CPUs that are reserved, of {shown(topology.ids)}")
        reserved = take(topology, topology.ids, count)
    return Machine(topology, reserved, config.cpu_options, config.alignment, config.alignment_scope)


def check(config: AgentConfig) -> None:
    """Whether a node can begin with its policy. Raises ValueError."""
    Cpus(config, tuple, lambda: None)


class Cpus:
    """What a pod's life needs of the static policy; without it, containers run wherever the kernel likes.

    `ended` names the pods that need nothing any more, `changed` is told when what containers share is another set.
    Raises: ValueError for a state that is not of this policy or machine.
    """

    def __init__(self, config: AgentConfig, ended: Callable[[], Iterable[str]], changed: Callable[[], None]) -> None:
        self._home = config.kubelet
        self._ended = ended
        self._changed = changed
        self.policy: Final = "static" if config.static_cpus else "none"
        self._machine = Machine(Topology(()), frozenset())
        if config.static_cpus:
            self._machine = machine_of(config, read(_SYS, os.sched_getaffinity(0)))
        self._assigned = checkpoint.read(self._home, self.policy, self._machine)

    def concern(self, pod: Pod) -> bool:
        """Whether `admit` has anything to do for a pod."""
        containers = (*(pod.spec.initContainers or ()), *pod.spec.containers)
        return self.policy == "static" and any(wanted(pod, one) for one in containers)

    def admit(self, pod: Pod) -> tuple[str, str] | None:
        """Give a new pod its processors; answers reason and message when it cannot have them."""
        if not self.concern(pod):
            return None
        left = self._assigned.without({*self._ended(), pod.metadata.uid})
        try:
            self._become(assign(pod, left, self._machine))
        except CpusRefused as refused:
            return refused.reason, f"Pod was rejected: {refused}"
        except OSError as error:
            return "UnexpectedAdmissionError", f"Pod was rejected: Allocate failed due to {error}, which is unexpected"
        return None

    def release(self, uid: str) -> None:
        """A pod needs its processors no more; may be repeated. Raises OSError."""
        if uid in self._assigned.entries:
            self._become(self._assigned.without({uid}))

    def holders(self) -> set[str]:
        """The uids of the pods that have processors."""
        return set(self._assigned.entries)

    def own(self, uid: str, container: str) -> frozenset[int]:
        """The processors that a container has for itself."""
        return self._assigned.entries.get(uid, {}).get(container, frozenset())

    def given(self, uid: str, container: Container) -> str:
        """Those on which a container runs, as control groups are told; empty: on any."""
        return (
            shown(self.own(uid, container.name) or shared(self._assigned, self._machine))
            if self.policy == "static"
            else ""
        )

    def allocatable(self) -> list[int]:
        """Those that can be given."""
        return sorted(self._machine.topology.ids - self._machine.reserved)

    def _become(self, assigned: Assignments) -> None:
        """Note it before anybody runs by it."""
        self._home.mkdir(parents=True, exist_ok=True)
        checkpoint.write(self._home, self.policy, assigned, self._machine)
        before, self._assigned = self._assigned, assigned
        if shared(before, self._machine) != shared(assigned, self._machine):
            self._changed()
