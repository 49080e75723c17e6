"""The scheduler at work: watches in, bindings and events out. All decisions are in `cycle` and `preemption`."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mizzen.api.views import meta as views
from mizzen.api.views.core import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.policy import PodDisruptionBudget
from mizzen.api.views.storage import StorageClass
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Index
from mizzen.client.client import STRATEGIC, Client, Resource
from mizzen.client.informer import synced
from mizzen.client.resources import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    STORAGE_CLASSES,
)
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError
from mizzen.reconcile.events import Recorder
from mizzen.reconcile.plan import Note, Reference
from mizzen.scheduler import preemption, volumes
from mizzen.scheduler.cycle import Decider, Placed, Unschedulable
from mizzen.scheduler.framework import Event, Plugin
from mizzen.scheduler.plugins import PLUGINS
from mizzen.scheduler.plugins.volumes import claims
from mizzen.scheduler.queue import Queue, Waiting
from mizzen.scheduler.snapshot import Lookups, PodInfo, Snapshot, pod_info

BURST: Final = 50
"""Decisions in a row before other work of the process has its turn."""
BINDINGS: Final = 256
"""Bindings under way at once."""
CLAIM_SECONDS: Final = 600.0
"""How long a pod's claims may take to be bound before it is decided again."""

_log = log.get("scheduler")
_CLAIM_USERS: Index[Pod] = Index(
    "claim users",
    lambda pod: tuple(
        (pod.metadata.namespace, one.persistentVolumeClaim.claimName)
        for one in pod.spec.volumes
        if one.persistentVolumeClaim is not None
    ),
)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the scheduler reads, in the process's shared cache."""

    cache: Cache

    @property
    def lookups(self) -> Lookups:
        pods = self.cache.of(PODS, Pod)
        claims_table = self.cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        volumes_table = self.cache.of(PERSISTENT_VOLUMES, PersistentVolume)
        classes = self.cache.of(STORAGE_CLASSES, StorageClass)
        namespaces = self.cache.of(NAMESPACES, Namespace)

        def users(namespace: str, name: str) -> list[str]:
            found = pods.by(_CLAIM_USERS, (namespace, name))
            return [f"{namespace}/{pod.metadata.name}" for pod in found if pod.spec.nodeName and not _finished(pod)]

        return Lookups(
            claim=claims_table.get,
            volume=lambda name: volumes_table.get("", name),
            volumes=lambda: volumes_table,
            storage_class=lambda name: classes.get("", name),
            namespace=lambda name: namespaces.get("", name),
            claim_users=users,
        )


_FOLLOWED: Final[dict[Resource, type[Any]]] = {
    NODES: Node,
    PODS: Pod,
    NAMESPACES: Namespace,
    PERSISTENT_VOLUMES: PersistentVolume,
    PERSISTENT_VOLUME_CLAIMS: PersistentVolumeClaim,
    POD_DISRUPTION_BUDGETS: PodDisruptionBudget,
    STORAGE_CLASSES: StorageClass,
}


