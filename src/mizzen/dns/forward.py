"""Names outside the cluster: asked of the resolvers of the machine, each answer remembered for as long as it says."""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from mizzen.base.clock import Clock
from mizzen.wire import dns

_TRY_SECONDS: Final = 1.5
_CACHED: Final = 10_000
_LONGEST: Final = 30.0
_DATAGRAM: Final = 1232
Address = tuple[str, int]


def upstreams(resolv_conf: str) -> tuple[Address, ...]:
    """The resolvers that a resolv.conf names, in order."""
    words = (line.split() for line in resolv_conf.splitlines())
    return tuple((found[1], 53) for found in words if len(found) >= 2 and found[0] == "nameserver")


def machine_upstreams() -> tuple[Address, ...]:
    """The resolvers of this machine."""
    path = machine_resolv_conf()
    return upstreams(path.read_text()) if path.exists() else ()


def machine_resolv_conf(
    path: Path = Path("/etc/resolv.conf"), real: Path = Path("/run/systemd/resolve/resolv.conf")
) -> Path:
    """What names the machine's resolvers; behind systemd's stub, which other networks do not reach, those it asks."""
    found = upstreams(path.read_text()) if path.exists() else ()
    return real if any(ip == "127.0.0.53" for ip, _ in found) and real.exists() else path


class _Exchange(asyncio.DatagramProtocol):
    """One question on a port of its own: a forged answer would have to guess port and id."""

    def __init__(self, request: bytes, id: int, question: bytes) -> None:
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._request, self._id, self._question = request, id, question

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(self._request)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        try:
            seen = dns.decode_response(data)
        except dns.MessageError:
            return
        if seen.id == self._id and seen.question.lower() == self._question.lower() and not self.answered.done():
            self.answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answered.done():
            self.answered.set_exception(exc)


class Forwarder:
    """Asks the resolvers in turn, over UDP, and over TCP where an answer was cut short."""

    def __init__(self, upstream: Sequence[Address], clock: Clock, rng: random.Random) -> None:
        self._upstream = tuple(upstream)
        self._clock = clock
        self._rng = rng
        self._cache: OrderedDict[tuple[str, int], tuple[float, bytes]] = OrderedDict()
        self._asking: dict[tuple[str, int], asyncio.Task[bytes | None]] = {}

    async def resolve(self, name: str, type: int) -> bytes | None:
        """A response in wire form, under some id; None when no resolver answers."""
        key = (name, type)
        held = self._cache.get(key)
        if held is not None and held[0] > self._clock.monotonic():
            self._cache.move_to_end(key)
            return held[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(name, type))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, name: str, type: int) -> bytes | None:
        id = self._rng.getrandbits(16)
        request = dns.encode_query(id, name, type, size=_DATAGRAM)
        question = dns.decode_query(request).question
        for address in self._upstream:
            try:
                data = await asyncio.wait_for(self._udp(address, request, id, question), _TRY_SECONDS)
                if dns.decode_response(data).truncated:
                    data = await asyncio.wait_for(_tcp(address, request), _TRY_SECONDS)
                seen = dns.decode_response(data)
            except (OSError, TimeoutError, dns.MessageError, asyncio.IncompleteReadError):
                continue
            if seen.code in (dns.SERVFAIL, dns.REFUSED) and address != self._upstream[-1]:
                continue
            self._remember((name, type), data, seen)
            return data
        return None

    async def _udp(self, address: Address, request: bytes, id: int, question: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        transport, exchange = await loop.create_datagram_endpoint(
            lambda: _Exchange(request, id, question), remote_addr=address
        )
        try:
            return await exchange.answered
        finally:
            transport.close()

    def _remember(self, key: tuple[str, int], data: bytes, seen: dns.Answered) -> None:
        if seen.code not in (dns.NOERROR, dns.NXDOMAIN) or not seen.ttl:
            return
        self._cache[key] = (self._clock.monotonic() + min(seen.ttl, _LONGEST), data)
        self._cache.move_to_end(key)
        while len(self._cache) > _CACHED:
            self._cache.popitem(last=False)


async def _tcp(address: Address, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(len(request).to_bytes(2, "big") + request)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(length)
    finally:
        writer.close()
