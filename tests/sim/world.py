"""A seeded world for controllers: watches lag, writes and answers get lost, processes crash, pods live and die.

Everything runs synchronously under one seed, so that a world of a few hundred steps takes milliseconds.
"""

import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.sim.api import FakeApi, addressed
from tests.sim.story import TOLD, Decision

from mizzen.api.views.meta import Partial
from mizzen.client.cache import Cache, Table
from mizzen.client.client import Client, Resource
from mizzen.client.discovery import built_in
from mizzen.client.resources import NODES, PODS
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller
from mizzen.reconcile.desk import Desk
from mizzen.reconcile.hands import Hands
from mizzen.reconcile.plan import Note, Plan
from mizzen.wire.message import Request, Response

EPOCH = 1_700_000_000.0


class Crash(BaseException):
    """The process under test dies here."""


@dataclass
class SimClock:
    """Time that the world moves."""

    elapsed: float = 0.0

    def now(self) -> float:
        return EPOCH + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps in a simulation")


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances, each per request."""

    lost_write: float = 0.03
    lost_answer: float = 0.03
    crash: float = 0.02


@dataclass
class CrashAt:
    """No chance, but one death: at the write of this number, before it reaches the API or after. `writes` counts."""

    write: int
    after: bool = False
    writes: int = 0


USUAL: list[CrashAt] = []
"""What worlds made now are to suffer in place of chance; the last one counts."""


def _usual() -> "Faults | CrashAt":
    return USUAL[-1] if USUAL else Faults()


@dataclass
class _Line:
    """The wire between a process and the API, with its faults."""

    api: FakeApi
    rng: random.Random
    faults: Faults | CrashAt | None

    async def call(self, request: Request) -> Response:
        if self.faults is None or request.method == "GET":
            return await self.api.call(request)
        if isinstance(self.faults, CrashAt):
            return await self._until(request, self.faults)
        dice = self.rng.random()
        faults = self.faults
        if dice < faults.lost_write:
            raise ConnectionError("the write was lost")
        if dice < faults.lost_write + faults.crash:
            raise Crash
        response = await self.api.call(request)
        if dice > 1 - faults.lost_answer:
            raise ConnectionError("the answer was lost")
        if dice > 1 - faults.lost_answer - faults.crash:
            raise Crash
        return response

    async def _until(self, request: Request, crash: CrashAt) -> Response:
        number, crash.writes = crash.writes, crash.writes + 1
        if number == crash.write and not crash.after:
            raise Crash
        response = await self.api.call(request)
        if number == crash.write:
            raise Crash
        return response

    async def close(self) -> None:
        """Nothing to give up."""


Act = Callable[["World"], Any]
"""What a user does; its answer counts for nothing."""


@dataclass
class World:
    """The API, the controllers under test, and whatever else lives."""

    seed: int
    controllers: Sequence[Controller]
    users: Sequence[Act] = ()
    kubelet: "Kubelet | None" = None
    faults: Faults | CrashAt | None = field(default_factory=_usual)
    all_kinds: bool = False
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.clock = SimClock()
        self.api = FakeApi(self.clock.now, self.rng)
        self._line = _Line(self.api, self.rng, self.faults)
        self._start()

    def _start(self) -> None:
        """A fresh process: empty cache, no memory."""
        self.cache = Cache()
        client = Client(self._line)
        self.desks = [Desk(one, self.cache, self.clock, lambda: None) for one in self.controllers]
        self._hands = Hands(client, self.rng, self.notes.append, _in_turn)
        self.cache.learn(built_in())
        if self.all_kinds:
            for resource in self.cache.kinds.values():
                self.cache.of(resource, Partial)
        self._cursors: dict[Resource, int] = {}
        for table in self.cache.tables:
            self._relist(table)

    def _relist(self, table: Table[Any]) -> None:
        where = (table.resource.group, table.resource.plural)
        self._cursors[table.resource] = len(self.api.logs.get(where, ()))
        objects = [msgspec.convert(one, table.view) for one in self.api.objects.get(where, {}).values()]
        table.replace(objects, str(self.api.revision))

    @property
    def faults_on(self) -> bool:
        return self._line.faults is not None

    # -- life ----------------------------------------------------------------------------------------------------

    def live(self, steps: int, horizon: float = 100_000.0) -> None:
        """So many random steps, under faults; then peace until nothing moves any more."""
        users = list(self.users)
        for _ in range(steps):
            self._step(users)
        for act in users:
            act(self)
        self.settle(horizon)

    def _step(self, users: list[Act]) -> None:
        dice = self.rng.random()
        if dice < 0.40:
            self.work()
        elif dice < 0.70:
            self.deliver(self.rng.choice(self.cache.tables), self.rng.randrange(1, 4))
        elif dice < 0.88 and self.kubelet is not None:
            self.kubelet.act(self)
        elif dice < 0.93:
            self.clock.elapsed += self.rng.choice((0.01, 0.5, 3, 20))
        elif dice < 0.95 and users:
            users.pop(0)(self)
        elif dice < 0.955:
            self._start()

    def work(self) -> bool:
        """One round of a random controller that has something to do."""
        for desk in self.rng.sample(self.desks, len(self.desks)):
            key = desk.take()
            if key is None:
                continue
            try:
                _run(desk.round(key, self._hands, self._trace))
            except Crash:
                self._start()
            return True
        return False

    def _trace(self, controller: Controller, _key: str, snapshot: Any, plan: Plan) -> None:
        if plan:
            TOLD.append(Decision(controller, snapshot, self.clock.now(), plan))

    def deliver(self, table: Table[Any], limit: int) -> bool:
        """Let a table fold in the next events of its watch."""
        log = self.api.logs.get((table.resource.group, table.resource.plural), ())
        at = self._cursors.get(table.resource, 0)
        events = log[at : at + limit]
        self._cursors[table.resource] = at + len(events)
        for event in events:
            if event.type == "DELETED":
                table.drop(event.namespace, event.name, str(event.revision))
            else:
                table.put(msgspec.json.decode(event.body, type=table.view))
        return bool(events)

    def resume(self) -> None:
        """Bring the faults back after `settle`, so that what is judged begins in good order."""
        self._line.faults = self.faults
        self.api.requests.clear()

    def settle(self, horizon: float = 100_000.0) -> None:
        """No more faults: run until nobody has anything to do before the horizon."""
        self._line.faults = None
        until = self.clock.elapsed + horizon
        for _ in range(20_000):
            moved = sum(self.deliver(table, 1000) for table in self.cache.tables) > 0
            moved = self.work() or moved
            if not moved and self.kubelet is not None:
                moved = self.kubelet.settle(self)
            if moved:
                continue
            due = min((when for desk in self.desks if (when := desk.queue.next_due()) is not None), default=None)
            if due is None or due > until:
                return
            self.clock.elapsed = max(self.clock.elapsed, due)
        raise AssertionError(f"seed {self.seed}: the world never comes to rest")

    # -- judgement -------------------------------------------------------------------------------------------------

    def plans(self, controller: Controller, keys: Iterable[str]) -> list[Plan]:
        """What the controller would still do."""
        found = ((controller.observe(self.cache, key)) for key in keys)
        return [controller.reconcile(seen, self.clock.now()) for seen in found if seen is not None]

    def all(self, resource: Resource) -> list[Object]:
        return self.api.all(resource)

    def writes(self) -> set[str]:
        """What the controllers have written to, as `VERB plural` or `VERB plural/subresource`."""
        return {written(one) for one in self.api.requests if one.method != "GET"}


@dataclass
class Kubelet:
    """Schedules, starts, breaks, mends and stops pods."""

    nodes: tuple[str, ...] = ("n1", "n2", "n3")
    flaky: float = 0.1
    outcome: Callable[[World, Object], str] | None = None
    """What a running pod ends as: "Succeeded", "Failed", or "" while it runs on."""

    def act(self, world: World) -> None:
        """Move one random pod on."""
        pods = world.all(PODS)
        if pods:
            self.advance(world, world.rng.choice(pods))

    def advance(self, world: World, pod: Object) -> bool:
        """Move a pod on by one step of its life; answers whether it moved."""
        meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
        namespace, name = meta["namespace"], meta["name"]
        if meta.get("deletionTimestamp"):
            if meta.get("deletionGracePeriodSeconds") == 0:
                return False
            world.api.kill(PODS, namespace, name)
            return True
        if status.get("phase") in ("Succeeded", "Failed"):
            return False
        if not spec.get("nodeName"):
            world.api.patch(PODS, namespace, name, {"spec": {"nodeName": world.rng.choice(self.nodes)}})
            return True
        if status.get("phase") != "Running":
            self._report(world, pod, "Running", ready=True)
            return True
        return self._run_on(world, pod)

    def _run_on(self, world: World, pod: Object) -> bool:
        ending = self.outcome(world, pod) if self.outcome is not None else ""
        if ending:
            self._report(world, pod, ending, ready=False)
            return True
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])
        if not ready:
            self._report(world, pod, "Running", ready=True)
            return True
        if world.faults_on and world.rng.random() < self.flaky:
            self._report(world, pod, "Running", ready=False)
        return False

    def _report(self, world: World, pod: Object, phase: str, *, ready: bool) -> None:
        meta = pod["metadata"]
        stamp = times.format(world.clock.now())
        number = int(meta["uid"][1:])
        ip = f"10.0.{number // 250}.{number % 250 + 1}"
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp}
        started = (pod.get("status") or {}).get("startTime") or stamp
        status: Object = {"phase": phase, "conditions": [condition], "startTime": started}
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        if phase in ("Succeeded", "Failed"):
            code = 0 if phase == "Succeeded" else 1
            state = {"terminated": {"exitCode": code, "finishedAt": stamp}}
            status["containerStatuses"] = [{"name": "c", "state": state}]
        world.api.patch(PODS, meta["namespace"], meta["name"], {"status": status}, "status")

    def settle(self, world: World) -> bool:
        """Move every pod on; answers whether any moved."""
        return sum(self.advance(world, pod) for pod in world.all(PODS)) > 0


def written(request: Request) -> str:
    """What a request writes to, without names."""
    where = addressed(request.path)
    plural = f"{where.where[1]}/{where.subresource}" if where.subresource else where.where[1]
    return f"{request.method} {plural}"


def add_nodes(world: World, names: Iterable[str]) -> None:
    """Ready nodes."""
    for name in names:
        condition = {"type": "Ready", "status": "True"}
        body = {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"conditions": [condition]},
        }
        world.api.create((NODES.group, NODES.plural), body)


async def _in_turn(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    pending = list(calls)
    results = []
    try:
        while pending:
            results.append(await pending.pop(0))
    finally:
        for call in pending:
            call.close()  # type: ignore[attr-defined]
    return results


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Drive a coroutine that never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("a simulated call waited for something real")
