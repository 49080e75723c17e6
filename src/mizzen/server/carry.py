"""Carrying requests over to other servers: headers that stay behind, and connections joined byte by byte."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final

from mizzen.wire import websocket
from mizzen.wire.message import Duplex

HOP_BY_HOP: Final = frozenset({"authorization", "host", "content-length", "transfer-encoding", "keep-alive", "te"})
UPGRADE: Final = frozenset({"connection", "upgrade"})
_PARTING_SECONDS: Final = 2.0
"""How long what is still on its way may take after one side of a joined connection is gone."""


def wants_upgrade(headers: Mapping[str, str]) -> bool:
    """Whether a request asks for another protocol."""
    return "upgrade" in headers.get("connection", "").lower()


def handed_on(headers: Mapping[str, str], left: frozenset[str] = HOP_BY_HOP) -> dict[str, str]:
    """The headers that another server is sent: none of those `left` behind, and never the client's token."""
    kept = {name: value for name, value in headers.items() if name not in left and name != "authorization"}
    if kept.pop(websocket.PROTOCOLS, "") and (offered := websocket.offered(headers)):
        kept[websocket.PROTOCOLS] = ", ".join(offered)
    return kept


async def splice(one: Duplex, other: Duplex) -> None:
    """Move bytes both ways until either side ends; one that is gone ends the other soon, however slow that is."""

    async def pump(source: Duplex, target: Duplex) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read():
                await target.write(data)

    pumps = {asyncio.create_task(pump(one, other)), asyncio.create_task(pump(other, one))}
    losses = {asyncio.create_task(one.lost()), asyncio.create_task(other.lost())}
    try:
        done, _ = await asyncio.wait(pumps | losses, return_when=asyncio.FIRST_COMPLETED)
        if not done & pumps:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED, timeout=_PARTING_SECONDS)
            if not done:
                # The side that is left takes nothing: it would never come to see the end.
                one.abort()
                other.abort()
    finally:
        for task in pumps | losses:
            task.cancel()
        await asyncio.gather(*pumps, *losses, return_exceptions=True)
        one.close()
        other.close()
