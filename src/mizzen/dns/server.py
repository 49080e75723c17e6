"""Answers questions over UDP and TCP: the zone's at once, others through the forwarder.

The answer to a question is packed once and kept until the zone changes.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from mizzen.base import log
from mizzen.dns.forward import Forwarder
from mizzen.dns.zone import Zone
from mizzen.wire import dns

_log = log.get("dns")
_PACKED: Final = 20_000
_IDLE_SECONDS: Final = 10.0
_UDP_LIMIT: Final = 1232
_FORWARDING: Final = 2_000
"""Questions that may wait for other resolvers at once; more are answered with SERVFAIL."""


Send = Callable[[bytes], None]


class Server:
    """The zone as a service. `refresh` after every change of the zone."""

    def __init__(self, zone: Zone, forwarder: Forwarder) -> None:
        self._zone = zone
        self._forwarder = forwarder
        self._serial = 1
        self._packed: dict[tuple[str, int], tuple[int, tuple[int, int, int], bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def refresh(self) -> None:
        """Forget every packed answer."""
        self._packed.clear()
        self._serial += 1

    def answer_now(self, query: dns.Query, limit: int) -> bytes | None:
        """The response, when nobody else has to be asked for it."""
        if query.opcode:
            return dns.encode_response(query, dns.NOTIMP)
        held = self._packed.get((query.name, query.type))
        if held is None:
            if query.cls != dns.IN or not self._zone.holds(query.name):
                return None
            answer = self._zone.answer(query.name, query.type)
            if answer.external:
                return None
            authorities = () if answer.answers else (self._zone.soa(self._serial),)
            sections = (answer.answers, authorities, answer.additional)
            body = b"".join(dns.encode_records(section, query.name) for section in sections)
            held = (answer.code, (len(answer.answers), len(authorities), len(answer.additional)), body)
            if len(self._packed) >= _PACKED:
                self._packed.clear()
            self._packed[query.name, query.type] = held
        return dns.assemble(query, *held, limit)

    async def answer(self, query: dns.Query, limit: int) -> bytes:
        """The response, whoever has to be asked for it."""
        now = self.answer_now(query, limit)
        if now is not None:
            return now
        if query.cls != dns.IN:
            return dns.encode_response(query, dns.REFUSED)
        if self._zone.holds(query.name):
            return await self._answer_alias(query, limit)
        data = await self._forwarder.resolve(query.name, query.type)
        return dns.encode_response(query, dns.SERVFAIL) if data is None else dns.relay(query, data, limit)

    async def _answer_alias(self, query: dns.Query, limit: int) -> bytes:
        """A name of the zone that stands for one outside: its own record, then what others say about the target."""
        answer = self._zone.answer(query.name, query.type)
        data = await self._forwarder.resolve(answer.external, query.type)
        beyond = dns.decode_answers(data) if data is not None else ()
        return dns.encode_response(query, dns.NOERROR, (*answer.answers, *beyond), limit=limit)

    def later(self, query: dns.Query, limit: int, send: Send) -> None:
        """Answer in the background, through `send`."""
        if len(self._tasks) >= _FORWARDING:
            send(dns.encode_response(query, dns.SERVFAIL))
            return

        async def work() -> None:
            send(await self.answer(query, limit))

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        try:
            query = dns.decode_query(data)
        except dns.MessageError as error:
            if error.id:
                self._transport.sendto(dns.encode_error(error.id, dns.FORMERR), addr)
            return
        limit = min(query.size, _UDP_LIMIT)
        response = self._server.answer_now(query, limit)
        if response is not None:
            self._transport.sendto(response, addr)
            return

        def send(late: bytes) -> None:
            if not self._transport.is_closing():
                self._transport.sendto(late, addr)

        self._server.later(query, limit, send)


async def _serve_stream(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError, dns.MessageError):
        while True:
            length = await asyncio.wait_for(reader.readexactly(2), _IDLE_SECONDS)
            data = await asyncio.wait_for(reader.readexactly(int.from_bytes(length, "big")), _IDLE_SECONDS)
            response = await server.answer(dns.decode_query(data), 65535)
            writer.write(len(response).to_bytes(2, "big") + response)
            await writer.drain()
    writer.close()


@dataclass(frozen=True, slots=True)
class Listeners:
    """The sockets of one address."""

    port: int
    streams: asyncio.Server
    datagrams: asyncio.BaseTransport

    def close(self) -> None:
        self.streams.close()
        self.datagrams.close()


async def listen(server: Server, address: str, port: int = 53) -> Listeners:
    """Serve an address over UDP and TCP. Raises OSError when it is taken or not this node's."""
    loop = asyncio.get_running_loop()
    streams = await asyncio.start_server(
        lambda reader, writer: _serve_stream(server, reader, writer), address, port, backlog=256
    )
    bound = streams.sockets[0].getsockname()[1]
    try:
        datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=(address, bound))
    except OSError:
        streams.close()
        raise
    return Listeners(bound, streams, datagrams)
