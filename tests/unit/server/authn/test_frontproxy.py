from pathlib import Path

import pytest

from mizzen.cluster.pki import KeyPair, Pki
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import AUTHENTICATED, Identity
from mizzen.server.authn.chain import Chain
from mizzen.server.authn.frontproxy import FrontProxies
from mizzen.wire import der
from mizzen.wire.message import Request

NOW = 1767225600.0
HEADERS = {
    "x-remote-user": "ann",
    "x-remote-group": "dev,a,b",
    "x-remote-uid": "7",
    "x-remote-extra-acme.example%2fteam": "blue",
}


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path, NOW)


def _asked(pki: Pki, shown: KeyPair, headers: dict[str, str]) -> Identity:
    chain = Chain((), proxies=FrontProxies(pki.front_proxy_ca().certificate.read_bytes()))
    certificate = der.from_pem(shown.certificate.read_bytes())
    several = {"x-remote-group": ("dev", "a,b")} if headers else {}
    return chain.authenticate(Request("GET", "/api", headers=headers, peer_certificate=certificate, several=several))


def test_a_front_proxy_names_the_user_with_everything_that_belongs_to_her(pki: Pki) -> None:
    user = _asked(pki, pki.front_proxy_client(), HEADERS)
    assert (user.name, user.uid, user.groups) == ("ann", "7", ("dev", "a,b", AUTHENTICATED))
    assert user.extra == {"acme.example/team": ("blue",)}


def test_the_headers_of_anybody_else_name_nobody(pki: Pki) -> None:
    user = _asked(pki, pki.client("bob", "bob"), HEADERS)
    assert user.name == "bob"


def test_a_front_proxy_is_no_user_itself(pki: Pki) -> None:
    with pytest.raises(ApiError) as caught:
        _asked(pki, pki.front_proxy_client(), {})
    assert caught.value.code == 401


def test_the_authority_of_front_proxies_vouches_for_its_clients_alone(pki: Pki) -> None:
    chain = Chain((), proxies=FrontProxies(pki.front_proxy_ca().certificate.read_bytes(), ("another",)))
    certificate = der.from_pem(pki.front_proxy_client().certificate.read_bytes())
    with pytest.raises(ApiError):
        chain.authenticate(Request("GET", "/api", headers=HEADERS, peer_certificate=certificate))
