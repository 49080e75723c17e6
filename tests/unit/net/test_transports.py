"""Who is let in, and what becomes of those there is no room for."""

import asyncio
import os
import resource
from collections.abc import Iterator

import pytest

from mizzen.cluster.pki import Pki
from mizzen.net import transports
from mizzen.net.tls import server_context


@pytest.fixture
def few_files() -> Iterator[int]:
    """A process that may open some forty files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    most = lowest + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_when_files_run_out_connections_are_refused_and_let_in_again_later(
    few_files: int, tmp_path_factory: pytest.TempPathFactory, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    serving = Pki(tmp_path_factory.mktemp("pki"), 1_700_000_000.0).serving(("127.0.0.1",), "10.0.0.1")
    tls = server_context(serving.certificate, serving.key)
    server = await transports.create_server(asyncio.Protocol, "127.0.0.1", 0, tls)
    await server.start_serving()
    port = server.sockets[0].getsockname()[1]
    inside = []

    async def enter() -> bool:
        """Whether the connection is kept."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        inside.append(writer)
        done, _ = await asyncio.wait([asyncio.ensure_future(reader.read())], timeout=0.05)
        return not done

    kept = [await enter() for _ in range(2)]
    while len(inside) < few_files and kept[-1]:
        kept.append(await enter())
    assert kept[:2] == [True, True]
    assert kept[-1] is False
    assert capsysbinary.readouterr().err.count(b"too many open files") == 1
    for writer in inside:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    assert await enter()
    inside[-1].close()
    server.close()


def test_as_many_files_as_possible_may_be_open(few_files: int) -> None:
    transports.allow_many_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard


def test_http2_is_offered_first_unless_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIZZEN_HTTP2", raising=False)
    assert transports.offered_protocols() == ("h2", "http/1.1")
    monkeypatch.setenv("MIZZEN_HTTP2", "off")
    assert transports.offered_protocols() == ("http/1.1",)
