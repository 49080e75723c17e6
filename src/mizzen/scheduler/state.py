"""The scheduler without its I/O: what it knows, which pods wait, and what was decided but is not seen yet.

Fed by changes of the tables and by results of requests; answers with decisions. Simulations drive it directly.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mizzen.api.views.core import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.resource import DeviceClass, DeviceTaintRule, ResourceClaim, ResourceSlice
from mizzen.api.views.storage import CSIDriver, CSINode, CSIStorageCapacity, StorageClass
from mizzen.client import resources
from mizzen.client.cache import Cache
from mizzen.scheduler import extended, preemption
from mizzen.scheduler.config import Configuration, Profile
from mizzen.scheduler.cycle import Decider, Placed, Unschedulable
from mizzen.scheduler.devices import Picked
from mizzen.scheduler.framework import Event
from mizzen.scheduler.plugins import resource_claims
from mizzen.scheduler.queue import Queue, Waiting
from mizzen.scheduler.snapshot import PodInfo, Snapshot, pod_info, refreshed
from mizzen.scheduler.tables import budgets, is_finished, lookups

LEAVING: Final = "not eligible due to a terminating pod on the nominated node."


@dataclass(frozen=True, slots=True)
class Assumed:
    """A placement that is on its way: the pod's uid, its node, and devices picked for its claims by their uids."""

    uid: str
    node: str
    devices: dict[str, Picked] = field(default_factory=dict)


