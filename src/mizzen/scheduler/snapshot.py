"""What the scheduler knows of the cluster: nodes with the pods on them, and tallies of pods by topology domain.

The one mutable value of the scheduler, kept current change by change. Pods that were decided but are not yet seen
bound are assumed onto their node, so that the next decision counts them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from mizzen.api.views.core import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.meta import LabelSelector
from mizzen.api.views.resource import DeviceClass, DeviceTaintRule, ResourceClaim, ResourceSlice
from mizzen.api.views.storage import CSIDriver, CSINode, CSIStorageCapacity, StorageClass
from mizzen.scheduler.devices import Picked
from mizzen.scheduler.inventory import Inventory, Taken
from mizzen.scheduler.requests import HostPort, amounts, host_ports, is_resized, requested, scored
from mizzen.scheduler.terms import OwnedTerm, Tally, Term, owned_terms

HOSTNAME: Final = "kubernetes.io/hostname"
TALLIES: Final = 4096
"""How many terms are counted at once; past that, those that are still asked for are counted anew."""
OWNED_TERMS: Final = 4096
"""How many terms of placed pods are remembered, those without a pod left among them."""


@dataclass(frozen=True, slots=True)
class PodInfo:
    """A pod with what is computed from it once."""

    pod: Pod
    requests: Mapping[str, int]
    scored: tuple[int, int]
    ports: tuple[HostPort, ...]
    terms: tuple[OwnedTerm, ...]
    claims: tuple[str, ...] = ()
    """Names of the pod's PersistentVolumeClaims, those of generic ephemeral volumes included."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.pod.metadata.namespace}/{self.pod.metadata.name}"

    @property
    def priority(self) -> int:
        return self.pod.spec.priority or 0


@dataclass(slots=True, eq=False)
class NodeInfo:
    """A node and the sums over its pods."""

    node: Node
    allocatable: dict[str, int]
    images: dict[str, int]
    pods: dict[str, PodInfo] = field(default_factory=dict)
    requested: dict[str, int] = field(default_factory=dict)
    scored_cpu: int = 0
    scored_memory: int = 0
    ports: list[HostPort] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.node.metadata.name

    @property
    def labels(self) -> dict[str, str]:
        return self.node.metadata.labels


@dataclass(frozen=True, slots=True)
class Lookups:
    """Reads of other objects that decisions need: by namespace and name, None when absent."""

    claim: Callable[[str, str], PersistentVolumeClaim | None] = lambda _namespace, _name: None
    volume: Callable[[str], PersistentVolume | None] = lambda _name: None
    volumes: Callable[[], Iterable[PersistentVolume]] = tuple
    storage_class: Callable[[str], StorageClass | None] = lambda _name: None
    namespace: Callable[[str], Namespace | None] = lambda _name: None
    csi_node: Callable[[str], CSINode | None] = lambda _name: None
    csi_driver: Callable[[str], CSIDriver | None] = lambda _name: None
    storage_capacities: Callable[[], Iterable[CSIStorageCapacity]] = tuple
    siblings: Callable[[Pod], LabelSelector | None] = lambda _pod: None
    """The selector of the pods of the same Services and workload; None for a pod of none."""
    resource_claim: Callable[[str, str], ResourceClaim | None] = lambda _namespace, _name: None
    resource_claims: Callable[[], Iterable[ResourceClaim]] = tuple
    device_class: Callable[[str], DeviceClass | None] = lambda _name: None
    device_classes: Callable[[], Iterable[DeviceClass]] = tuple
    resource_slices: Callable[[], Iterable[ResourceSlice]] = tuple
    device_taint_rules: Callable[[], Iterable[DeviceTaintRule]] = tuple


