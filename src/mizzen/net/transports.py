"""Which transports carry TLS: aiofastnet's, which encrypt without copying, or the loop's own.

`MIZZEN_TRANSPORT=loop` chooses the loop's, should the faster ones ever be in the way.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Final

Factory = Callable[[], asyncio.Protocol]
_BACKLOG: Final = 1024


async def create_server(factory: Factory, host: str | None, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
    """A bound server that accepts nobody yet. Raises OSError when the address is taken."""
    loop = asyncio.get_running_loop()
    if tls is None or os.environ.get("MIZZEN_TRANSPORT") == "loop":
        return await loop.create_server(
            factory, host, port, ssl=tls, backlog=_BACKLOG, reuse_address=True, start_serving=False
        )
    import aiofastnet  # lazily: clients and plain servers need none of it

    server: asyncio.Server = await aiofastnet.create_server(
        loop, factory, host, port, ssl=tls, backlog=_BACKLOG, reuse_address=True, start_serving=False
    )
    return server
