"""The certificates that servers of these tests show."""

import ssl
import time

import pytest

from mizzen.cluster.pki import Pki
from mizzen.net.tls import HTTP1, HTTP2, server_context


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"), time.time())


@pytest.fixture(scope="module")
def tls(pki: Pki) -> ssl.SSLContext:
    pair = pki.serving(("127.0.0.1",), "10.0.0.1")
    return server_context(pair.certificate, pair.key, pki.ca().certificate, protocols=(HTTP2, HTTP1))