class Snapshot:
    """Nodes, pods and tallies. `changed` is called with a node's name whenever what it offers has changed."""

    def __init__(self, lookups: Lookups | None = None) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self.lookups = lookups or Lookups()
        self.tallies: dict[Term, Tally] = {}
        self.owned: dict[OwnedTerm, Tally] = {}
        self.renewed: Callable[[], None] = lambda: None
        """Called when tallies were dropped: whoever holds one must let go of it."""
        self.changed: Callable[[str], None] = lambda _name: None
        self.assumed_devices: dict[str, tuple[str, Picked]] = {}
        """Devices about to be allocated: by the claim's uid, for which pod, and which."""
        self.inventory: Inventory | None = None
        self.taken: Taken | None = None
        """The devices there are and what is taken of them; None when that must be looked up anew."""
        self.holders: Counter[str] = Counter()
        """How many nodes hold an image."""
        self.image_sizes: dict[str, int] = {}
        """How large an image is, as the last node that got it tells."""
        self.labelled: Counter[str] = Counter()
        """How many nodes have a label, by its key."""
        self.claim_users: dict[tuple[str, str], set[str]] = {}
        """The placed pods that use a PersistentVolumeClaim, by its namespace and name."""
        self._homeless: dict[str, dict[str, PodInfo]] = {}
        self._matched: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Tally, ...]] = {}

    # --- nodes

    def set_node(self, node: Node) -> bool:
        """Add or update a node; tells whether anything that matters for placement is new."""
        name = node.metadata.name
        known = self.nodes.get(name)
        if known is not None and _alike(known.node, node):
            return False
        images = {tag: image.sizeBytes for image in node.status.images for tag in image.names}
        self._count_images(known, images)
        self.labelled.subtract(known.labels.keys() if known else ())
        self.labelled.update(node.metadata.labels.keys())
        fresh = NodeInfo(node, amounts(node.status.allocatable), images)
        pods = list(known.pods.values()) if known else list(self._homeless.pop(name, {}).values())
        if known:
            for info in pods:
                self._count(known, info, -1)
        self.nodes[name] = fresh
        for info in pods:
            self._place(fresh, info)
        self.changed(name)
        return True

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods wait for it to come back or to be deleted."""
        known = self.nodes.pop(name, None)
        if known is None:
            return
        self._count_images(known, {})
        self.labelled.subtract(known.labels.keys())
        for info in known.pods.values():
            self._count(known, info, -1)
        if known.pods:
            self._homeless[name] = known.pods
        self.changed(name)

    def _count_images(self, known: NodeInfo | None, images: Mapping[str, int]) -> None:
        before = known.images if known is not None else {}
        if before.keys() == images.keys():
            return
        self.holders.subtract(before.keys())
        self.holders.update(images.keys())
        self.image_sizes |= images
        for gone in before.keys() - images.keys():
            if not self.holders[gone]:
                del self.holders[gone], self.image_sizes[gone]

    # --- pods

    def set_pod(self, info: PodInfo, node: str) -> None:
        """Put a pod on a node, replacing what was known of it there."""
        where = self.nodes.get(node)
        if where is None:
            self._homeless.setdefault(node, {})[info.key] = info
            return
        known = where.pods.get(info.key)
        if known is not None:
            if _counts_alike(known, info):
                where.pods[info.key] = info
                return
            self._take(where, known)
        self._place(where, info)
        self.changed(node)

    def remove_pod(self, key: str, node: str) -> None:
        """Take a pod off a node."""
        where = self.nodes.get(node)
        if where is None:
            self._homeless.get(node, {}).pop(key, None)
            return
        known = where.pods.get(key)
        if known is not None:
            self._take(where, known)
            self.changed(node)

    # --- tallies

    def tally(self, term: Term) -> Tally:
        """How many matching pods there are by the value of the term's topology key, kept current from now on."""
        known = self.tallies.get(term)
        if known is not None:
            return known
        made = self.tallies[term] = Tally(term)
        for info in self.nodes.values():
            value = info.labels.get(term.topology_key)
            if value is None or (term.among is not None and not term.among.holds(info.node)):
                continue
            for one in info.pods.values():
                if self._selects(term, one.pod):
                    made.add(value, 1)
        self._matched.clear()
        return made

    def forget_many_tallies(self) -> None:
        """Drop the tallies once there are too many; not while a class is being made that holds some already."""
        if len(self.tallies) >= TALLIES:
            self.tallies.clear()
            self._matched.clear()
            self.renewed()

    def _selects(self, term: Term, pod: Pod) -> bool:
        if pod.metadata.deleting and term.ignores_deleting:
            return False
        return term.selects(pod.metadata.namespace, pod.metadata.labels, self.namespace_labels)

    def forget_namespaces(self) -> None:
        """Labels of namespaces have changed: tallies that select by them are taken anew when they are asked for."""
        self.tallies = {term: tally for term, tally in self.tallies.items() if not term.reads_namespaces}
        self._matched.clear()

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        found = self.lookups.namespace(name)
        return found.metadata.labels if found else {}

    def _tallies_of(self, pod: Pod) -> tuple[Tally, ...]:
        """The tallies that count a pod, remembered for all pods of the same namespace and labels."""
        key = (pod.metadata.namespace, tuple(sorted(pod.metadata.labels.items())))
        found = self._matched.get(key)
        if found is None:
            if len(self._matched) > 4096:
                self._matched.clear()
            found = self._matched[key] = tuple(
                tally for term, tally in self.tallies.items() if self._selects(term, pod)
            )
        return found

    def _count(self, where: NodeInfo, info: PodInfo, sign: int) -> None:
        for tally in self._tallies_of(info.pod):
            value, among = where.labels.get(tally.term.topology_key), tally.term.among
            if value is not None and (among is None or among.holds(where.node)):
                tally.add(value, sign)
        for owned in info.terms:
            value = where.labels.get(owned.term.topology_key)
            if value is None:
                continue
            owners = self.owned.get(owned)
            if owners is None:
                self._forget_empty_owners()
                owners = self.owned[owned] = Tally(owned.term)
            owners.add(value, sign)

    def _forget_empty_owners(self) -> None:
        """Drop the tallies that count nothing, once there are many; whoever holds one must then let go of it."""
        if len(self.owned) < OWNED_TERMS:
            return
        self.owned = {owned: tally for owned, tally in self.owned.items() if tally.counts}
        self.renewed()

    def _place(self, where: NodeInfo, info: PodInfo) -> None:
        where.pods[info.key] = info
        for name, value in info.requests.items():
            where.requested[name] = where.requested.get(name, 0) + value
        where.scored_cpu += info.scored[0]
        where.scored_memory += info.scored[1]
        where.ports.extend(info.ports)
        for claim in info.claims:
            self.claim_users.setdefault((info.pod.metadata.namespace, claim), set()).add(info.key)
        self._count(where, info, 1)

    def _take(self, where: NodeInfo, info: PodInfo) -> None:
        del where.pods[info.key]
        for name, value in info.requests.items():
            where.requested[name] -= value
        where.scored_cpu -= info.scored[0]
        where.scored_memory -= info.scored[1]
        for port in info.ports:
            where.ports.remove(port)
        for claim in info.claims:
            users = self.claim_users.get((info.pod.metadata.namespace, claim), set())
            users.discard(info.key)
            if not users:
                self.claim_users.pop((info.pod.metadata.namespace, claim), None)
        self._count(where, info, -1)


