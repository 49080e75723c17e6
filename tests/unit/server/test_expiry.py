"""Events go an hour after they were last written, also across restarts, and nothing else does."""

import asyncio

from tests.unit.server.conftest import Caller

from mizzen.base.clock import VirtualClock
from mizzen.machinery import times
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

EVENTS = "/api/v1/namespaces/default/events"


def event(name: str, **fields: object) -> dict[str, object]:
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    return {"metadata": {"name": name}, "involvedObject": about, "reason": "R", "type": "Normal", **fields}


async def names(api: Caller) -> list[str]:
    for _ in range(50):  # what has begun comes to its end
        await asyncio.sleep(0)
    _, found = await api.call("GET", EVENTS)
    return [one["metadata"]["name"] for one in found["items"]]


async def test_an_event_goes_an_hour_after_it_was_last_written(api: Caller) -> None:
    await api.clock.advance(0)
    await api.call("POST", EVENTS, event("a"))
    await api.call("POST", EVENTS, event("b"))
    await api.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "m"}})
    await api.clock.advance(1800)
    status, _ = await api.call("PATCH", f"{EVENTS}/b", {"count": 2}, "application/merge-patch+json")
    assert status == 200
    await api.clock.advance(1790)
    assert await names(api) == ["a", "b"]
    await api.clock.advance(60)
    assert await names(api) == ["b"]
    await api.clock.advance(1800)
    assert await names(api) == []
    assert (await api.call("GET", "/api/v1/namespaces/default/configmaps/m"))[0] == 200


async def test_watchers_hear_of_it(api: Caller) -> None:
    await api.clock.advance(0)
    _, made = await api.call("POST", EVENTS, event("a"))
    await api.clock.advance(3700)
    version = made["metadata"]["resourceVersion"]
    [gone] = await api.events(f"{EVENTS}?watch=1&resourceVersion={version}", 1)
    assert (gone["type"], gone["object"]["metadata"]["name"]) == ("DELETED", "a")


async def test_a_restart_gives_no_event_another_hour() -> None:
    store, clock = MemoryStore(), VirtualClock()
    first = Caller(Server(store, clock), clock)
    await first.server.start()
    await first.call("POST", EVENTS, event("old"))
    repeated = event("repeated", lastTimestamp=times.format(clock.now() + 3000))
    await first.call("POST", EVENTS, repeated)
    await first.server.close()
    await clock.advance(3000)
    second = Caller(Server(store, clock), clock)
    await second.server.start()
    await clock.advance(0)
    await clock.advance(660)
    assert await names(second) == ["repeated"]
    await second.server.close()
