"""The watchdog of systemd: a service that does not say in time that it goes on is killed, and started anew.

Ref: https://kubernetes.io/docs/reference/node/systemd-watchdog/
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from mizzen.base.clock import Clock

_LEAST: Final = 1.0
_ALIVE: Final = b"WATCHDOG=1"


def period(environment: Mapping[str, str], pid: int) -> float:
    """Seconds within which systemd waits for a word of this process; 0: it does not."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid) or not environment.get("NOTIFY_SOCKET"):
        return 0.0
    try:
        seconds = int(environment.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return 0.0
    return seconds if seconds >= _LEAST else 0.0


async def feed(clock: Clock, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd twice in each period that the event loop turns, until cancelled; without a watchdog, nothing."""
    seconds = period(environment, os.getpid())
    if not seconds:
        return
    address = environment["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notifying:
        notifying.setblocking(False)
        notifying.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        while True:
            notifying.send(_ALIVE)
            await clock.sleep(seconds / 2)
