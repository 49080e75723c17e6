"""Ends of watches and times of their bookmarks."""

import asyncio

from mizzen.base.clock import VirtualClock
from mizzen.server.deadlines import Deadlines


async def test_deadlines_strike_in_their_time_whatever_the_order_they_were_set_in() -> None:
    clock = VirtualClock()
    deadlines = Deadlines(clock)
    late, soon = deadlines.start(50, 0), deadlines.start(10, 0)
    await asyncio.sleep(0)
    await clock.advance(10)
    await asyncio.sleep(0)
    assert (soon.over, late.over) == (True, False)
    await clock.advance(40)
    await asyncio.sleep(0)
    assert late.over
    deadlines.close()


async def test_a_bookmark_is_due_every_period_and_taken_once() -> None:
    clock = VirtualClock()
    deadlines = Deadlines(clock)
    deadline = deadlines.start(1000, 60)
    await asyncio.sleep(0)
    for _ in range(2):
        await clock.advance(60)
        await asyncio.sleep(0)
        assert (deadline.take_tick(), deadline.take_tick()) == (True, False)
    deadlines.close()


async def test_a_last_bookmark_is_due_shortly_before_the_end() -> None:
    clock = VirtualClock()
    deadlines = Deadlines(clock)
    long, short = deadlines.start(70, 60), deadlines.start(2, 60)
    await asyncio.sleep(0)
    for moment, due in ((2, False), (58, True), (8, True)):
        await clock.advance(moment)
        await asyncio.sleep(0)
        assert (long.take_tick(), short.take_tick()) == (due, False)
    assert (short.over, long.over) == (True, False)
    deadlines.close()


async def test_watches_that_ended_early_are_forgotten() -> None:
    deadlines = Deadlines(VirtualClock())
    for _ in range(5_000):
        deadlines.start(1800, 60).cancel()
    assert len(deadlines._due) < 1_000
    deadlines.close()
