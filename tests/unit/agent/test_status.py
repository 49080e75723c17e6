import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from mizzen.agent.status import StatusWriter
from mizzen.base.clock import SystemClock
from mizzen.client.client import Client


class Api:
    """Takes statuses one at a time, each when it is let; remembers them, and whether a pod's ever overlapped."""

    def __init__(self) -> None:
        self.wanted: dict[str, int] = {}
        self.written: list[tuple[str, int]] = []
        self.overlaps = 0
        self.gate = asyncio.Semaphore(0)
        self._under_way: set[str] = set()
        self.settled = asyncio.Event()

    def compute(self, uid: str) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
        return "default", uid, {"serial": self.wanted[uid]}, {}

    def remember(self, uid: str, status: dict[str, Any]) -> None:
        self.written.append((uid, status["serial"]))
        self.settled.set()

    async def patch(self, resource: object, name: str, *rest: object, **more: object) -> None:
        self.overlaps += name in self._under_way
        self._under_way.add(name)
        await self.gate.acquire()
        self._under_way.discard(name)

    def let(self, count: int) -> None:
        for _ in range(count):
            self.gate.release()


@pytest.fixture
async def api() -> Api:
    return Api()


@pytest.fixture
async def writer(api: Api) -> AsyncIterator[StatusWriter]:
    made = StatusWriter(cast("Client", api), SystemClock(), api.compute, api.remember)
    task = asyncio.create_task(made.run())
    yield made
    assert not task.done(), task.exception()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(api: Api, count: int) -> None:
    async with asyncio.timeout(5):
        while len(api.written) < count:
            api.settled.clear()
            await api.settled.wait()


async def test_a_status_flushed_while_others_wait_for_a_seat_is_written_once(writer: StatusWriter, api: Api) -> None:
    uids = [f"u{number}" for number in range(20)]
    for uid in uids:
        api.wanted[uid] = 1
        writer.mark(uid)
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # eight are under way, the others wait for a seat
    flushes = [asyncio.create_task(writer.flush(uid)) for uid in uids]
    await asyncio.sleep(0)
    api.let(100)
    assert all(await asyncio.gather(*flushes))
    assert {uid for uid, _ in api.written} == set(uids)
    assert api.overlaps == 0


async def test_what_is_marked_during_a_flush_is_written_after_it(writer: StatusWriter, api: Api) -> None:
    api.wanted["u"] = 1
    flush = asyncio.create_task(writer.flush("u"))
    await asyncio.sleep(0)
    api.wanted["u"] = 2
    writer.mark("u")
    await asyncio.sleep(0)
    api.let(2)
    await flush
    await until(api, 2)
    assert api.written == [("u", 1), ("u", 2)]
    assert api.overlaps == 0
