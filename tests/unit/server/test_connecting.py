"""Admission sees what a connection asks for, and what it warned of is heard when it refuses too."""

from collections.abc import AsyncIterator, Awaitable

import pytest
from tests.unit.server.conftest import Caller

from mizzen.api.kind import Kind
from mizzen.base.clock import VirtualClock
from mizzen.machinery.errors import Errors, Object
from mizzen.server.admission import matching
from mizzen.server.config import Config
from mizzen.server.seams import Admission, Reader, Writer
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Response

POD = "/api/v1/namespaces/shop/pods/web"


class Guard:
    """Remembers every connection; warns of each, and refuses those to the container `vault`."""

    name = "ValidatingAdmissionWebhook"

    def __init__(self) -> None:
        self.seen: list[Object] = []

    def handles(self, operation: str, kind: Kind, subresource: str) -> bool:
        return True

    def mutate(self, admission: Admission) -> Awaitable[None] | None:
        return None

    def validate(self, admission: Admission) -> Awaitable[None] | None:
        self.seen.append(matching.request_of(admission, admission.kind, "u"))
        admission.warnings.append('you are "seen"')
        asked = admission.object or {}
        if asked.get("container") == "vault" or asked.get("data") == {"a": "bad"}:
            raise Errors.forbidden("", "pods", admission.name, "not there")
        return None


@pytest.fixture
async def guarded() -> AsyncIterator[tuple[Caller, Guard]]:
    guard, clock, store = Guard(), VirtualClock(), MemoryStore()

    def compose(_reader: Reader, _writer: Writer) -> Config:
        config = Config(admission=(guard,))
        for place in (("pods", "exec"), ("pods", "portforward"), ("services", "proxy")):
            config.handlers.connects[place] = lambda _call: Response(200, {}, b"{}")
        return config

    server = Server(store, clock, compose)
    await server.start()
    yield Caller(server, clock), guard
    await server.close()
    await store.close()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (
            f"{POD}/exec?command=ls&command=-l&container=app&stdin=true&tty=0&stdout=1",
            {"kind": "PodExecOptions", "command": ["ls", "-l"], "container": "app", "stdin": True, "stdout": True},
        ),
        (f"{POD}/portforward?ports=80,81", {"kind": "PodPortForwardOptions", "ports": [80, 81]}),
        (
            "/api/v1/namespaces/shop/services/web/proxy/a/b",
            {"kind": "ServiceProxyOptions", "path": "/a/b"},
        ),
    ],
)
async def test_a_connection_comes_with_its_options(
    guarded: tuple[Caller, Guard], path: str, asked: dict[str, object]
) -> None:
    api, guard = guarded
    assert (await api.raw("POST", path)).status == 200
    [request] = guard.seen
    assert (request["operation"], request["object"]) == ("CONNECT", {**asked, "apiVersion": "v1"})
    assert request["kind"] == request["requestKind"] == {"group": "", "version": "v1", "kind": asked["kind"]}
    assert request["resource"]["resource"] in {"pods", "services"}


async def test_warnings_are_heard_with_a_refusal(guarded: tuple[Caller, Guard]) -> None:
    api, _ = guarded
    refused = await api.raw("POST", f"{POD}/exec?command=ls&container=vault")
    assert (refused.status, refused.headers["warning"]) == (403, '299 - "you are \\"seen\\""')
    written = await api.raw(
        "POST", "/api/v1/namespaces/shop/configmaps", {"metadata": {"name": "m"}, "data": {"a": "bad"}}
    )
    assert (written.status, written.headers["warning"]) == (403, '299 - "you are \\"seen\\""')
