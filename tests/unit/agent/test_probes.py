"""What probes make of an answer, and what is told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mizzen.agent.actions import Target, Verdict, get, grpc_health
from mizzen.agent.probes import warning_of
from mizzen.api.views.podspec import Container, GrpcAction, HttpGet


@asynccontextmanager
async def answering(*answers: str) -> AsyncIterator[int]:
    """A server on loopback that gives these answers, one a connection."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def asked(port: int) -> Verdict:
    return await get(HttpGet(path="/", port=port), Target(Container(name="c"), "id", "127.0.0.1"), 5.0)


async def test_a_redirect_to_another_host_is_good_but_worth_a_warning() -> None:
    body = '<a href="http://0.0.0.0/">Found</a>.\n\n'
    head = f"HTTP/1.1 302 Found\r\nlocation: http://0.0.0.0/\r\ncontent-length: {len(body)}\r\n\r\n"
    async with answering(head + body) as port:
        verdict = await asked(port)
    assert verdict.ok and warning_of("liveness", verdict) == (
        "ProbeWarning",
        f"Liveness probe warning: Probe terminated redirects, Response body: {body}",
    )


async def test_a_redirect_on_the_same_host_is_followed() -> None:
    refused = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
    async with answering("HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n", refused) as port:
        verdict = await asked(port)
    text = "Readiness probe failed: HTTP probe failed with statuscode: 500"
    assert warning_of("readiness", verdict) == ("Unhealthy", text)


def test_an_error_of_the_probe_itself_is_told_as_such() -> None:
    text = "Liveness probe errored and resulted in unknown state: no such container"
    assert warning_of("liveness", Verdict(False, "no such container", "error")) == ("Unhealthy", text)
    assert warning_of("liveness", Verdict(True, "")) is None


async def test_a_health_service_that_cannot_be_reached_is_named() -> None:
    verdict = await grpc_health(GrpcAction(port=1), Target(Container(name="c"), "id", "127.0.0.1"), 5.0)
    assert not verdict.ok and verdict.output.startswith('error: failed to connect service at "127.0.0.1:1": ')
