"""The scheduler under watch lag, lost binds, lost answers, crashes, node loss and preemption, by seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import pytest
from tests.sim.api import FakeApi
from tests.sim.world import SimClock

from mizzen.client.cache import Cache, Table
from mizzen.client.client import Client
from mizzen.client.resources import NODES, PODS
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.scheduler.cycle import Unschedulable
from mizzen.scheduler.shell import Scheduler
from mizzen.wire.message import Request, Response

SEEDS = 150
CPU = 4000


@dataclass
class Line:
    """The wire to the API: binds, and what can go wrong on the way. It judges every bind as the API sees it."""

    api: FakeApi
    rng: random.Random
    faulty: bool = True
    binds: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, request: Request) -> Response:
        dice = self.rng.random() if self.faulty and request.method != "GET" else 1.0
        if dice < 0.04:
            raise ConnectionError("the request was lost")
        try:
            answer = self._bound(request) if request.path.endswith("/binding") else await self.api.call(request)
        except ApiError as error:
            answer = Response(error.code, body=orjson.dumps(error.status()))
        if dice < 0.08:
            raise ConnectionError("the answer was lost")
        return answer

    async def close(self) -> None:
        """Nothing to give up."""

    def _bound(self, request: Request) -> Response:
        binding: Any = request.body
        meta, node = binding["metadata"], binding["target"]["name"]
        pod = self.api.get(("", "pods"), meta["namespace"], meta["name"])
        if pod["metadata"]["uid"] != meta["uid"] or pod["spec"].get("nodeName"):
            raise Errors.conflict("", "pods", meta["name"], "another pod, or bound already")
        self.api.patch(PODS, meta["namespace"], meta["name"], {"spec": {"nodeName": node}})
        self.binds.append((meta["uid"], node))
        used = sum(cpu(one) for one in self.api.all(PODS) if one["spec"].get("nodeName") == node)
        assert used <= CPU, f"{node} is over-committed: {used}m of {CPU}m"
        return Response(201, body=orjson.dumps({"kind": "Status"}))


def cpu(pod: Object) -> int:
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    return int(requests["cpu"].removesuffix("m"))


class World:
    """An API, and one scheduler after the other."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = SimClock()
        self.api = FakeApi(self.clock.now, self.rng)
        self.line = Line(self.api, self.rng)
        self.doing: list[Coroutine[Any, Any, None]] = []
        self.made = 0
        for number in range(4):
            self.add_node(f"n{number}")
        self.start()

    def start(self) -> None:
        """A fresh process; what the old one was doing is lost."""
        for one in self.doing:
            one.close()
        self.doing = []
        self.cache = Cache()
        self.scheduler = Scheduler(Client(self.line), self.cache, self.clock, random.Random(self.rng.random()))
        self.cursors: dict[tuple[str, str], int] = {}
        for table in self.cache.tables:
            where = (table.resource.group, table.resource.plural)
            self.cursors[where] = len(self.api.logs.get(where, ()))
            found = self.api.objects.get(where, {}).values()
            table.replace([msgspec.convert(one, table.view) for one in found], str(self.api.revision))
        self.scheduler.state.subscribe()

    def add_node(self, name: str) -> None:
        labels = {"kubernetes.io/hostname": name, "zone": f"z{int(name[1:]) % 2}"}
        allocatable = {"cpu": f"{CPU}m", "memory": "8Gi", "pods": "6"}
        self.api.create(
            ("", "nodes"), {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": allocatable}}
        )

    def add_pod(self) -> None:
        self.made += 1
        app = self.rng.choice("ab")
        resources = {"requests": {"cpu": f"{self.rng.choice((300, 900, 1700, 3000))}m"}}
        selector = {"matchLabels": {"app": app}}
        kind = self.rng.randrange(5)
        spec: Object = {"containers": [{"name": "c", "resources": resources}], "priority": self.rng.choice((0, 0, 10))}
        if kind == 1:
            term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
            anti = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
            spec["affinity"] = {"podAntiAffinity": anti}
        elif kind == 2:
            constraint = {"maxSkew": 1, "topologyKey": "zone", "labelSelector": selector}
            spec["topologySpreadConstraints"] = [constraint]
        meta = {"name": f"p{self.made}", "labels": {"app": app}}
        self.api.create(("", "pods"), {"metadata": meta, "spec": spec}, "default")

    def deliver(self, table: Table[Any], limit: int) -> int:
        where = (table.resource.group, table.resource.plural)
        log = self.api.logs.get(where, ())
        events = log[self.cursors[where] : self.cursors[where] + limit]
        self.cursors[where] += len(events)
        for event in events:
            if event.type == "DELETED":
                table.drop(event.namespace, event.name, str(event.revision))
            else:
                table.put(msgspec.json.decode(event.body, type=table.view))
        return len(events)

    async def step(self) -> None:
        dice = self.rng.random()
        if dice < 0.30:
            await self.decide()
        elif dice < 0.50 and self.doing:
            await self.doing.pop(self.rng.randrange(len(self.doing)))
        elif dice < 0.75:
            self.deliver(self.rng.choice(self.cache.tables[:2]), self.rng.randrange(1, 4))
        elif dice < 0.86 and self.made < 30:
            self.add_pod()
        elif dice < 0.92:
            self.clock.elapsed += self.rng.choice((0.1, 1.5, 12.0))
        elif dice < 0.97:
            self.end_some_pod()
        elif dice < 0.98:
            self.cordon()
        elif dice < 0.985:
            self.start()
        elif dice < 0.99:
            self.lose_or_find_node()

    async def decide(self) -> bool:
        action = await self.scheduler.take()
        if action is None:
            return False
        self.doing.append(action)
        return True

    def end_some_pod(self) -> None:
        """What leaves is gone; now and then a running pod is deleted."""
        pods = [one for one in self.api.all(PODS) if one["spec"].get("nodeName")]
        leaving = [one for one in pods if one["metadata"].get("deletionTimestamp")]
        chosen = leaving or (pods if self.rng.random() < 0.3 else [])
        if chosen:
            self.api.kill(PODS, "default", self.rng.choice(chosen)["metadata"]["name"])

    def cordon(self) -> None:
        node = self.rng.choice(self.api.all(NODES))
        cordoned = not node["spec"].get("unschedulable") if "spec" in node else True
        self.api.patch(NODES, "", node["metadata"]["name"], {"spec": {"unschedulable": cordoned}})

    def lose_or_find_node(self) -> None:
        """A node is deleted, with pods on their way to it and on it, or one comes back."""
        known = [one["metadata"]["name"] for one in self.api.all(NODES)]
        missing = sorted({f"n{number}" for number in range(4)} - set(known))
        if missing:
            self.add_node(missing[0])
        else:
            self.api.delete(("", "nodes"), "", self.rng.choice(known))

    async def settle(self) -> None:
        """No more faults: until nothing moves before the far future."""
        self.line.faulty = False
        while len(self.api.all(NODES)) < 4:
            self.lose_or_find_node()
        for node in self.api.all(NODES):
            self.api.patch(NODES, "", node["metadata"]["name"], {"spec": {"unschedulable": False}})
        for _ in range(2000):
            moved = sum(self.deliver(table, 1000) for table in self.cache.tables) > 0
            moved = await self.decide() or moved
            while self.doing:
                await self.doing.pop(0)
                moved = True
            for one in self.api.all(PODS):
                if one["metadata"].get("deletionTimestamp"):
                    self.api.kill(PODS, "default", one["metadata"]["name"])
                    moved = True
            if moved:
                continue
            due = self.scheduler.state.queue.next_time()
            if due is None or due - self.clock.elapsed > 200:
                return
            self.clock.elapsed = max(self.clock.elapsed, due)
        raise AssertionError("the world never comes to rest")


async def lived(seed: int, kind: type[World] = World) -> World:
    world = kind(seed)
    for _ in range(250):
        await world.step()
    await world.settle()
    return world


@pytest.mark.parametrize("batch", range(5))
def test_nodes_are_never_over_committed_and_every_pod_that_fits_is_bound_once(batch: int) -> None:
    for seed in range(batch, SEEDS, 5):
        world = asyncio.run(lived(seed))
        times_bound = Counter(uid for uid, _ in world.line.binds)
        assert not [uid for uid, times in times_bound.items() if times > 1], f"seed {seed}"
        state = world.scheduler.state
        for pod in world.api.all(PODS):
            if pod["spec"].get("nodeName"):
                continue
            waiting = state.queue.known(f"default/{pod['metadata']['name']}")
            assert waiting is not None, f"seed {seed}: {pod['metadata']['name']} is forgotten"
            assert isinstance(state.decide(waiting), Unschedulable), f"seed {seed}: {waiting.key} fits but waits"


def test_what_the_scheduler_knows_in_the_end_is_what_the_api_holds() -> None:
    for seed in range(0, SEEDS, 3):
        world = asyncio.run(lived(seed))
        known = {
            name: sum(pod.requests["cpu"] for pod in node.pods.values() if pod.pod.spec.nodeName)
            for name, node in world.scheduler.state.snapshot.nodes.items()
        }
        held: Counter[str] = Counter()
        for pod in world.api.all(PODS):
            if pod["spec"].get("nodeName"):
                held[pod["spec"]["nodeName"]] += cpu(pod)
        assert known == {name: held[name] for name in known}, f"seed {seed}"


def test_the_same_seed_leads_to_the_same_bindings() -> None:
    for seed in range(10):
        assert asyncio.run(lived(seed)).line.binds == asyncio.run(lived(seed)).line.binds
