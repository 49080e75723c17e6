"""How long the kernel remembers flows, and which UDP flows it is to forget after a change.

A UDP client goes on sending from one port, so the kernel would go on with the endpoint it once chose. TCP needs none.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from mizzen.base import log
from mizzen.proxy.rules import Backend, Frontend

_log = log.get("proxy")
_TIMEOUTS: Final = {"established": 24 * 3600, "close_wait": 3600}
"""Of idle TCP connections by their state, in seconds: the defaults of kube-proxy.

A client that has finished sending may wait for its answer longer than the minute that the kernel gives it.
"""


def set_timeouts(settings: Path = Path("/proc/sys/net/netfilter")) -> None:
    """Keep the translation of idle TCP connections of this network namespace as long as is documented."""
    for state, seconds in _TIMEOUTS.items():
        try:
            (settings / f"nf_conntrack_tcp_timeout_{state}").write_text(str(seconds))
        except OSError as error:
            _log.warning("idle connections may be forgotten early", state=state, error=str(error))


def stale(before: Mapping[Frontend, Backend], after: Mapping[Frontend, Backend]) -> Iterator[tuple[str, ...]]:
    """Arguments of `conntrack -D` for the flows that a change has made wrong."""
    for frontend, old in before.items():
        new = after.get(frontend, Backend())
        if frontend.protocol != "udp" or new == old:
            continue
        flow = (
            "-p",
            "udp",
            "--orig-port-dst",
            str(frontend.port),
            *(("--orig-dst", frontend.ip) if frontend.ip else ()),
        )
        had, has = {*old.endpoints, *old.within}, {*new.endpoints, *new.within}
        if not has or not had:
            yield flow
            continue
        for gone in sorted(had - has):
            yield (*flow, "--reply-src", gone.ip)
    for frontend, new in after.items():
        if frontend.protocol == "udp" and frontend not in before and (new.endpoints or new.within):
            at = ("--orig-dst", frontend.ip) if frontend.ip else ()
            yield ("-p", "udp", "--orig-port-dst", str(frontend.port), *at)


async def forget(flow: tuple[str, ...]) -> None:
    """Delete the matching flows of this network namespace."""
    try:
        process = await asyncio.create_subprocess_exec(
            "conntrack", "-D", *flow, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        _log.warning("UDP flows may go on to old endpoints: conntrack is not installed")
        return
    await process.wait()
