"""What probes make of an answer, and what is told of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from mizzen.agent.actions import Target, Verdict, get, grpc_health
from mizzen.agent.probes import warning_of
from mizzen.api.views.podspec import Container, GrpcAction, HttpGet, HttpHeader


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


async def test_a_probe_sends_the_headers_it_names_with_all_their_values_and_its_own_unless_told_otherwise() -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    named = [("Host", "example.org"), ("X-A", "1"), ("X-A", "2"), ("Accept", "")]
    async with server:
        for headers in (named, []):
            action = HttpGet(path="/", port=port, httpHeaders=tuple(HttpHeader(name=n, value=v) for n, v in headers))
            assert (await get(action, Target(Container(name="c"), "id", "127.0.0.1"), 5.0)).ok
    first, second = (sorted(one.decode().lower().splitlines()[1:-1]) for one in heard)
    agent = "user-agent: kube-probe/1.37"
    assert first == ["connection: close", "host: example.org", agent, "x-a: 1", "x-a: 2"]
    assert second == ["accept: */*", "connection: close", f"host: 127.0.0.1:{port}", agent]


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


async def test_a_health_service_is_asked_by_its_name_however_long_and_only_serving_is_good() -> None:
    name = "s" * 300
    known = {b"\x0a\xac\x02" + name.encode(): b"\x08\x01", b"": b"\x08\x02", b"\x0a\x01x": b"\x0a"}

    async def check(request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return known[request]

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    target = Target(Container(name="c"), "id", "127.0.0.1")
    verdicts = [await grpc_health(GrpcAction(port=port, service=one), target, 5.0) for one in (name, "", "x")]
    await server.stop(None)
    assert verdicts == [
        Verdict(True, "service healthy"),
        Verdict(False, 'service unhealthy (responded with "NOT_SERVING")'),
        Verdict(False, "error: health rpc probe failed"),
    ]
