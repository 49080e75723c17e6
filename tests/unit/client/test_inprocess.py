"""Calls within one process."""

from collections.abc import AsyncIterator

from mizzen.client.inprocess import InProcessTransport
from mizzen.machinery.identity import Identity
from mizzen.wire.message import Request, Response


async def _handle(_request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"", b"b"):
            yield piece

    return Response(200, {}, stream=pieces())


async def test_a_list_that_comes_in_pieces_arrives_whole_and_a_watch_as_it_comes() -> None:
    transport = InProcessTransport(_handle, Identity("me"))
    listed = await transport.call(Request("GET", "/api/v1/pods"))
    assert (b"".join(listed.body), listed.stream) == (b"ab", None)  # type: ignore[arg-type]
    watched = await transport.call(Request("GET", "/api/v1/pods", [("watch", "1")]))
    assert watched.stream is not None
    assert [piece async for piece in watched.stream] == [b"a", b"", b"b"]
