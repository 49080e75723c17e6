"""Carrying requests over to other servers: headers that stay behind, and connections joined byte by byte."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from mizzen.wire.message import Duplex

HOP_BY_HOP: Final = frozenset({"authorization", "host", "content-length", "transfer-encoding", "keep-alive", "te"})
UPGRADE: Final = frozenset({"connection", "upgrade"})


def wants_upgrade(headers: Mapping[str, str]) -> bool:
    """Whether a request asks for another protocol."""
    return "upgrade" in headers.get("connection", "").lower()


async def splice(one: Duplex, other: Duplex) -> None:
    """Move bytes both ways until either side ends."""

    async def pump(source: Duplex, target: Duplex) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read():
                await target.write(data)

    pumps = {asyncio.create_task(pump(one, other)), asyncio.create_task(pump(other, one))}
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        one.close()
        other.close()
