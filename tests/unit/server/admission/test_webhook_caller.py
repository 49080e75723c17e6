"""Reaching webhooks over real TLS on loopback."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import orjson
import pytest
from tests.fakes.certificates import new_key, pem, signed, written
from tests.fakes.reader import FakeReader, made

from mizzen.api.core.service import SERVICE
from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE
from mizzen.cluster.pki import Pki
from mizzen.machinery.errors import Object
from mizzen.net.server import Listener
from mizzen.net.tls import server_context
from mizzen.server.admission.webhooks.call import HttpCaller, Unreachable
from mizzen.wire.message import Request, Response


class Hook:
    """A webhook that echoes what it was sent, and how it is reached."""

    def __init__(self, port: int, ca: str) -> None:
        self.port = port
        self.ca = ca
        ports = [{"name": "https", "port": port}]
        endpoints = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
        labels = {"kubernetes.io/service-name": "hook"}
        self.reader = FakeReader(
            (SERVICE, made("hook", "shop", spec={"ports": [{"name": "https", "port": 443, "targetPort": port}]})),
            (ENDPOINT_SLICE, made("hook-1", "shop", labels=labels, ports=ports, endpoints=endpoints)),
        )


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Hook]:
    import time

    pki = Pki(tmp_path, time.time())
    pair = pki.serving(("hook.shop.svc",))

    async def never() -> Response:
        await asyncio.Event().wait()
        return Response(200)

    def answer(request: Request) -> Response | Awaitable[Response]:
        if request.path == "/slow":
            return never()
        if request.path == "/broken":
            return Response(500, {}, b"out of order")
        seen = orjson.dumps({"path": request.path, **dict(request.query)})
        return Response(200, {"content-type": "application/json"}, seen)

    listener = Listener(answer)
    port = await listener.listen("127.0.0.1", 0, server_context(pair.certificate, pair.key))
    yield Hook(port, base64.b64encode(pki.ca().certificate.read_bytes()).decode())
    await listener.close()


def _service(hook: Hook, **more: object) -> Object:
    return {"caBundle": hook.ca, "service": {"namespace": "shop", "name": "hook", "path": "/check", **more}}


async def test_a_webhook_is_reached_by_url_and_by_service(hook: Hook) -> None:
    caller = HttpCaller(hook.reader)
    by_url = {"caBundle": hook.ca, "url": f"https://127.0.0.1:{hook.port}/review"}
    assert await caller.post(by_url, {}, 10) == {"path": "/review", "timeout": "10s"}
    assert await caller.post(_service(hook), {}, 10) == {"path": "/check", "timeout": "10s"}
    await caller.close()


async def test_what_keeps_a_webhook_from_answering_is_told(hook: Hook) -> None:
    caller = HttpCaller(hook.reader)
    for config, why in (
        (_service(hook, port=99), "no service port 99 found"),
        (_service(hook, name="ghost"), 'service "ghost" not found'),
        (_service(hook, path="/broken"), "out of order"),
        ({"url": f"https://127.0.0.1:{hook.port}/"}, "certificate"),
    ):
        with pytest.raises(Unreachable, match=why):
            await caller.post(config, {}, 10)
    hook.reader.drop(ENDPOINT_SLICE, "shop", "hook-1")
    with pytest.raises(Unreachable, match="no endpoints available"):
        await caller.post(_service(hook), {}, 10)
    await caller.close()


async def test_a_webhook_that_takes_too_long_is_named_with_the_time_it_was_given(hook: Hook) -> None:
    caller = HttpCaller(hook.reader)
    why = 'Post "https://hook.shop.svc:443/slow?timeout=0.05s": context deadline exceeded'
    with pytest.raises(Unreachable, match=re.escape(why)):
        await caller.post(_service(hook, path="/slow"), {}, 0.05)
    await caller.close()


@pytest.mark.parametrize(
    ("name", "is_signed", "why"),
    [
        ("hook.shop.svc", True, ""),
        ("hook.shop.svc", False, "self-signed"),
        ("other.shop.svc", True, "Hostname mismatch"),
    ],
)
async def test_who_has_signed_a_certificate_counts_where_names_do_not_tell(
    tmp_path: Path, name: str, is_signed: bool, why: str
) -> None:
    authority, key = new_key(), new_key()
    shown = written(tmp_path, key, signed(name, authority if is_signed else key, key))
    listener = Listener(lambda request: Response(200, {}, b'{"asked": true}'))
    port = await listener.listen("127.0.0.1", 0, server_context(*shown))
    hook = Hook(port, base64.b64encode(pem(signed("", authority, authority))).decode())
    caller = HttpCaller(hook.reader)
    if why:
        with pytest.raises(Unreachable, match=why):
            await caller.post(_service(hook), {}, 10)
    else:
        assert await caller.post(_service(hook), {}, 10) == {"asked": True}
    await caller.close()
    await listener.close()
