"""What systemd hears of a process that it watches."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from mizzen.base.clock import VirtualClock
from mizzen.base.watchdog import feed, period


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": "/run/notify"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "NOTIFY_SOCKET": "@notify", "WATCHDOG_PID": "7"}, 1.5),
        ({"WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "999999", "NOTIFY_SOCKET": "/run/notify"}, 0.0),
        ({"WATCHDOG_USEC": "soon", "NOTIFY_SOCKET": "/run/notify"}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 0.0),
        ({}, 0.0),
    ],
)
def test_systemd_says_whether_and_for_how_long_it_waits(environment: dict[str, str], seconds: float) -> None:
    assert period(environment, 7) == seconds


async def test_systemd_hears_twice_in_each_period_that_the_process_goes_on(tmp_path: Path) -> None:
    clock = VirtualClock()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        environment = {"WATCHDOG_USEC": "30000000", "NOTIFY_SOCKET": str(tmp_path / "notify")}
        feeding = asyncio.create_task(feed(clock, {**environment, "WATCHDOG_PID": str(os.getpid())}))
        await asyncio.sleep(0)
        await clock.advance(30.0)
        assert [systemd.recv(64) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        with pytest.raises(BlockingIOError):
            systemd.recv(64)
        feeding.cancel()


async def test_without_a_watchdog_there_is_nothing_to_tell() -> None:
    await asyncio.wait_for(feed(VirtualClock(), {}), 1.0)
