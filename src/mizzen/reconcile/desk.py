"""A controller's desk: which key comes next, what it rests on, and how one round of it goes.

It knows no event loop: the shell drives it with tasks, the simulation by hand.
"""

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Table
from mizzen.client.queue import WorkQueue
from mizzen.machinery.errors import ApiError
from mizzen.reconcile.controller import Controller, Keys, Watch
from mizzen.reconcile.fence import Fence, Written
from mizzen.reconcile.hands import Doubt, Hands, Outcome
from mizzen.reconcile.measures import Measures
from mizzen.reconcile.plan import Answer, Get, Plan

_log = log.get("reconcile")

Trace = Callable[[Controller, str, Any, Plan], None]
"""Is shown every snapshot with the plan made from it."""


@dataclass(slots=True)
class Counts:
    """What a controller has done so far."""

    rounds: int = 0
    stale: int = 0
    errors: int = 0
    actions: int = 0


class Desk:
    """The work of one controller. `woken` is called whenever a key may have become due."""

    def __init__(self, controller: Controller, cache: Cache, clock: Clock, woken: Callable[[], None]) -> None:
        self.controller = controller
        self.counts = Counts()
        self.queue = WorkQueue(controller.backoff)
        self.measures = Measures(controller.name, self.queue)
        self._cache = cache
        self._clock = clock
        self._woken = woken
        self._fence = Fence(cache, self.wake)
        self._doubts: dict[str, list[Doubt]] = {}
        self._rests: dict[str, float] = {}
        for watch in controller.watches:
            self._subscribe(cache.of(watch.resource, watch.view), watch)
        if controller.follows_everything is not None:
            cache.on_table(self._follow, lambda _table: None)

    def wake(self, key: str) -> None:
        """Look at this key soon."""
        self.measures.came(key, self._clock.monotonic())
        self.queue.add(key)
        self._woken()

    def look_again(self) -> None:
        """Look at every key soon that waits for its time: the time of day is another one than was expected."""
        self.queue.hasten()
        self._woken()

    def take(self) -> str | None:
        """The next key that may be worked on; give it to `round`."""
        now = self._clock.monotonic()
        while (key := self.queue.take(now)) is not None:
            until = self._fence.holds(key, now)
            if until is None:
                until = self._rests_until(key, now)
            if until is None:
                return key
            self.queue.done(key)
            self.queue.add_at(key, until)
        return None

    def _rests_until(self, key: str, now: float) -> float | None:
        until = self._rests.get(key)
        if until is not None and until <= now:
            del self._rests[key]
            return None
        return until

    async def round(self, key: str, hands: Hands, trace: Trace | None = None) -> None:
        """See, decide, act on one key, and arrange when to look again."""
        self.counts.rounds += 1
        self.measures.begun(key, self._clock.monotonic())
        try:
            await self._round(key, hands, trace)
        except (ApiError, ConnectionError) as error:
            self._failed(key, error)
        except Exception as error:  # a bug in one controller must not stop its other keys: counted, told, retried
            _log.error("controller failed", controller=self.controller.name, key=key, trace=traceback.format_exc())
            self._failed(key, error)
        finally:
            self.measures.done(key, self._clock.monotonic())
            self.queue.done(key)
            self._woken()

    async def _round(self, key: str, hands: Hands, trace: Trace | None) -> None:
        await self._settle_doubts(key, hands)
        if self._fence.holds(key, self._clock.monotonic()) is not None:
            self.queue.add(key)
            return
        snapshot = self.controller.observe(self._cache, key)
        if snapshot is None:
            self.queue.succeeded(key)
            return
        plan = self.controller.reconcile(snapshot, self._clock.now())
        if plan.ask and self.controller.informed is not None:
            snapshot = self.controller.informed(snapshot, _parsed(await hands.ask(plan.ask)))
            again = self.controller.reconcile(snapshot, self._clock.now())
            plan = again if not again.ask else Plan(requeue_after=again.requeue_after or 5.0)
        if trace is not None:
            trace(self.controller, key, snapshot, plan)
        self.counts.actions += len(plan.actions)
        outcome = await hands.carry_out(plan)
        self._settle(key, plan, outcome)

    async def _settle_doubts(self, key: str, hands: Hands) -> None:
        """Find out what became of unanswered writes before anything is decided anew."""
        doubts = self._doubts.get(key)
        if not doubts:
            return
        while doubts:
            written = await hands.resolve(doubts[-1])
            if written is not None:
                self._expect(key, [written])
            doubts.pop()
        del self._doubts[key]

    def _settle(self, key: str, plan: Plan, outcome: Outcome) -> None:
        self._expect(key, outcome.written)
        if plan.rest:
            self._rests[key] = self._clock.monotonic() + plan.rest
        if outcome.doubts:
            self._doubts.setdefault(key, []).extend(outcome.doubts)
        if outcome.error is not None:
            self._failed(key, outcome.error)
            return
        if outcome.stale:
            self.counts.stale += 1
            self.measures.retries += 1
            self.queue.failed(key, self._clock.monotonic())
            return
        self.queue.succeeded(key)
        if plan.requeue_after is not None:
            self.queue.add_at(key, self._clock.monotonic() + max(plan.requeue_after, 0.001))

    def _expect(self, key: str, written: list[Written]) -> None:
        self._fence.expect(key, written, self._clock.monotonic())

    def _failed(self, key: str, error: Exception) -> None:
        self.counts.errors += 1
        self.measures.retries += 1
        delay = self.queue.failed(key, self._clock.monotonic())
        _log.info("will retry", controller=self.controller.name, key=key, error=str(error), seconds=round(delay, 3))

    def _follow(self, table: Table[Any]) -> None:
        everything = self.controller.follows_everything
        if everything is None:
            return

        def keys(cache: Cache, seen: Any) -> Iterable[str]:
            return everything(cache, table.resource, seen)

        self._subscribe(table, Watch(table.resource, table.view, keys, self.controller.concerns_everything))

    def _subscribe(self, table: Table[Any], watch: Watch) -> None:
        if watch.keys is None:
            return
        keys: Keys = watch.keys

        def changed(old: Any, new: Any) -> None:
            if old is not None and new is not None and watch.concerns is not None and not watch.concerns(old, new):
                return
            if old is not None:
                for key in keys(self._cache, old):
                    self.wake(key)
            if new is not None:
                for key in keys(self._cache, new):
                    self.wake(key)

        table.subscribe(changed)


def _parsed(answers: Mapping[Get, Answer]) -> dict[Get, Answer]:
    return {
        question: Answer(answer.status, orjson.loads(answer.body)) if answer.status == 200 else answer
        for question, answer in answers.items()
    }
