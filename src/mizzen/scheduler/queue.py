"""Pods that wait: ready ones by priority and age, failed ones until something changes that may help them.

A pod that failed waits in `stuck` for an event that one of the plugins that rejected it is woken by, then serves its
back-off (1 s doubling to 10 s), then is ready again. After five minutes it is tried again in any case. While nobody is
ready, a few pods need not serve the rest of their back-off; those that met an error always do.
"""

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Final

from mizzen.scheduler.framework import Event
from mizzen.scheduler.snapshot import PodInfo

FIRST_BACKOFF: Final = 1.0
LAST_BACKOFF: Final = 10.0
STUCK_SECONDS: Final = 300.0
FEW: Final = 100
"""So many pods that back off may be tried early; more of them would keep a process busy that has other work to do."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod in the queue: how often it failed, since when, which plugins were against it, when it was taken."""

    pod: PodInfo
    added: float
    attempts: int = 0
    failed_at: float = 0.0
    plugins: frozenset[str] = frozenset()
    taken_at: int = 0
    """Negative while it is being decided; then it says since when."""
    backs_off: bool = False
    erred: bool = False
    again: bool = False
    """It is to be tried at once whatever the decision under way says."""


@dataclass(slots=True)
class Queue:
    """`wakes` says for each plugin which events may change its mind."""

    wakes: dict[str, frozenset[Event]]
    first_backoff: float = FIRST_BACKOFF
    last_backoff: float = LAST_BACKOFF
    _ready: list[tuple[int, float, int, Waiting]] = field(default_factory=list)
    _backing_off: list[tuple[float, int, Waiting]] = field(default_factory=list)
    _stuck: dict[frozenset[str], dict[str, Waiting]] = field(default_factory=dict)
    _known: dict[str, Waiting] = field(default_factory=dict)
    _sequence: "itertools.count[int]" = field(default_factory=itertools.count)
    _happened: dict[Event, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._known)

    def known(self, key: str) -> PodInfo | None:
        """What is known of a waiting pod."""
        found = self._known.get(key)
        return found.pod if found is not None else None

    def add(self, pod: PodInfo, now: float) -> None:
        """Add a pod, or replace what is known of it; a pod whose spec changed may be schedulable now."""
        known = self._known.get(pod.key)
        if known is None:
            self._known[pod.key] = known = Waiting(pod, now)
            self._make_ready(known)
            return
        before, after = known.pod.pod, pod.pod
        changed = (
            before.spec != after.spec
            or before.metadata.labels != after.metadata.labels
            or before.status.resourceClaimStatuses != after.status.resourceClaimStatuses
        )
        known.pod = pod
        if changed:
            self.activate(pod.key)

    def activate(self, key: str) -> None:
        """Try a pod that waits for something at once."""
        known = self._known.get(key)
        if known is None:
            return
        if known.taken_at < 0:
            known.again = True
        elif self._unstick(known) or known.backs_off:
            self._make_ready(known)

    def remove(self, key: str) -> None:
        """Forget a pod."""
        known = self._known.pop(key, None)
        if known is not None:
            self._unstick(known)

    def done(self, waiting: Waiting) -> None:
        """The pod that was taken needs no more decisions."""
        if self._known.get(waiting.pod.key) is waiting:
            self.remove(waiting.pod.key)

    def pop(self, now: float) -> Waiting | None:
        """The next pod to decide, or None."""
        self._release(now)
        if not self._ready:
            self._release_one()
        while self._ready:
            waiting = heapq.heappop(self._ready)[3]
            if self._known.get(waiting.pod.key) is waiting and waiting.taken_at >= 0:
                waiting.taken_at = -1 - next(self._sequence)
                waiting.again = waiting.backs_off = False
                self._unstick(waiting)
                return waiting
        return None

    def failed(self, waiting: Waiting, plugins: frozenset[str], now: float) -> None:
        """Put back a pod that could not be placed; what happened since it was taken counts for it too."""
        if not self._put_back(waiting, now):
            return
        taken = -1 - waiting.taken_at
        waiting.plugins, waiting.taken_at = plugins, 0
        if waiting.again:
            self._make_ready(waiting)
            return
        helped = any(when > taken and self._helps(event, plugins) for event, when in self._happened.items())
        if helped:
            self._back_off(waiting)
        else:
            self._stuck.setdefault(plugins, {})[waiting.pod.key] = waiting

    def retry(self, waiting: Waiting, now: float) -> None:
        """Put back a pod whose placement did not go through (a lost write, a conflict): try again after back-off."""
        if self._put_back(waiting, now):
            waiting.taken_at = 0
            self._back_off(waiting)
            waiting.erred = True

    def wake(self, event: Event, now: float) -> None:
        """Something happened: pods that it may help serve their back-off and are tried again."""
        self._happened[event] = next(self._sequence)
        for plugins in [one for one in self._stuck if self._helps(event, one)]:
            for waiting in self._stuck.pop(plugins).values():
                self._back_off(waiting)

    def next_time(self) -> float | None:
        """When the queue next has something to do by itself; None when it waits for events alone."""
        times = [self._backing_off[0][0]] if self._backing_off else []
        times += [next(iter(group.values())).failed_at + STUCK_SECONDS for group in self._stuck.values() if group]
        return min(times, default=None)

    def _helps(self, event: Event, plugins: frozenset[str]) -> bool:
        """Whether an event may change the mind of one of these; of an extender nobody knows what may."""
        return not plugins or any(name not in self.wakes or event in self.wakes[name] for name in plugins)

    def _put_back(self, waiting: Waiting, now: float) -> bool:
        if self._known.get(waiting.pod.key) is not waiting:
            return False
        waiting.attempts += 1
        waiting.failed_at = now
        return True

    def _unstick(self, waiting: Waiting) -> bool:
        group = self._stuck.get(waiting.plugins)
        if group is None or group.pop(waiting.pod.key, None) is None:
            return False
        if not group:
            del self._stuck[waiting.plugins]
        return True

    def _back_off(self, waiting: Waiting) -> None:
        waiting.backs_off, waiting.erred = True, False
        pause = min(self.first_backoff * 2.0 ** min(waiting.attempts - 1, 10), self.last_backoff)
        heapq.heappush(self._backing_off, (waiting.failed_at + pause, next(self._sequence), waiting))

    def _make_ready(self, waiting: Waiting) -> None:
        entry = (-waiting.pod.priority, waiting.added, next(self._sequence), waiting)
        heapq.heappush(self._ready, entry)

    def _release_one(self) -> None:
        """Nobody is ready: the pod whose back-off ends first need not serve the rest."""
        if len(self._backing_off) > FEW:
            return
        early = min((entry for entry in self._backing_off if entry[2].backs_off and not entry[2].erred), default=None)
        if early is not None:
            self._backing_off.remove(early)
            heapq.heapify(self._backing_off)
            early[2].backs_off = False
            self._make_ready(early[2])

    def _release(self, now: float) -> None:
        while self._backing_off and self._backing_off[0][0] <= now:
            waiting = heapq.heappop(self._backing_off)[2]
            if waiting.backs_off:
                waiting.backs_off = False
                self._make_ready(waiting)
        for plugins in list(self._stuck):
            group = self._stuck[plugins]
            while group and now - (first := next(iter(group.values()))).failed_at >= STUCK_SECONDS:
                del group[first.pod.key]
                self._make_ready(first)
            if not group:
                del self._stuck[plugins]


def sizes(queue: Queue) -> dict[str, int]:
    """How many pods are ready or being decided, back off, and wait for a change."""
    stuck = sum(len(group) for group in queue._stuck.values())
    resting = sum(one.backs_off for _, _, one in queue._backing_off)
    return {"active": len(queue) - stuck - resting, "backoff": resting, "unschedulable": stuck}
