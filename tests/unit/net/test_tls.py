"""Whom contexts trust: what Go's clients would, whatever version of Python verifies."""

import ssl
from pathlib import Path

import pytest
from tests.fakes.certificates import new_key, pem, signed, written

from mizzen.cluster.pki import Pki
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.server import Listener
from mizzen.net.tls import client_context, server_context, verifying_context
from mizzen.wire.message import Request, Response

_default = ssl.create_default_context


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts as Python 3.13 makes them."""

    def create(**given: str | None) -> ssl.SSLContext:
        context = _default(**given)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


async def answered(serving: tuple[Path, Path], context: ssl.SSLContext) -> int:
    """The status of an answer over TLS. Raises ConnectionError."""
    listener = Listener(lambda request: Response(200))
    port = await listener.listen("127.0.0.1", 0, server_context(*serving))
    transport = SocketTransport(Endpoint("127.0.0.1", port, context, "server.test"))
    try:
        return (await transport.call(Request("GET", "/"))).status
    finally:
        await transport.close()
        await listener.close()


@pytest.mark.usefixtures("strict")
async def test_an_authority_without_key_identifiers_is_trusted(tmp_path: Path) -> None:
    authority, key = new_key(), new_key()
    ca = signed("", authority, authority, "ca", "ca")
    serving = written(tmp_path, key, signed("server.test", authority, key, "server", "ca"))
    assert await answered(serving, client_context(ca_data=pem(ca).decode())) == 200
    with pytest.raises(ConnectionError, match="certificate verify failed"):
        await answered(serving, ssl.create_default_context(cadata=pem(ca).decode()))


@pytest.mark.parametrize("is_root", [True, False])
async def test_an_authority_that_another_has_signed_is_enough(tmp_path: Path, is_root: bool) -> None:
    root, between, key = new_key(), new_key(), new_key()
    ca = signed("", root, between, "between", "root")
    trusted = signed("", root, root, "root", "root") if is_root else ca
    serving = written(tmp_path, key, signed("server.test", between, key, "server", "between"), ca)
    assert await answered(serving, client_context(ca_data=pem(trusted).decode())) == 200
    other = signed("", new_key(), new_key(), "root", "root")
    with pytest.raises(ConnectionError, match="certificate verify failed"):
        await answered(serving, client_context(ca_data=pem(other).decode()))


@pytest.mark.usefixtures("strict")
async def test_the_certificates_of_a_cluster_pass_the_strictest_check(tmp_path: Path) -> None:
    import time

    pki = Pki(tmp_path, time.time())
    pair, ca = pki.serving(("server.test",)), pki.ca().certificate
    strictly = ssl.create_default_context(cafile=str(ca))
    assert strictly.verify_flags & ssl.VERIFY_X509_STRICT
    assert await answered((pair.certificate, pair.key), strictly) == 200


@pytest.mark.usefixtures("strict")
def test_every_context_is_as_lenient_as_the_other() -> None:
    for context in (verifying_context(), client_context(), Endpoint.parse("https://a.test").tls):
        assert context is not None
        assert not context.verify_flags & ssl.VERIFY_X509_STRICT
        assert context.verify_mode == ssl.CERT_REQUIRED
