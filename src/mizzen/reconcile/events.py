"""Kubernetes Events: written behind the controllers' back, repeats counted into one object, floods cut.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

import asyncio
import random
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass, replace

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import EVENTS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.reconcile.plan import Note

_log = log.get("events")
_BACKLOG = 5000
_REMEMBERED = 4096
_BURST = 25
_REFILL_SECONDS = 300.0
_FINEST = 1 << 12
"""Nanoseconds in which the names of events of several reporters are told apart by chance."""


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    first: float


@dataclass(slots=True)
class _Bucket:
    tokens: float
    since: float


class Recorder:
    """Records the events of one component; `run` writes them. Past the backlog the oldest are dropped."""

    def __init__(self, client: Client, clock: Clock, rng: random.Random, source: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._source = source
        self._host = host
        self._last = 0
        self._waiting: deque[tuple[Note, float]] = deque(maxlen=_BACKLOG)
        self._woken = asyncio.Event()
        self._series: OrderedDict[Note, _Series] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def record(self, note: Note) -> None:
        """Write this event soon; about which state of the object it is makes no other event of it."""
        note = replace(note, about=replace(note.about, resourceVersion=""))
        self._waiting.append((note, self._clock.now()))
        self._woken.set()

    async def run(self) -> None:
        """Write events until cancelled; one that cannot be written is lost."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                note, when = self._waiting.popleft()
                try:
                    await self._write(note, when)
                except (ApiError, ConnectionError) as error:
                    _log.debug("event lost", reason=note.reason, about=note.about.name, error=str(error))

    async def _write(self, note: Note, when: float) -> None:
        if not self._allows(note, when):
            return
        series = self._series.get(note)
        namespace = note.about.namespace or "default"
        if series is not None:
            series.count += 1
            self._series.move_to_end(note)
            try:
                await self._client.patch(EVENTS, series.name, _repeated(note, series.count, when), namespace)
                return
            except ApiError as error:
                if error.code != 404:
                    raise
                series.count -= 1
        name = f"{note.about.name}.{self._stamp(when):x}"
        count = series.count + 1 if series else 1
        self._series[note] = _Series(name, count, when)
        if len(self._series) > _REMEMBERED:
            self._series.popitem(last=False)
        told = self._series_of(note, when) if note.action else self._counted(note, when, count)
        await self._client.create(EVENTS, _event(note, name, namespace) | told, namespace)

    def _stamp(self, when: float) -> int:
        """Nanoseconds that make a name unique; later ones are greater, so that names sort as things happened."""
        self._last = max(self._last + 1, int(when * 1e9) // _FINEST * _FINEST + self._rng.randrange(_FINEST))
        return self._last

    def _allows(self, note: Note, now: float) -> bool:
        """Whether this object may have one more event from us: a bucket of 25 that refills one in five minutes."""
        key = (note.about.uid or note.about.name, note.about.namespace)
        bucket = self._buckets.setdefault(key, _Bucket(_BURST, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.since) / _REFILL_SECONDS)
        bucket.since = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _counted(self, note: Note, when: float, count: int) -> Object:
        stamp = times.format(when)
        return {
            "source": {"component": self._source, **({"host": self._host} if self._host else {})},
            "reportingComponent": self._source,
            "reportingInstance": self._host,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": count,
        }

    def _series_of(self, note: Note, when: float) -> Object:
        return {
            "action": note.action,
            "eventTime": times.format_micro(when),
            "reportingComponent": self._source,
            "reportingInstance": f"{self._source}-{self._host or 'mizzen'}",
        }


def _repeated(note: Note, count: int, when: float) -> Object:
    if note.action:
        return {"series": {"count": count, "lastObservedTime": times.format_micro(when)}}
    return {"count": count, "lastTimestamp": times.format(when)}


def _event(note: Note, name: str, namespace: str) -> Object:
    involved = {key: value for key, value in asdict(note.about).items() if value}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": involved,
        "reason": note.reason,
        "message": note.message[:1024],
        "type": note.type,
    }
