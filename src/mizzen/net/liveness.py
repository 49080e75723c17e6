"""How a connection learns that its peer is gone without a word: its machine lost power, or the network between them.

Without this a request, or a watch on which nothing happens, waits for as long as the kernel cares to: for ever.
A peer that is merely slow, or stopped, is still answered for by its kernel, and is waited for.
"""

import socket
from typing import Final, Protocol

IDLE_SECONDS: Final = 15
"""How long nothing may be heard before the peer is asked."""
ASK_SECONDS: Final = 5
ASK_TIMES: Final = 3
UNHEARD_SECONDS: Final = 15.0
"""How long what was sent may go unacknowledged; retransmissions alone would go on for a quarter of an hour."""


class Options(Protocol):
    """A socket, or what stands for one."""

    def setsockopt(self, level: int, name: int, value: int, /) -> None:
        """As a socket's."""


def watch_over(connection: Options) -> None:
    """Ask a silent peer whether it is there; connections accepted from a socket do as it does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASK_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, ASK_TIMES)


def give_up_after(connection: Options, seconds: float) -> None:
    """Break the connection when nothing that was sent is taken for so long; 0: as long as the kernel likes."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
