"""The one shell that drives every controller: tasks, timers and events around each controller's desk."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from mizzen.base.clock import Clock
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.discovery import follow_kinds, open_built_in
from mizzen.client.informer import synced
from mizzen.reconcile import measures
from mizzen.reconcile.controller import Controller
from mizzen.reconcile.desk import Desk, Trace
from mizzen.reconcile.events import Recorder
from mizzen.reconcile.hands import Hands


async def run_controllers(
    client: Client,
    cache: Cache,
    controllers: Iterable[Controller],
    clock: Clock,
    rng: random.Random,
    trace: Trace | None = None,
    metrics: list[Callable[[], Iterable[str]]] | None = None,
    jumped: list[Callable[[], None]] | None = None,
) -> None:
    """Drive the controllers until cancelled, and let `metrics` tell of them.

    What is put into `jumped` is to be called when the time of day has jumped.
    Somebody else runs `informer.follow` on the cache.
    """
    desks = tuple(_Driver(client, cache, controller, clock, rng, trace) for controller in controllers)
    if metrics is not None:
        measured = [driver.desk.measures for driver in desks]
        metrics.append(lambda: measures.lines(measured, clock.monotonic()))
    if jumped is not None:
        jumped += [driver.desk.look_again for driver in desks]
    everything = any(driver.desk.controller.follows_everything is not None for driver in desks)
    async with asyncio.TaskGroup() as tasks:
        if everything:
            open_built_in(cache)
            tasks.create_task(follow_kinds(client, cache, clock), name="served kinds")
        await synced(cache)
        for driver in desks:
            tasks.create_task(driver.run(), name=f"controller {driver.desk.controller.name}")


class _Driver:
    """Runs the rounds of one desk as tasks, as many at a time as its controller wants."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        controller: Controller,
        clock: Clock,
        rng: random.Random,
        trace: Trace | None,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._trace = trace
        self._woken = asyncio.Event()
        self._recorder = Recorder(client, clock, rng, controller.source)
        self._hands = Hands(client, rng, self._recorder.record, _together)
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0
        self.desk = Desk(controller, cache, clock, self._woken.set)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._recorder.run())
            if self.desk.controller.resync is not None:
                tasks.create_task(self._resync())
            while True:
                self._woken.clear()
                while self.desk.queue.busy < self.desk.controller.workers and (key := self.desk.take()) is not None:
                    tasks.create_task(self.desk.round(key, self._hands, self._trace))
                self._set_timer(tasks)
                await self._woken.wait()

    def _set_timer(self, tasks: asyncio.TaskGroup) -> None:
        due = self.desk.queue.next_due()
        if due is None or (self._timer is not None and not self._timer.done() and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = tasks.create_task(self._ring(due - self._clock.monotonic()))

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(max(seconds, 0.0))
        self._timer = None
        self._woken.set()

    async def _resync(self) -> None:
        controller = self.desk.controller
        while controller.resync is not None:
            for key in controller.resync(self._cache):
                self.desk.wake(key)
            await self._clock.sleep(controller.resync_seconds)


async def _together(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    if len(calls) == 1:
        return [await calls[0]]
    return list(await asyncio.gather(*calls))
