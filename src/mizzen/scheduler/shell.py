"""The scheduler at work: pods taken from the queue, decided, and acted upon, many at a time.

All decisions are in `cycle` and `preemption`, all bookkeeping in `state`, all writes in `binding`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final

from mizzen.api.views.core import Pod
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.informer import synced
from mizzen.client.resources import PODS
from mizzen.machinery.errors import ApiError
from mizzen.reconcile.events import Recorder
from mizzen.scheduler import preemption
from mizzen.scheduler.binding import Hands
from mizzen.scheduler.config import Configuration
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.extenders import ExtenderError, Extenders
from mizzen.scheduler.framework import Reject
from mizzen.scheduler.measures import Measures, Result
from mizzen.scheduler.queue import Waiting, sizes
from mizzen.scheduler.snapshot import PodInfo
from mizzen.scheduler.state import Assumed, State
from mizzen.scheduler.tables import open_tables

BURST: Final = 50
"""Decisions in a row before other work of the process has its turn."""
BINDINGS: Final = 256
"""Decisions under way to the API at once."""

_log = log.get("scheduler")


class Scheduler:
    """All schedulers of a configuration, by their names in `spec.schedulerName`."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        clock: Clock,
        rng: random.Random,
        configuration: Configuration | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._clock = clock
        self._woken = asyncio.Event()
        self.measures = Measures()
        self._slots = asyncio.Semaphore(BINDINGS)
        chosen = configuration or Configuration()
        open_tables(cache)
        self.state = State(cache, chosen, rng, clock.monotonic, self._woken.set)
        self._extenders = Extenders(client, chosen.extenders)
        self._recorders = {one.name: Recorder(client, clock, rng, one.name) for one in chosen.profiles}
        patience = {one.name: one.patience for one in chosen.profiles}
        self._hands = Hands(client, cache, clock, self._recorders, self._slots, patience)

    async def run(self) -> None:
        """Schedule until cancelled."""
        await synced(self._cache)
        self.state.subscribe()
        try:
            async with asyncio.TaskGroup() as tasks:
                for recorder in self._recorders.values():
                    tasks.create_task(recorder.run())
                while True:
                    self._woken.clear()
                    await self._drain(tasks)
                    await self._wait()
        finally:
            await self._extenders.close()

    def metrics(self) -> Iterator[str]:
        """What the scheduler tells of itself, in Prometheus' text format."""
        return self.measures.lines(sizes(self.state.queue))

    async def _wait(self) -> None:
        """Return when something has changed, or a back-off ends."""
        due = self.state.queue.next_time()
        if due is None:
            await self._woken.wait()
            return
        waiting = {
            asyncio.ensure_future(self._woken.wait()),
            asyncio.ensure_future(self._clock.sleep(max(0.001, due - self._clock.monotonic()))),
        }
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _drain(self, tasks: asyncio.TaskGroup) -> None:
        decided = 0
        while True:
            await self._slots.acquire()
            action = await self.take()
            if action is None:
                self._slots.release()
                return
            tasks.create_task(action).add_done_callback(lambda _: self._slots.release())
            decided += 1
            if decided % BURST == 0:
                await asyncio.sleep(0)

    async def take(self) -> Coroutine[Any, Any, None] | None:
        """Decide the next waiting pod; the answer, when awaited, carries the decision out. None: nothing is ready."""
        while (waiting := self.state.next()) is not None:
            began = self._clock.monotonic()
            try:
                verdict = await self._decide(waiting.pod)
            except (ExtenderError, ApiError, ConnectionError) as error:
                _log.warning("extender not asked", pod=waiting.pod.key, error=str(error))
                self._count(waiting, "error", began)
                self.state.queue.retry(waiting, self._clock.monotonic())
                continue
            if isinstance(verdict, Placed):
                return self._place(waiting, self.state.assume(waiting.pod, verdict.node), began)
            self._count(waiting, "unschedulable", began)
            return self._refuse(waiting, verdict)
        return None

    def _count(self, waiting: Waiting, result: Result, began: float) -> None:
        self.measures.attempt(waiting.pod.pod.spec.schedulerName, result, self._clock.monotonic() - began)

    async def _decide(self, pod: PodInfo) -> Placed | Unschedulable:
        verdict = self._decided(pod)
        if not self._extenders.chosen or not isinstance(verdict, Placed) or not self._extenders.interested(pod):
            return verdict
        decider = self.state.deciders[pod.pod.spec.schedulerName]
        alike = decider.class_of(pod)
        feasible, reasons = alike.feasible(), alike.reasons()
        verdict = await self._extenders.choose(pod, feasible, len(self.state.snapshot.nodes), reasons)
        if isinstance(verdict, Placed):
            node = self.state.snapshot.nodes.get(verdict.node)
            if node is None or decider.class_of(pod).check(node) is not None:
                raise ExtenderError(f"node {verdict.node} has changed meanwhile")
        return verdict

    def _decided(self, pod: PodInfo) -> Placed | Unschedulable:
        """The verdict; Python code of the user's that fails, or names no node there is, places nothing."""
        if not self.state.profiles[pod.pod.spec.schedulerName].foreign:
            return self.state.decide(pod)
        nodes = self.state.snapshot.nodes
        try:
            verdict = self.state.decide(pod)
        except Exception as error:  # foreign code: whatever it raises is the pod's reason to wait
            return Unschedulable(len(nodes), pod_reason=Reject(f"scheduler failed: {error!r}", resolvable=False))
        if isinstance(verdict, Placed) and verdict.node not in nodes:
            return Unschedulable(len(nodes), pod_reason=Reject(f"there is no node {verdict.node!r}", resolvable=False))
        return verdict

    async def _room(self, pod: PodInfo, why: Unschedulable) -> preemption.Eviction | preemption.NoWay:
        """How to make room for a pod, in the eyes of extenders too. Raises ExtenderError."""
        ways = self._ways(pod, why)
        if isinstance(ways, preemption.NoWay):
            return ways
        if self._extenders.chosen:
            ways = await self._extenders.preempt(pod, ways, self.state.snapshot)
            known = self.state.queue.known(pod.key)
            if not ways or known is None or known.pod.metadata.uid != pod.pod.metadata.uid:
                return preemption.NoWay(why.nodes)
        return self.state.make_room(pod, min(ways, key=preemption.Eviction.cost))

    def _ways(self, pod: PodInfo, why: Unschedulable) -> tuple[preemption.Eviction, ...] | preemption.NoWay:
        """Ways to make room for a pod; Python code of the user's that fails meanwhile finds none."""
        if not self.state.profiles[pod.pod.spec.schedulerName].foreign:
            return self.state.ways(pod, why)
        try:
            return self.state.ways(pod, why)
        except Exception as error:  # foreign code, as above
            return preemption.NoWay(why.nodes, of_the_pod=f"plugin failed: {error!r}.")

    async def _place(self, waiting: Waiting, assumed: Assumed, began: float) -> None:
        pod = waiting.pod
        result: Result = "error"
        try:
            problem = await self._hands.prepare(pod, assumed, self.state.snapshot)
            binder = self._extenders.binder(pod) if self._extenders.chosen else None
            if not problem and binder is not None:
                await self._extenders.bind(binder, pod, assumed.node)
            elif not problem:
                await self._hands.bind(pod.pod, assumed.node)
        except ConnectionError as error:
            # The answer may be lost alone: until it is known, the room stays taken.
            if not await self._is_bound(pod):
                await self._unplaced(waiting, assumed, error)
        except (ApiError, ExtenderError) as error:
            await self._unplaced(waiting, assumed, error)
        else:
            if not problem:
                result = "scheduled"
                self.measures.scheduled(waiting.attempts + 1)
                self.state.queue.done(waiting)
                self._hands.announce(pod, assumed.node)
                return
            await self._unplaced(waiting, assumed, TimeoutError(problem))
            with contextlib.suppress(ApiError, ConnectionError):
                await self._hands.refuse(waiting.pod.pod, problem, "", "SchedulerError")
        finally:
            self._count(waiting, result, began)

    async def _refuse(self, waiting: Waiting, why: Unschedulable) -> None:
        pod = waiting.pod
        try:
            leaving = self.state.is_clearing(pod)
            way = await self._room(pod, why)
            self.measures.preemption(len(way.victims) if isinstance(way, preemption.Eviction) else 0)
            text, nominated = why.message, ""
            if isinstance(way, preemption.NoWay):
                text += f" preemption: {way.message}" if way.message else ""
            else:
                nominated = way.node
                await self._evict(pod, way)
                if not way.victims:
                    self.state.queue.activate(pod.key)
            await self._hands.refuse(pod.pod, text, None if leaving else nominated)
            await self._hands.withdraw(pod, self.state.snapshot)
            self.state.queue.failed(waiting, why.plugins, self._clock.monotonic())
        except (ApiError, ConnectionError, ExtenderError) as error:
            self._failed(waiting, error)
        self._woken.set()

    async def _is_bound(self, pod: PodInfo) -> bool:
        """Ask, again and again if need be, whether a pod has a node by now."""
        meta = pod.pod.metadata
        while True:
            try:
                found = await self._client.get(PODS, meta.name, meta.namespace, view=Pod)
            except ConnectionError:
                await self._clock.sleep(1.0)
            except ApiError:
                return False
            else:
                return found.metadata.uid == meta.uid and bool(found.spec.nodeName)

    async def _unplaced(self, waiting: Waiting, assumed: Assumed, error: Exception) -> None:
        """A placement did not come about; devices stay taken where only the way to the API knows that they are."""
        while assumed.devices:
            try:
                self.state.release(await self._hands.unallocated(waiting.pod, assumed, self.state.snapshot))
            except (ApiError, ConnectionError):
                await self._clock.sleep(1.0)
            else:
                break
        self._failed(waiting, error)

    async def _evict(self, pod: PodInfo, way: preemption.Eviction) -> None:
        try:
            await self._hands.evict(pod, way.victims, way.node)
        except (ApiError, ConnectionError):
            self.state.abandon(pod)
            raise

    def _failed(self, waiting: Waiting, error: Exception) -> None:
        """An action did not go through: back to the queue, out of which the watch takes the pod if it is gone."""
        _log.info("scheduling failed", pod=waiting.pod.key, error=str(error))
        self.state.forget(waiting.pod.key, waiting.pod.pod.metadata.uid)
        self.state.queue.retry(waiting, self._clock.monotonic())
        self._woken.set()


async def run(
    client: Client,
    cache: Cache,
    clock: Clock,
    rng: random.Random,
    configuration: Configuration | None = None,
    metrics: list[Callable[[], Iterable[str]]] | None = None,
) -> None:
    """Run the schedulers of a configuration until cancelled, and let `metrics` tell of them.

    The cache's informers are the caller's.
    """
    scheduler = Scheduler(client, cache, clock, rng, configuration)
    tell = scheduler.metrics
    if metrics is not None:
        metrics.append(tell)
    try:
        await scheduler.run()
    finally:
        if metrics is not None:
            metrics.remove(tell)
