"""A process notices that time has passed without it."""

import asyncio

from mizzen.base.clock import VirtualClock
from mizzen.base.pulse import Pulse


class Watch(VirtualClock):
    """A clock whose time of day can be set."""

    def set(self, seconds: float) -> None:
        self._start += seconds

    def hang(self, seconds: float) -> None:
        self._elapsed += seconds


async def test_who_looks_again_in_time_has_been_there_all_along() -> None:
    clock = Watch()
    pulse = Pulse(clock)
    running = asyncio.create_task(pulse.run())
    await clock.advance(0)
    await clock.advance(3600)
    assert pulse.awake() == (3600, 0)
    running.cancel()


async def test_after_a_hang_time_counts_from_the_return() -> None:
    clock = Watch()
    pulse = Pulse(clock)
    running = asyncio.create_task(pulse.run())
    await clock.advance(0)
    await clock.advance(100)
    clock.hang(41)
    assert pulse.awake() == (141, 141)
    await clock.advance(30)
    assert pulse.awake() == (171, 141)
    running.cancel()


async def test_it_is_told_that_the_time_of_day_was_set_or_the_machine_slept() -> None:
    clock = Watch()
    pulse = Pulse(clock)
    told: list[float] = []
    pulse.jumped.append(lambda: told.append(clock.monotonic()))
    running = asyncio.create_task(pulse.run())
    await clock.advance(0)
    await clock.advance(15)
    clock.set(86_400)
    await clock.advance(20)
    clock.set(-86_400)
    await clock.advance(20)
    clock.set(1)
    await clock.advance(20)
    assert told == [20, 40]
    running.cancel()
