"""Leader election: one leader at a time, a lapsed lease is taken over, a released one at once."""

import asyncio
import random

from tests.sim.api import FakeApi

from mizzen.base.clock import VirtualClock
from mizzen.client.client import Client
from mizzen.client.leases import Candidate, Election


async def test_the_second_candidate_leads_only_after_the_first_lets_go() -> None:
    clock = VirtualClock()
    api = FakeApi(clock.now, random.Random(1))
    leading: list[str] = []

    async def lead(name: str) -> None:
        async def work() -> None:
            leading.append(name)
            await asyncio.Event().wait()

        await Candidate(Client(api), clock, Election("test", name)).lead(work)

    async def pass_time(seconds: int) -> None:
        for _ in range(seconds):
            await clock.advance(1)
            await asyncio.sleep(0)

    first = asyncio.create_task(lead("one"))
    await pass_time(1)
    second = asyncio.create_task(lead("two"))
    await pass_time(60)
    assert leading == ["one"]
    first.cancel()
    await pass_time(5)
    assert leading == ["one", "two"]
    second.cancel()
