"""One decision: a pod in, a node or the reasons against every node out."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mizzen.scheduler.classes import PodClass, class_key
from mizzen.scheduler.framework import Plugin, Reject
from mizzen.scheduler.snapshot import PodInfo, Snapshot

CLASSES: Final = 64
"""How many classes of pods are kept current; the least recently used are forgotten."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The pod goes to this node."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """No node takes the pod now: the reason for each node, or one for the pod itself; and who must see a change."""

    nodes: int
    reasons: dict[str, Reject] = field(default_factory=dict)
    pod_reason: Reject | None = None

    @property
    def plugins(self) -> frozenset[str]:
        """Names of the plugins that stood in the way."""
        rejects = [self.pod_reason] if self.pod_reason else list(self.reasons.values())
        return frozenset(one.plugin for one in rejects if one.plugin)

    @property
    def message(self) -> str:
        """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`, as kubectl users know it."""
        if self.pod_reason is not None:
            return f"0/{self.nodes} nodes are available: {self.pod_reason.reason}."
        if not self.nodes:
            return "no nodes available to schedule pods"
        return f"0/{self.nodes} nodes are available: {counted(self.reasons.values())}."


def counted(rejects: Iterable[Reject]) -> str:
    """`1 Insufficient cpu, 2 node(s) were unschedulable`: every reason with the number of nodes that have it."""
    numbers = Counter(reason for one in rejects for reason in one.reasons)
    return ", ".join(sorted(f"{number} {reason}" for reason, number in numbers.items()))


class Decider:
    """Decides pods one after the other on a snapshot, keeping the classes of pods current."""

    def __init__(self, snapshot: Snapshot, plugins: Sequence[Plugin], tiebreak: Callable[[], float]) -> None:
        self._snapshot = snapshot
        self._plugins = tuple(plugins)
        self._tiebreak = tiebreak
        self._classes: OrderedDict[Hashable, PodClass] = OrderedDict()
        self._nominated: dict[str, str] = {}
        snapshot.changed = self.node_changed

    def decide(self, pod: PodInfo, preferred: str = "") -> Placed | Unschedulable:
        """The node for a pod: the preferred one when it can take the pod, else the best.

        Assumes nothing: the caller puts the pod onto its node when it acts on the decision.
        """
        self.withdraw(pod.key)
        for plugin in self._plugins:
            if plugin.refuse and (reject := plugin.refuse(pod, self._snapshot)):
                named = Reject(reject.reason, reject.resolvable, reject.plugin or plugin.name)
                return Unschedulable(len(self._snapshot.nodes), pod_reason=named)
        alike = self.class_of(pod)
        if preferred and (there := self._snapshot.nodes.get(preferred)) is not None and alike.check(there) is None:
            return Placed(preferred)
        node = alike.best()
        if node is not None:
            return Placed(node)
        return Unschedulable(len(self._snapshot.nodes), alike.reasons())

    def class_of(self, pod: PodInfo) -> PodClass:
        """The class that a pod belongs to, made when it is new."""
        key = class_key(pod, self._snapshot, self._plugins)
        found = self._classes.get(key)
        if found is None:
            self._snapshot.forget_many_tallies()
            found = PodClass(pod, self._snapshot, self._plugins, self._tiebreak)
            if found.is_narrow:
                return found  # soon judged again, and it would push out one that is not
            self._classes[key] = found
            if len(self._classes) > CLASSES:
                self._classes.popitem(last=False)
        else:
            self._classes.move_to_end(key)
        return found

    def nominate(self, pod: PodInfo, node: str) -> None:
        """Keep room on a node for a pod whose way is being cleared."""
        self.withdraw(pod.key)
        self._nominated[pod.key] = node
        self._snapshot.set_pod(pod, node)

    def withdraw(self, key: str) -> str:
        """Give up the room that was kept for a pod; answers on which node, "" when there was none."""
        node = self._nominated.pop(key, None)
        if node is not None:
            self._snapshot.remove_pod(key, node)
        return node or ""

    def forget_verdicts(self) -> None:
        """Volumes, claims or namespaces have changed: decide every class anew."""
        self._classes.clear()

    def is_nominated(self, key: str) -> bool:
        """Whether room is kept for a pod."""
        return key in self._nominated

    def node_changed(self, name: str) -> None:
        """Something about a node is different: every class looks at it again."""
        for one in self._classes.values():
            one.dirty.add(name)