class State:
    """All schedulers of one configuration over one snapshot. `woken` is called when there may be something to do."""

    def __init__(
        self,
        cache: Cache,
        configuration: Configuration,
        rng: random.Random,
        monotonic: Callable[[], float],
        woken: Callable[[], None],
    ) -> None:
        self._cache = cache
        self._monotonic = monotonic
        self._woken = woken
        self.snapshot = Snapshot(lookups(cache))
        self.profiles: dict[str, Profile] = {one.name: one for one in configuration.profiles}
        self.deciders = {one.name: Decider(self.snapshot, one.plugins, rng.random) for one in configuration.profiles}
        self.snapshot.changed = self._node_dirty
        self.snapshot.renewed = self._forget_verdicts
        wakes: dict[str, frozenset[Event]] = {}
        for plugin in (plugin for one in configuration.profiles for plugin in one.plugins):
            if plugin.wakes_on:  # whoever names no event is asked again at every one
                wakes[plugin.name] = wakes.get(plugin.name, frozenset()) | plugin.wakes_on
        self.queue = Queue(wakes, configuration.first_backoff, configuration.last_backoff)
        self._assumed: dict[str, Assumed] = {}
        self._clearing: dict[str, set[str]] = {}

    def subscribe(self) -> None:
        """Follow the tables, beginning with everything there is: nodes before pods."""
        of = self._cache.of
        of(resources.NODES, Node).subscribe(self._node_changed)
        of(resources.PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).subscribe(self._other("claim"))
        of(resources.PERSISTENT_VOLUMES, PersistentVolume).subscribe(self._other("volume"))
        of(resources.STORAGE_CLASSES, StorageClass).subscribe(self._other("volume"))
        of(resources.CSI_NODES, CSINode).subscribe(self._other("node changed"))
        of(resources.CSI_DRIVERS, CSIDriver).subscribe(self._other("volume"))
        of(resources.CSI_STORAGE_CAPACITIES, CSIStorageCapacity).subscribe(self._other("volume"))
        of(resources.NAMESPACES, Namespace).subscribe(self._namespace_changed)
        of(resources.RESOURCE_CLAIMS, ResourceClaim).subscribe(self._claim_changed)
        of(resources.DEVICE_CLASSES, DeviceClass).subscribe(self._other("device class"))
        of(resources.RESOURCE_SLICES, ResourceSlice).subscribe(self._devices_changed)
        of(resources.DEVICE_TAINT_RULES, DeviceTaintRule).subscribe(self._devices_changed)
        of(resources.PODS, Pod).subscribe(self._pod_changed)

    # --- decisions

    def next(self) -> Waiting | None:
        """The pod to decide now."""
        return self.queue.pop(self._monotonic())

    def decide(self, pod: PodInfo) -> Placed | Unschedulable:
        """The verdict of the pod's scheduler. Raises whatever a registered Python scheduler raises."""
        own = self.profiles[pod.pod.spec.schedulerName].decide
        decider = self._decider(pod)
        kept = decider.withdraw(pod.key)
        if own is not None:
            verdict = own(pod, self.snapshot)
        else:
            verdict = decider.decide(pod, preferred=kept or pod.pod.status.nominatedNodeName)
        if not kept or (isinstance(verdict, Placed) and verdict.node == kept):
            return verdict
        if isinstance(verdict, Unschedulable) and self.is_clearing(pod):
            decider.nominate(pod, kept)
        else:
            self._wake("pod gone")
        return verdict

    def assume(self, pod: PodInfo, node: str) -> Assumed:
        """Count the pod on its node, and its devices as taken, until it is seen there or `forget`."""
        where = self.snapshot.nodes[node]
        devices = resource_claims.choose(pod, where, self.snapshot)
        assumed = Assumed(pod.pod.metadata.uid, node, devices or {})
        self._assumed[pod.key] = assumed
        for uid, picked in assumed.devices.items():
            self.snapshot.assumed_devices[uid] = (pod.key, picked)
        if assumed.devices:
            self.snapshot.taken = None
            self._forget_verdicts()
        self.snapshot.set_pod(pod, node)
        return assumed

    def forget(self, key: str, uid: str = "") -> None:
        """The assumed placement (of this very pod) did not come about; its devices stay taken until `release`."""
        assumed = self._assumed.get(key)
        if assumed is None or (uid and assumed.uid != uid):
            return
        del self._assumed[key]
        self.snapshot.remove_pod(key, assumed.node)
        self._wake("pod gone")

    def release(self, claims: Iterable[str]) -> None:
        """The claims with these uids were not allocated after all; of the others the table will tell."""
        for claim in claims:
            self.snapshot.assumed_devices.pop(claim, None)
        self.snapshot.taken = None
        self._forget_verdicts()
        self._wake("resource claim")

    # --- preemption

    def ways(self, pod: PodInfo, why: Unschedulable) -> tuple[preemption.Eviction, ...] | preemption.NoWay:
        """How room could be made for a pod, node by node."""
        profile = self.profiles[pod.pod.spec.schedulerName]
        if not profile.preempts or profile.decide is not None:
            return preemption.NoWay(0)
        if self.is_clearing(pod):
            return preemption.NoWay(why.nodes, of_the_pod=LEAVING)
        if why.pod_reason is not None:
            return preemption.hopeless(pod, why)
        alike = self._decider(pod).class_of(pod)
        return preemption.candidates(pod, alike, why, self.snapshot, budgets(self._cache))

    def make_room(self, pod: PodInfo, way: preemption.Eviction) -> preemption.Eviction:
        """Keep the room of the victims for a pod; pods that merely have room kept give way. Answers who must go."""
        waiting = {one.key for one in way.victims if self._is_nominated(one)}
        for one in way.victims:
            if one.key in waiting:
                self._decider(one).withdraw(one.key)
        self._decider(pod).nominate(pod, way.node)
        victims = tuple(one for one in way.victims if one.key not in waiting)
        self._clearing[pod.key] = {one.key for one in victims}
        return replace(way, victims=victims)

    def is_clearing(self, pod: PodInfo) -> bool:
        """Whether victims of the pod are still on their way out."""
        return bool(self._clearing.get(pod.key))

    def abandon(self, pod: PodInfo) -> None:
        """The victims of a pod could not be removed: it may choose others."""
        self._clearing.pop(pod.key, None)
        self._withdraw(pod.key)

    def _withdraw(self, key: str) -> None:
        """No room is kept for a pod any more; others may have it."""
        freed = [node for one in self.deciders.values() if (node := one.withdraw(key))]
        if freed:
            self._wake("pod gone")

    def _is_nominated(self, pod: PodInfo) -> bool:
        return any(one.is_nominated(pod.key) for one in self.deciders.values())

    def _decider(self, pod: PodInfo) -> Decider:
        return self.deciders[pod.pod.spec.schedulerName]

    def _cleared(self, key: str) -> None:
        """A pod is gone; whoever waited for its room alone need not serve the rest of its back-off."""
        ready = []
        for preemptor, victims in self._clearing.items():
            victims.discard(key)
            if not victims:
                ready.append(preemptor)
        for preemptor in ready:
            del self._clearing[preemptor]
            self.queue.activate(preemptor)

    # --- what changes

    def _node_dirty(self, name: str) -> None:
        for one in self.deciders.values():
            one.node_changed(name)

    def _forget_verdicts(self) -> None:
        for one in self.deciders.values():
            one.forget_verdicts()

    def _other(self, event: Event) -> Callable[[Any, Any], None]:
        def changed(old: Any, new: Any) -> None:
            if old is not None or new is not None:
                self._forget_verdicts()
                self._wake(event)

        return changed

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        before = old.metadata.labels if old is not None else {}
        after = new.metadata.labels if new is not None else {}
        if before != after:
            self.snapshot.forget_namespaces()
            self._forget_verdicts()
            self._wake("namespace")

    def _devices_changed(self, old: Any, new: Any) -> None:
        if old is not None or new is not None:
            self.snapshot.inventory = None
            self._forget_verdicts()
            self._wake("resource claim")

    def _claim_changed(self, old: ResourceClaim | None, new: ResourceClaim | None) -> None:
        seen = new or old
        if seen is None:
            return
        if new is None or new.status.allocation is not None:
            assumed = self.snapshot.assumed_devices.pop(seen.metadata.uid, None)
            if assumed is not None:
                self.snapshot.assumed_devices.pop(extended.uid(extended.owner(seen)), None)
        self.snapshot.taken = None
        self._forget_verdicts()
        self._wake("resource claim")

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            if self.snapshot.set_node(new):
                self._wake("node changed" if old else "node added")
        elif old is not None:
            self.snapshot.remove_node(old.metadata.name)
            self._wake("node changed")  # where pods must spread there is one domain less to even out

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        seen = new or old
        if seen is None:
            return
        key = f"{seen.metadata.namespace}/{seen.metadata.name}"
        if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
            self._pod_gone(key, old)
        if new is None or is_finished(new):
            self._pod_gone(key, old or seen)
        elif new.spec.nodeName:
            self._placed(key, new)
            if old is None or not old.spec.nodeName:
                self._wake("pod added")
        elif self._is_mine(new):
            self._arrived(key, new)
        else:
            self.queue.remove(key)

    def _pod_gone(self, key: str, pod: Pod) -> None:
        self.forget(key)
        self._withdraw(key)
        self._clearing.pop(key, None)
        self.queue.remove(key)
        if pod.spec.nodeName:
            self.snapshot.remove_pod(key, pod.spec.nodeName)
            self._cleared(key)
            self._wake("pod gone")

    def _arrived(self, key: str, pod: Pod) -> None:
        """A pod waits; room that was kept for it by an earlier process is kept on."""
        known = self.queue.known(key)
        if key in self._assumed and known is None:
            return  # it is bound; that is merely not seen yet
        info = refreshed(known, pod) if known is not None else pod_info(pod)
        nominated = pod.status.nominatedNodeName
        if known is None and nominated in self.snapshot.nodes and key not in self._assumed:
            self._decider(info).nominate(info, nominated)
        self.queue.add(info, self._monotonic())
        self._woken()

    def _placed(self, key: str, pod: Pod) -> None:
        """A pod is seen bound: what was assumed becomes fact."""
        self._withdraw(key)
        self._clearing.pop(key, None)
        assumed = self._assumed.pop(key, None)
        if assumed is not None and assumed.node != pod.spec.nodeName:
            self.snapshot.remove_pod(key, assumed.node)
            self._wake("pod gone")
        node = self.snapshot.nodes.get(pod.spec.nodeName)
        known = node.pods.get(key) if node is not None else None
        info = refreshed(known, pod) if known is not None else pod_info(pod)
        self.snapshot.set_pod(info, pod.spec.nodeName)
        self.queue.remove(key)
        if known is not None and known.pod.spec.nodeName:
            self._reconsider(known, info)

    def _reconsider(self, before: PodInfo, after: PodInfo) -> None:
        """A placed pod is not what it was: it may take less, count elsewhere, or no longer count."""
        old, new = before.pod.metadata, after.pod.metadata
        if before.requests != after.requests or old.labels != new.labels or (new.deleting and not old.deleting):
            self._wake("pod gone")
        if old.labels != new.labels:
            self._wake("pod added")

    def _is_mine(self, pod: Pod) -> bool:
        return pod.spec.schedulerName in self.profiles and not pod.spec.schedulingGates and not pod.metadata.deleting

    def _wake(self, event: Event) -> None:
        self.queue.wake(event, self._monotonic())
        self._woken()
