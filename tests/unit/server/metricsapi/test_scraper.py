"""Rounds over the nodes, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.reader import FakeReader

from mizzen.api.core.node import NODE
from mizzen.base.clock import VirtualClock
from mizzen.machinery.errors import Errors, Object
from mizzen.server.metricsapi.scraper import PERIOD, Scraper


def node(name: str, port: int = 10250) -> Object:
    return {"metadata": {"name": name}, "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}


class Nodes:
    """Answers for nodes that use one core each; those in `down` do not answer."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str]] = []
        self.down: set[str] = set()

    async def ask(self, name: str, path: str) -> bytes:
        assert path == "/metrics/resource"
        self.asked.append((self.clock.monotonic(), name))
        if name in self.down:
            raise Errors.unavailable("no route")
        used = self.clock.monotonic()
        return f"node_cpu_usage_seconds_total {used}\nnode_memory_working_set_bytes 7\n".encode()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def nodes(clock: VirtualClock) -> Nodes:
    return Nodes(clock)


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader((NODE, node("a")), (NODE, node("simulated", port=0)))


@pytest.fixture
async def scraper(reader: FakeReader, nodes: Nodes, clock: VirtualClock) -> AsyncIterator[Scraper]:
    made = Scraper(reader, nodes.ask, clock)
    running = asyncio.create_task(made.run())
    await settled()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def pass_time(clock: VirtualClock, seconds: int) -> None:
    for _ in range(seconds):
        await clock.advance(1)
        await settled()


async def test_a_new_node_is_measured_after_a_second(scraper: Scraper, clock: VirtualClock) -> None:
    assert scraper.node("a") is None
    await pass_time(clock, 1)
    used = scraper.node("a")
    assert used is not None
    assert (used.cpu_nanocores, used.memory_bytes, used.window) == (1_000_000_000, 7, 1.0)


async def test_afterwards_every_node_is_asked_once_a_period(
    scraper: Scraper, nodes: Nodes, clock: VirtualClock
) -> None:
    await pass_time(clock, 2 * int(PERIOD) + 1)
    assert [at for at, _ in nodes.asked] == [0, 1, PERIOD, 2 * PERIOD]
    assert {name for _, name in nodes.asked} == {"a"}


async def test_a_node_that_stops_answering_has_no_usage(scraper: Scraper, nodes: Nodes, clock: VirtualClock) -> None:
    await pass_time(clock, 1)
    nodes.down.add("a")
    await pass_time(clock, int(PERIOD))
    assert scraper.node("a") is None


async def test_a_node_that_is_gone_is_forgotten(scraper: Scraper, reader: FakeReader, clock: VirtualClock) -> None:
    await pass_time(clock, 1)
    reader.drop(NODE, "", "a")
    await pass_time(clock, int(PERIOD))
    assert scraper.node("a") is None


async def test_a_node_that_never_answers_is_asked_a_few_times_and_then_once_a_period(
    reader: FakeReader, nodes: Nodes, clock: VirtualClock
) -> None:
    nodes.down.add("a")
    running = asyncio.create_task(Scraper(reader, nodes.ask, clock).run())
    await settled()
    await pass_time(clock, 2 * int(PERIOD))
    assert [at for at, _ in nodes.asked] == [0, 1, 2, PERIOD, 2 * PERIOD]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