class Scheduler:
    """One scheduler, by its name in `spec.schedulerName`."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        clock: Clock,
        rng: random.Random,
        *,
        name: str = "default-scheduler",
        plugins: Sequence[Plugin] = PLUGINS,
    ) -> None:
        self._client = client
        self._cache = cache
        self._clock = clock
        self._name = name
        self.snapshot = Snapshot(Tables(cache).lookups)
        self._decider = Decider(self.snapshot, plugins, rng.random)
        self._queue = Queue({plugin.name: plugin.wakes_on for plugin in plugins})
        self._recorder = Recorder(client, clock, rng, name)
        self._woken = asyncio.Event()
        self._assumed: dict[str, str] = {}
        self._slots = asyncio.Semaphore(BINDINGS)

    async def run(self) -> None:
        """Schedule until cancelled."""
        for resource, view in _FOLLOWED.items():
            self._cache.of(resource, view)
        await synced(self._cache)
        self._subscribe()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._alarm())
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._drain(tasks)

    async def _alarm(self) -> None:
        """Wake up when a back-off ends."""
        while True:
            due = self._queue.next_time()
            await self._clock.sleep(1.0 if due is None else min(1.0, max(0.01, due - self._clock.monotonic())))
            if due is not None and due <= self._clock.monotonic():
                self._woken.set()

    async def _drain(self, tasks: asyncio.TaskGroup) -> None:
        decided = 0
        while (waiting := self._queue.pop(self._clock.monotonic())) is not None:
            await self._slots.acquire()
            tasks.create_task(self._act(waiting, self._decide(waiting)))
            decided += 1
            if decided % BURST == 0:
                await asyncio.sleep(0)

    def _decide(self, waiting: Waiting) -> Placed | Unschedulable:
        """Decide, and assume the pod onto its node so that the next decision counts it."""
        verdict = self._decider.decide(waiting.pod)
        if isinstance(verdict, Placed):
            self._assumed[waiting.pod.key] = verdict.node
            self.snapshot.set_pod(waiting.pod, verdict.node)
        return verdict

    async def _act(self, waiting: Waiting, verdict: Placed | Unschedulable) -> None:
        try:
            match verdict:
                case Placed(node):
                    await self._bind(waiting, node)
                case Unschedulable():
                    await self._refuse(waiting, verdict)
        except (ApiError, ConnectionError) as error:
            _log.warning("scheduling failed", pod=waiting.pod.key, error=str(error))
            self._forget(waiting.pod.key)
            gone = isinstance(error, ApiError) and error.code == 404
            if not gone:
                self._queue.retry(waiting, self._clock.monotonic())
        finally:
            self._slots.release()

    # --- placing

    async def _bind(self, waiting: Waiting, node: str) -> None:
        pod = waiting.pod.pod
        meta = pod.metadata
        wanted = volumes.unbound(waiting.pod, node, self.snapshot) if claims(waiting.pod) else ()
        if wanted:
            await asyncio.gather(*(volumes.ask(self._client, choice, node) for choice in wanted))
            if not await self._claims_bound(waiting.pod):
                self._forget(waiting.pod.key)
                self._queue.retry(waiting, self._clock.monotonic())
                return
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await self._client.create(PODS, binding, meta.namespace, name=meta.name, subresource="binding")
        self._queue.remove(waiting.pod.key)
        text = f"Successfully assigned {meta.namespace}/{meta.name} to {node}"
        self._recorder.record(Note(_reference(pod), "Scheduled", text, "Normal"))

    async def _claims_bound(self, pod: PodInfo) -> bool:
        """Wait until all claims of a pod are bound; False when that takes too long."""
        table = self._cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        changed = asyncio.Event()

        def note(old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
            changed.set()

        def bound() -> bool:
            found = [table.get(pod.pod.metadata.namespace, name) for name in claims(pod)]
            return all(one is not None and one.spec.volumeName and one.status.phase == "Bound" for one in found)

        table.subscribe(note)
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                while not bound():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return False
        finally:
            table.unsubscribe(note)
        return True

    # --- refusing

    async def _refuse(self, waiting: Waiting, why: Unschedulable) -> None:
        popped = self._clock.monotonic()
        pod = waiting.pod
        way = None
        if why.pod_reason is None:
            way = preemption.find(pod, self._decider.class_of(pod), why, self.snapshot, self._budgets())
        text = why.message + ("" if way else preemption.message(why))
        if way is not None:
            self._decider.nominate(pod, way.node)
            await asyncio.gather(*(self._preempt(pod, victim, way.node) for victim in way.victims))
        self._recorder.record(Note(_reference(pod.pod), "FailedScheduling", text, "Warning"))
        await self._note_condition(pod.pod, text, way.node if way else "")
        self._queue.failed(waiting, why.plugins, self._clock.monotonic(), popped)
        self._woken.set()

    async def _preempt(self, pod: PodInfo, victim: PodInfo, node: str) -> None:
        meta = victim.pod.metadata
        text = f"Preempted by pod {pod.pod.metadata.uid} on node {node}"
        self._recorder.record(Note(_reference(victim.pod), "Preempted", text, "Normal"))
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{self._name}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": times.format(self._clock.now()),
        }
        patch = {"metadata": {"uid": meta.uid}, "status": {"conditions": [disrupted]}}
        try:
            await self._client.patch(PODS, meta.name, patch, meta.namespace, type=STRATEGIC, subresource="status")
            await self._client.delete(PODS, meta.name, meta.namespace, uid=meta.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _note_condition(self, pod: Pod, text: str, nominated: str) -> None:
        """Write why the pod waits, where it is not written there already."""
        known = views.condition(pod.status.conditions, "PodScheduled")
        same = known is not None and (known.status, known.reason, known.message) == ("False", "Unschedulable", text)
        if same and (not nominated or pod.status.nominatedNodeName == nominated):
            return
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": text,
            "lastTransitionTime": (known.lastTransitionTime if known and known.status == "False" else None)
            or times.format(self._clock.now()),
        }
        status: dict[str, Any] = {"conditions": [condition]}
        if nominated:
            status["nominatedNodeName"] = nominated
        meta = pod.metadata
        patch = {"metadata": {"uid": meta.uid}, "status": status}
        await self._client.patch(PODS, meta.name, patch, meta.namespace, type=STRATEGIC, subresource="status")

    def _budgets(self) -> tuple[preemption.Budget, ...]:
        table = self._cache.of(POD_DISRUPTION_BUDGETS, PodDisruptionBudget)
        return tuple(
            preemption.Budget(one.metadata.namespace, one.spec.selector, one.status.disruptionsAllowed)
            for one in table
            if one.spec.selector is not None
        )

    # --- what changes

    def _subscribe(self) -> None:
        self._cache.of(POD_DISRUPTION_BUDGETS, PodDisruptionBudget)
        self._cache.of(NODES, Node).subscribe(self._node_changed)
        self._cache.of(PODS, Pod).subscribe(self._pod_changed)
        self._cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).subscribe(self._other("claim"))
        self._cache.of(PERSISTENT_VOLUMES, PersistentVolume).subscribe(self._other("volume"))
        self._cache.of(STORAGE_CLASSES, StorageClass).subscribe(self._other("volume"))
        self._cache.of(NAMESPACES, Namespace).subscribe(self._other("namespace"))

    def _other(self, event: Event) -> Callable[[Any, Any], None]:
        def changed(old: Any, new: Any) -> None:
            if old is not None or new is not None:
                self._decider.forget_verdicts()
                self._wake(event)

        return changed

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            if self.snapshot.set_node(new):
                self._wake("node changed" if old else "node added")
        elif old is not None:
            self.snapshot.remove_node(old.metadata.name)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        seen = new or old
        if seen is None:
            return
        key = f"{seen.metadata.namespace}/{seen.metadata.name}"
        if old is not None and old.spec.nodeName and (new is None or _finished(new)) and not _finished(old):
            self.snapshot.remove_pod(key, old.spec.nodeName)
            self._wake("pod gone")
        if new is None:
            self._forget(key)
            self._decider.withdraw(key)
            self._queue.remove(key)
        elif _finished(new):
            self._queue.remove(key)
        elif new.spec.nodeName:
            self._placed(key, new)
            if old is None or not old.spec.nodeName:
                self._wake("pod added")
        elif self._is_mine(new) and key not in self._assumed:
            self._queue.add(pod_info(new), self._clock.now())
            self._woken.set()

    def _placed(self, key: str, pod: Pod) -> None:
        """A pod is seen bound: what was assumed becomes fact."""
        self._decider.withdraw(key)
        assumed = self._assumed.pop(key, None)
        if assumed is not None and assumed != pod.spec.nodeName:
            self.snapshot.remove_pod(key, assumed)
        self.snapshot.set_pod(pod_info(pod), pod.spec.nodeName)
        self._queue.remove(key)

    def _is_mine(self, pod: Pod) -> bool:
        return pod.spec.schedulerName == self._name and not pod.spec.schedulingGates and not pod.metadata.deleting

    def _forget(self, key: str) -> None:
        """The placement that was assumed did not come about."""
        node = self._assumed.pop(key, None)
        if node is not None:
            self.snapshot.remove_pod(key, node)

    def _wake(self, event: Event) -> None:
        self._queue.wake(event, self._clock.monotonic())
        self._woken.set()


def _finished(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def _reference(pod: Pod) -> Reference:
    meta = pod.metadata
    return Reference("v1", "Pod", meta.namespace, meta.name, meta.uid, meta.resourceVersion)


async def run(client: Client, cache: Cache, clock: Clock, rng: random.Random) -> None:
    """Run the default scheduler until cancelled; the cache's informers are the caller's."""
    await Scheduler(client, cache, clock, rng).run()
