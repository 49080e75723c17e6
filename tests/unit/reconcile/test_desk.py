"""The desk and its hands: read your own writes, slow start, conflicts, doubts, fallbacks."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from tests.sim.api import FakeApi

from mizzen.api.views.core import ConfigMap
from mizzen.base.clock import SystemClock, VirtualClock
from mizzen.client.cache import Cache
from mizzen.client.client import Client, Transport
from mizzen.client.resources import CONFIG_MAPS, PODS
from mizzen.machinery.errors import Errors
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.desk import Desk
from mizzen.reconcile.hands import Hands
from mizzen.reconcile.plan import NOTHING, Create, Delete, Note, Patch, Plan, Reference
from mizzen.wire.message import Request, Response

WHERE = ("", "configmaps")


async def together(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*calls))


def api() -> FakeApi:
    return FakeApi(lambda: 0.0, random.Random(1))


def body(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "d"}, "data": data}


def hands(transport: Transport, notes: list[Note]) -> Hands:
    return Hands(Client(transport), random.Random(1), notes.append, together)


def count(seen: ConfigMap, now: float) -> Plan:
    """Write the next number until it is three."""
    number = int(seen.data.get("n", "0"))
    return NOTHING if number == 3 else Plan((Patch(CONFIG_MAPS, "d", "a", {"data": {"n": str(number + 1)}}),))


COUNTER = Controller(
    name="counter",
    watches=(Watch(CONFIG_MAPS, ConfigMap, own),),
    observe=lambda cache, key: cache.of(CONFIG_MAPS, ConfigMap).get(*split(key)),
    reconcile=count,
)


def fold(cache: Cache, server: FakeApi) -> None:
    table = cache.of(CONFIG_MAPS, ConfigMap)
    for one in server.all(CONFIG_MAPS):
        table.put(msgspec.convert(one, ConfigMap))


async def test_a_key_rests_until_its_own_write_shows() -> None:
    server, cache = api(), Cache()
    server.create(WHERE, body("a"))
    desk = Desk(COUNTER, cache, SystemClock(), lambda: None)
    fold(cache, server)
    key = desk.take()
    assert key == "d/a"
    await desk.round(key, hands(server, []))
    desk.wake("d/a")
    assert desk.take() is None, "the cache does not show the write yet"
    fold(cache, server)
    assert desk.take() == "d/a"


async def test_a_key_whose_plan_wants_rest_is_looked_at_when_that_is_over() -> None:
    server, cache, clock = api(), Cache(), VirtualClock()
    server.create(WHERE, body("a"))

    def resting(seen: ConfigMap, now: float) -> Plan:
        return replace(count(seen, now), rest=0.5)

    desk = Desk(replace(COUNTER, reconcile=resting), cache, clock, lambda: None)
    fold(cache, server)
    key = desk.take()
    assert key is not None
    await desk.round(key, hands(server, []))
    fold(cache, server)
    assert (desk.take(), desk.queue.next_due()) == (None, clock.monotonic() + 0.5)
    await clock.advance(0.5)
    assert desk.take() == "d/a"


@dataclass
class Lossy:
    """Carries writes out, and loses the first answer."""

    api: FakeApi
    lost: int = 1

    async def call(self, request: Request) -> Response:
        response = await self.api.call(request)
        if request.method != "GET" and self.lost:
            self.lost -= 1
            raise ConnectionError("answer lost")
        return response

    async def close(self) -> None:
        """Nothing to give up."""


async def test_a_write_without_answer_is_looked_up_before_the_next_decision() -> None:
    server, cache = api(), Cache()
    server.create(WHERE, body("a"))
    desk = Desk(COUNTER, cache, SystemClock(), lambda: None)
    fold(cache, server)
    line = Lossy(server)
    key = desk.take() or ""
    await desk.round(key, hands(line, []))
    assert server.get(WHERE, "d", "a")["data"] == {"n": "1"}
    desk.wake(key)
    await desk.round(desk.take() or "", hands(line, []))
    assert server.get(WHERE, "d", "a")["data"] == {"n": "1"}, "the stale cache must not write 1 again"
    fold(cache, server)
    await desk.round(desk.take() or "", hands(line, []))
    assert server.get(WHERE, "d", "a")["data"] == {"n": "2"}


ABOUT = Reference("v1", "ConfigMap", "d", "a")


async def test_a_refused_burst_costs_one_request_and_tells_why_once() -> None:
    server = api()
    server.create(WHERE, body("a"))
    server.refuse = lambda request: Errors.forbidden("", "pods", "", "quota") if request.method == "POST" else None
    notes: list[Note] = []
    status = Patch(CONFIG_MAPS, "d", "a", {"data": {"why": "{error}"}})
    create = Create(
        PODS,
        {"metadata": {"generateName": "p-", "namespace": "d"}},
        failed=Note(ABOUT, "FailedCreate", "Error creating: {error}", "Warning"),
        otherwise=(status,),
    )
    outcome = await hands(server, notes).carry_out(Plan((create,) * 50))
    assert len(notes) == 1
    assert "quota" in notes[0].message
    assert "quota" in server.get(WHERE, "d", "a")["data"]["why"]
    assert outcome.error is not None


async def test_a_burst_of_creates_gets_distinct_names_and_events() -> None:
    server = api()
    notes: list[Note] = []
    create = Create(
        PODS,
        {"metadata": {"generateName": "p-", "namespace": "d"}},
        note=Note(ABOUT, "SuccessfulCreate", "Created pod: {name}"),
    )
    outcome = await hands(server, notes).carry_out(Plan((create,) * 7))
    names = {one["metadata"]["name"] for one in server.all(PODS)}
    assert len(names) == 7
    assert {note.message for note in notes} == {f"Created pod: {name}" for name in names}
    assert len(outcome.written) == 7


async def test_deleting_what_is_gone_succeeds_and_a_conflict_only_means_look_again() -> None:
    server = api()
    server.create(WHERE, body("a"))
    gone = await hands(server, []).carry_out(Plan((Delete(PODS, "d", "no-such", uid="u"),)))
    assert not gone.failed
    stale = await hands(server, []).carry_out(Plan((Patch(CONFIG_MAPS, "d", "a", {}, resource_version="999"),)))
    assert stale.stale
    assert stale.error is None
