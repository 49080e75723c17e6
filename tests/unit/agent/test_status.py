import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from mizzen.agent.status import StatusWriter, Wanted
from mizzen.base.clock import SystemClock, VirtualClock
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

    def compute(self, uid: str) -> Wanted:
        return Wanted("default", uid, {"serial": self.wanted[uid]}, {})

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


class Overruled:
    """One pod of which others say what they like; remembers when what was put right."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.status: dict[str, Any] = {"phase": "Running", "conditions": [self.ready("True", "1")]}
        self.known: dict[str, Any] = {}
        self.told: dict[str, Any] | None = None
        self.patches: list[tuple[float, dict[str, Any]]] = []

    @staticmethod
    def ready(status: str, time: str) -> dict[str, str]:
        return {"type": "Ready", "status": status, "lastTransitionTime": time}

    def compute(self, uid: str) -> Wanted:
        return Wanted("default", uid, self.status, self.known, self.told)

    def remember(self, uid: str, status: dict[str, Any]) -> None:
        self.known = self.told = status

    async def patch(self, resource: object, name: str, body: dict[str, Any], *rest: object, **more: object) -> None:
        self.patches.append((self.clock.monotonic(), body["status"]))


@pytest.fixture
async def overruled() -> AsyncIterator[tuple[Overruled, StatusWriter]]:
    pod = Overruled()
    writer = StatusWriter(cast("Client", pod), pod.clock, pod.compute, pod.remember)
    task = asyncio.create_task(writer.run())
    writer.mark("u")
    while pod.told is None:  # noqa: ASYNC110 - nobody tells when it is
        await asyncio.sleep(0)
    pod.patches.clear()
    yield pod, writer
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def looked_at(writer: StatusWriter) -> None:
    """Marked, and all done that can be done without time passing."""
    writer.mark("u")
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_others_say_of_a_pod_stands_for_ten_seconds(overruled: tuple[Overruled, StatusWriter]) -> None:
    pod, writer = overruled
    pod.known = {**pod.known, "phase": "Failed", "conditions": [pod.ready("False", "2")]}
    pod.status = {**pod.status, "conditions": [pod.ready("True", "3")]}
    await looked_at(writer)
    await pod.clock.advance(5)
    await looked_at(writer)
    await pod.clock.advance(4.9)
    assert pod.patches == []
    await pod.clock.advance(0.1)
    await asyncio.sleep(0)
    assert pod.patches == [(10.0, pod.status)]
    await looked_at(writer)
    await pod.clock.advance(20)
    assert len(pod.patches) == 1


async def test_news_of_a_pod_are_told_at_once_whatever_others_say(overruled: tuple[Overruled, StatusWriter]) -> None:
    pod, writer = overruled
    pod.known = {**pod.known, "phase": "Failed"}
    await looked_at(writer)
    await pod.clock.advance(1)
    pod.status = {**pod.status, "conditions": [pod.ready("False", "4")]}
    await looked_at(writer)
    assert pod.patches == [(1.0, pod.status)]


async def test_a_flush_puts_right_at_once_what_others_say(overruled: tuple[Overruled, StatusWriter]) -> None:
    pod, writer = overruled
    pod.known = {**pod.known, "phase": "Failed"}
    await looked_at(writer)
    await pod.clock.advance(1)
    assert await writer.flush("u")
    assert pod.patches == [(1.0, {"phase": "Running"})]
