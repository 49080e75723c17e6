"""Priority and fairness: requests take seats of their priority level; when a level is full they queue by flow.

While a level has free seats a request costs one table look-up. Watches and exempt requests take no seat.
Ref: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mizzen.api.flowcontrol.flowschema import FLOW_SCHEMA
from mizzen.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION
from mizzen.base import metrics
from mizzen.base.metrics import Histogram
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.identity import Identity
from mizzen.server.authn.serviceaccounts import split_username
from mizzen.server.config import Seat
from mizzen.server.requestinfo import RequestInfo
from mizzen.server.seams import Reader

SEATS: Final = 600
"""Requests that are worked on at once, over all levels."""
FLOW_HEADER: Final = "x-kubernetes-pf-flowschema-uid"
LEVEL_HEADER: Final = "x-kubernetes-pf-prioritylevel-uid"
_WAIT_SECONDS: Final = 60.0
_WAIT_BOUNDS: Final = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
_REMEMBERED: Final = 4096
_STREAMS: Final = frozenset({"watch", "proxy"})
_READS: Final = frozenset({"get", "list"})
"""Answered from memory without waiting, so a seat would be left as soon as it is taken."""
_LONG: Final = frozenset({"exec", "attach", "portforward", "log", "proxy"})


@dataclass(slots=True)
class _Level:
    """A limited priority level: its seats, and per flow who waits for one."""

    name: str
    seats: int
    most_waiting: int
    taken: int = 0
    waiting: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Requests that got no seat, by reason."""
    dispatched: int = 0
    waited: Histogram = field(default_factory=lambda: Histogram(_WAIT_BOUNDS))
    flows: OrderedDict[str, deque[asyncio.Future[None]]] = field(default_factory=OrderedDict)

    def leave(self) -> None:
        """A seat is free: the next flow in turn gets it."""
        while self.flows:
            name, queue = self.flows.popitem(last=False)
            waiter = queue.popleft()
            self.waiting -= 1
            if queue:
                self.flows[name] = queue
            if not waiter.done():
                waiter.set_result(None)
                return
        self.taken -= 1

    def refuse(self, reason: str) -> None:
        """A request gets no seat."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def forget(self, flow: str, waiter: asyncio.Future[None]) -> None:
        """Nobody waits any more."""
        queue = self.flows.get(flow)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
            if not queue:
                del self.flows[flow]


class _NoSeat:
    """What an exempt request sits on."""

    def leave(self) -> None:
        return None


_NO_SEAT: Final = _NoSeat()


class _Place(NamedTuple):
    """Where requests alike belong: a level (None: exempt) and a flow, and the headers that tell it."""

    level: _Level | None
    flow: str
    marks: Mapping[str, str]


_UNPLACED: Final = _Place(None, "", {})


@dataclass(frozen=True, slots=True)
class _Schema:
    """A FlowSchema: whom it concerns, and how its requests fall into flows."""

    name: str
    uid: str
    level: str
    precedence: int
    by: str
    rules: Sequence[Object]


class Fairness:
    """Seats requests by the FlowSchemas and PriorityLevelConfigurations in memory."""

    def __init__(self, reader: Reader, seats: int = SEATS) -> None:
        self._total = seats
        self._specs: dict[str, Object] = {}
        self._uids: dict[str, str] = {}
        self._schemas: dict[str, _Schema] = {}
        self._ordered: tuple[_Schema, ...] = ()
        self._levels: dict[str, _Level] = {}
        self._known: dict[tuple[str | tuple[str, ...], ...], _Place] = {}
        reader.subscribe(PRIORITY_LEVEL_CONFIGURATION, self._level_changed)
        reader.subscribe(FLOW_SCHEMA, self._schema_changed)

    def is_free(self, info: RequestInfo, user: Identity) -> bool:
        """Whether a request needs no seat: it is exempt, lasts long, or is a read while nobody waits."""
        if info.verb in _STREAMS or info.subresource in _LONG:
            return True
        level = self._place(info, user).level
        return level is None or (info.verb in _READS and level.taken < level.seats)

    async def seat(self, info: RequestInfo, user: Identity) -> Seat:
        """Wait for a seat. Raises ApiError 429."""
        level, flow, _ = self._place(info, user)
        if level is None:
            return _NO_SEAT
        if level.taken < level.seats:
            level.taken += 1
            level.dispatched += 1
            return level
        if level.waiting >= level.most_waiting:
            level.refuse("queue-full" if level.most_waiting else "concurrency-limit")
            raise Errors.too_many_requests("too many requests, please try again later", retry_after=1)
        return await self._wait(level, flow)

    def marks(self, info: RequestInfo, user: Identity) -> Mapping[str, str]:
        """Response headers that tell by which FlowSchema and level a request was judged."""
        return self._place(info, user).marks

    def metrics(self) -> Iterator[str]:
        """The seats of the levels, in Prometheus' text format."""
        shown: tuple[tuple[str, str, Callable[[_Level], int]], ...] = (
            ("nominal_limit_seats", "Seats of the level", lambda level: level.seats),
            ("current_limit_seats", "Seats that it may use now", lambda level: level.seats),
            ("current_executing_seats", "Seats that are taken", lambda level: level.taken),
            ("current_inqueue_requests", "Requests that wait", lambda level: level.waiting),
        )
        for metric, about, value in shown:
            samples = ((_shown(level), value(level)) for level in self._levels.values())
            yield from metrics.family(f"apiserver_flowcontrol_{metric}", "gauge", about, samples)
        yield from self._counted()

    def _counted(self) -> Iterator[str]:
        levels = self._levels.values()
        name = "apiserver_flowcontrol_dispatched_requests_total"
        dispatched = ((_shown(level), level.dispatched) for level in levels)
        yield from metrics.family(name, "counter", "Requests that took a seat", dispatched)
        name = "apiserver_flowcontrol_rejected_requests_total"
        refused = (
            (f'{_shown(level)},reason="{reason}"', count) for level in levels for reason, count in level.refused.items()
        )
        yield from metrics.family(name, "counter", "Requests that got none", refused)
        name = "apiserver_flowcontrol_request_wait_duration_seconds"
        yield from metrics.head(name, "histogram", "Seconds in the queue of those that waited")
        for level in levels:
            yield from level.waited.lines(name, _shown(level))

    def _place(self, info: RequestInfo, user: Identity) -> _Place:
        """The place of a request, looked up once for requests alike."""
        path = "" if info.resource else info.path
        key = (user.name, user.groups, info.verb, info.group, info.resource, info.subresource, info.namespace, path)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._classify(info, user)
        return found

    async def _wait(self, level: _Level, flow: str) -> _Level:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        level.flows.setdefault(flow, deque()).append(waiter)
        level.waiting += 1
        since = time.monotonic()
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await waiter
        except TimeoutError:
            level.forget(flow, waiter)
            level.refuse("time-out")
            raise Errors.too_many_requests("request did not start within its time in the queue") from None
        except asyncio.CancelledError:
            level.forget(flow, waiter)
            if waiter.done() and not waiter.cancelled():
                level.leave()
            raise
        level.dispatched += 1
        level.waited.observe(time.monotonic() - since)
        return level

    def _classify(self, info: RequestInfo, user: Identity) -> _Place:
        for schema in self._ordered:
            if schema.level not in self._specs:
                continue
            if any(_concerns(rule, info, user) for rule in schema.rules):
                distinguisher = {"ByUser": user.name, "ByNamespace": info.namespace}.get(schema.by, "")
                marks = {FLOW_HEADER: schema.uid, LEVEL_HEADER: self._uids.get(schema.level, "")}
                return _Place(self._levels.get(schema.level), f"{schema.name}/{distinguisher}", marks)
        return _UNPLACED

    def _schema_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._schemas.pop(key, None)
        else:
            spec = new["spec"]
            self._schemas[key] = _Schema(
                new["metadata"]["name"],
                new["metadata"].get("uid") or "",
                spec["priorityLevelConfiguration"]["name"],
                spec.get("matchingPrecedence", 1000),
                (spec.get("distinguisherMethod") or {}).get("type", ""),
                tuple(spec.get("rules") or ()),
            )
        ordered = sorted(self._schemas.values(), key=lambda schema: (schema.precedence, schema.name))
        self._ordered = tuple(ordered)
        self._known.clear()

    def _level_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._specs.pop(key, None)
            self._uids.pop(key, None)
        else:
            self._specs[key] = new["spec"]
            self._uids[key] = new["metadata"].get("uid") or ""
        limited = {name: spec["limited"] for name, spec in self._specs.items() if spec.get("limited")}
        shares = sum(spec.get("nominalConcurrencyShares", 30) for spec in limited.values()) or 1
        for name in self._levels.keys() - limited.keys():
            del self._levels[name]
        for name, spec in limited.items():
            seats = max(1, -(-self._total * spec.get("nominalConcurrencyShares", 30) // shares))
            level = self._levels.setdefault(name, _Level(name, seats, 0))
            level.seats, level.most_waiting = seats, _most_waiting(spec)
        self._known.clear()


def _shown(level: _Level) -> str:
    return metrics.labels({"priority_level": level.name})


def _most_waiting(spec: Object) -> int:
    response = spec.get("limitResponse") or {}
    if response.get("type") != "Queue":
        return 0
    queuing = response.get("queuing") or {}
    return int(queuing.get("queues", 64)) * int(queuing.get("queueLengthLimit", 50))


def _concerns(rule: Object, info: RequestInfo, user: Identity) -> bool:
    if not any(_is_subject(subject, user) for subject in rule.get("subjects") or ()):
        return False
    if info.resource:
        return any(_is_resource(known, info) for known in rule.get("resourceRules") or ())
    return any(_is_path(known, info) for known in rule.get("nonResourceRules") or ())


def _is_subject(subject: Object, user: Identity) -> bool:
    match subject.get("kind"):
        case "User":
            return subject["user"]["name"] in ("*", user.name)
        case "Group":
            name = subject["group"]["name"]
            return name == "*" or name in user.groups
        case "ServiceAccount":
            account = split_username(user.name)
            wanted = subject["serviceAccount"]
            return account is not None and account[0] == wanted["namespace"] and wanted["name"] in ("*", account[1])
    return False


def _is_resource(rule: Object, info: RequestInfo) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    wanted = (("verbs", info.verb), ("apiGroups", info.group), ("resources", resource))
    if not all(_lists(rule.get(name), value) for name, value in wanted):
        return False
    return _lists(rule.get("namespaces"), info.namespace) if info.namespace else bool(rule.get("clusterScope"))


def _is_path(rule: Object, info: RequestInfo) -> bool:
    if not _lists(rule.get("verbs"), info.verb):
        return False
    paths: Sequence[str] = rule.get("nonResourceURLs") or ()
    return any(path in ("*", info.path) or (path.endswith("/*") and info.path.startswith(path[:-1])) for path in paths)


def _lists(values: Sequence[str] | None, value: str) -> bool:
    return values is not None and ("*" in values or value in values)