def pod_info(pod: Pod) -> PodInfo:
    """Compute once what decisions need of a pod."""
    return PodInfo(pod, requested(pod), scored(pod), host_ports(pod), owned_terms(pod), tuple(_claims(pod)))


def _claims(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            yield volume.persistentVolumeClaim.claimName
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}"


def refreshed(info: PodInfo, pod: Pod) -> PodInfo:
    """What is computed of a pod's new state, taken over from the old one where nothing of it has changed."""
    old = info.pod.spec
    same = old.containers == pod.spec.containers and old.initContainers == pod.spec.initContainers
    if not same or old.affinity != pod.spec.affinity or is_resized(pod) or is_resized(info.pod):
        return pod_info(pod)
    return PodInfo(pod, info.requests, info.scored, info.ports, info.terms, info.claims)


def _counts_alike(one: PodInfo, other: PodInfo) -> bool:
    """Whether two states of a placed pod weigh the same in every sum and tally."""
    before, after = one.pod.metadata, other.pod.metadata
    return (
        one.requests == other.requests
        and one.scored == other.scored
        and one.ports == other.ports
        and one.terms == other.terms
        and before.labels == after.labels
        and before.deleting == after.deleting
    )


def _alike(one: Node, other: Node) -> bool:
    """Whether two states of a node are the same for placement; heartbeats are."""
    return (
        one.metadata.labels == other.metadata.labels
        and one.spec.taints == other.spec.taints
        and one.spec.unschedulable == other.spec.unschedulable
        and one.status.allocatable == other.status.allocatable
        and one.status.images == other.status.images
        and one.metadata.annotations.keys() == other.metadata.annotations.keys()
    )
