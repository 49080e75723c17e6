"""Tokens of another issuer, which is an HTTPS server of its own on loopback; and where nobody needs a token."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mizzen.base.clock import SystemClock, VirtualClock
from mizzen.cluster.config import ClusterConfig
from mizzen.cluster.control import ControlPlane, Options
from mizzen.cluster.pki import Pki
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import AUTHENTICATED
from mizzen.net.server import Listener
from mizzen.net.tls import server_context
from mizzen.server.authn import jwks, jwt
from mizzen.server.authn.chain import BadToken, Chain
from mizzen.server.authn.configuration import ConfigurationFile, parse
from mizzen.server.authn.oidc import LOOK_SECONDS, PAUSE_SECONDS, Issuers, IssuerTokens
from mizzen.wire.message import Request, Response

NOW = 1_700_000_000.0
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "512": ec.SECP521R1()}


class Signer:
    """A key of the issuer for one algorithm."""

    def __init__(self, name: str, algorithm: str = "RS256") -> None:
        self.name, self.algorithm = name, algorithm
        bits = algorithm[2:]
        self.key: Any = (
            ec.generate_private_key(CURVES[bits]) if algorithm[0] == "E" else rsa.generate_private_key(65537, 2048)
        )

    def token(self, **claims: Any) -> str:
        head = {"alg": self.algorithm, "kid": self.name}
        signed = f"{jwt.encode(orjson.dumps(head))}.{jwt.encode(orjson.dumps(claims))}"
        return f"{signed}.{jwt.encode(self._signature(signed.encode()))}"

    def _signature(self, data: bytes) -> bytes:
        digest = HASHES[self.algorithm[2:]]
        if self.algorithm[0] == "E":
            size = (self.key.key_size + 7) // 8
            return b"".join(half.to_bytes(size) for half in decode_dss_signature(self.key.sign(data, ec.ECDSA(digest))))
        salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
        return bytes(self.key.sign(data, salted if self.algorithm[0] == "P" else padding.PKCS1v15(), digest))

    def jwk(self) -> dict[str, Any]:
        numbers = self.key.public_key().public_numbers()
        if self.algorithm[0] == "E":
            size = (self.key.key_size + 7) // 8
            curve = {"256": "P-256", "384": "P-384", "512": "P-521"}[self.algorithm[2:]]
            place = {"x": jwt.encode(numbers.x.to_bytes(size)), "y": jwt.encode(numbers.y.to_bytes(size))}
            return {"kty": "EC", "kid": self.name, "crv": curve, **place}
        modulus = {"n": jwt.encode(numbers.n.to_bytes(256)), "e": jwt.encode(numbers.e.to_bytes(3))}
        return {"kty": "RSA", "kid": self.name, "use": "sig", **modulus}


signer = cache(Signer)
"""Keys take their time to be made."""


class Provider:
    """The issuer as its clients see it."""

    def __init__(self) -> None:
        self.signers = [signer("one")]
        self.url, self.ca = "", ""
        self.asked = asyncio.Event()

    def answer(self, request: Request) -> Response:
        if request.path == "/dex/.well-known/openid-configuration":
            return Response(200, {}, orjson.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}))
        if request.path == "/dex/keys":
            self.asked.set()
            keys = [{"kty": "oct", "k": "c2VjcmV0"}, *(one.jwk() for one in self.signers)]
            return Response(200, {}, orjson.dumps({"keys": keys}))
        return Response(404)

    def claims(self, **more: Any) -> dict[str, Any]:
        return {"iss": self.url, "aud": "mizzen", "sub": "ann", "exp": NOW + 60, **more}


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    pki, one = Pki(tmp_path / "issuer", time.time()), Provider()
    pair = pki.serving(("localhost",))
    listener = Listener(one.answer)
    port = await listener.listen("127.0.0.1", 0, server_context(pair.certificate, pair.key))
    one.url = f"https://localhost:{port}/dex"
    one.ca = pki.ca().certificate.read_text()
    yield one
    await listener.close()


def described(provider: Provider, **jwt_more: Any) -> dict[str, Any]:
    issuer = {"url": provider.url, "audiences": ["mizzen"], "certificateAuthority": provider.ca}
    mappings = {"username": {"claim": "sub", "prefix": "dex:"}, "groups": {"claim": "groups", "prefix": "dex:"}}
    given = {"issuer": issuer, "claimMappings": mappings, **jwt_more}
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [given]}


async def ready(provider: Provider, **more: Any) -> tuple[IssuerTokens, VirtualClock]:
    clock = VirtualClock(NOW)
    tokens = IssuerTokens(parse(described(provider, **more)).issuers[0], ("api",), clock)
    assert await tokens.refresh()
    return tokens, clock


async def until(holds: Callable[[], bool]) -> None:
    """Let the sockets work until it holds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


async def test_a_token_of_the_issuer_is_a_user_with_groups(provider: Provider) -> None:
    tokens, _ = await ready(provider)
    token = provider.signers[0].token(**provider.claims(groups=["dev", "ops"]))
    found = Chain((tokens,)).authenticate(Request("GET", "/", headers={"authorization": f"Bearer {token}"}))
    assert (found.name, found.groups) == ("dex:ann", ("dex:dev", "dex:ops", AUTHENTICATED))
    assert tokens.identify("opaque", ()) is None
    assert tokens.identify(provider.signers[0].token(**provider.claims(iss="https://other.test")), ()) is None
    known = tokens.identify(token, ("api", "else"))
    assert known is not None and known.audiences == ("api",)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"])
async def test_every_asymmetric_algorithm_is_verified(provider: Provider, algorithm: str) -> None:
    provider.signers = [signer("k", algorithm)]
    tokens, _ = await ready(provider)
    token = provider.signers[0].token(**provider.claims())
    assert tokens.identify(token, ()) is not None
    head, body, _ = token.split(".")
    forged = Signer("k", algorithm).token(**provider.claims())
    for bad in (forged, f"{head}.{body}.", f"{head}.{body}.AAAA"):
        with pytest.raises(BadToken, match="verify signature"):
            tokens.identify(bad, ())


async def test_unsigned_tokens_and_those_signed_with_a_public_key_as_a_secret_are_refused(provider: Provider) -> None:
    tokens, _ = await ready(provider)
    for algorithm in ("none", "HS256", "ES256"):
        head = jwt.encode(orjson.dumps({"alg": algorithm, "kid": "one"}))
        with pytest.raises(BadToken, match="verify signature"):
            tokens.identify(f"{head}.{jwt.encode(orjson.dumps(provider.claims()))}.AAAA", ())


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW}, "expired"),
        ({"exp": None}, "expired"),
        ({"nbf": NOW + 5}, "not valid yet"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other", "another"]}, "audience"),
        ({"sub": ""}, "user name"),
        ({"sub": 7}, "user name"),
        ({"groups": {"a": 1}}, "groups must be"),
    ],
)
async def test_a_token_that_is_not_good_here_is_refused(provider: Provider, claims: Any, why: str) -> None:
    tokens, _ = await ready(provider)
    with pytest.raises(BadToken, match=why):
        tokens.identify(provider.signers[0].token(**provider.claims(**claims)), ())


async def test_a_token_that_was_good_is_refused_once_it_has_expired(provider: Provider) -> None:
    tokens, clock = await ready(provider)
    token = provider.signers[0].token(**provider.claims(aud=["mizzen", "other"]))
    assert tokens.identify(token, ()) is not None
    await clock.advance(61)
    with pytest.raises(BadToken, match="expired"):
        tokens.identify(token, ())


async def test_new_keys_are_fetched_when_a_token_names_one(provider: Provider) -> None:
    clock = VirtualClock(NOW)
    tokens = IssuerTokens(parse(described(provider)).issuers[0], (), clock)
    old = provider.signers[0].token(**provider.claims())
    with pytest.raises(BadToken, match="not there yet"):
        tokens.identify(old, ())
    running = asyncio.create_task(tokens.follow())
    await asyncio.wait_for(provider.asked.wait(), 5)
    await until(lambda: clock.next_deadline is not None)
    assert tokens.identify(old, ()) is not None
    provider.signers = [signer("two")]
    provider.asked.clear()
    token = provider.signers[0].token(**provider.claims())
    with pytest.raises(BadToken, match="verify signature"):
        tokens.identify(token, ())
    await clock.advance(PAUSE_SECONDS)
    await asyncio.wait_for(provider.asked.wait(), 5)
    await until(lambda: clock.next_deadline is not None and clock.next_deadline <= PAUSE_SECONDS)
    assert tokens.identify(token, ()) is not None
    with pytest.raises(BadToken):
        tokens.identify(old, ())
    running.cancel()


async def test_a_file_that_is_written_anew_is_taken_and_one_that_cannot_be_is_not(
    provider: Provider, tmp_path: Path
) -> None:
    path, clock = tmp_path / "authentication.yaml", VirtualClock(NOW)
    path.write_text(yaml.safe_dump({**described(provider), "jwt": []}))
    issuers = Issuers(ConfigurationFile(path), ("api",), clock)
    token = provider.signers[0].token(**provider.claims(exp=NOW + 3600))
    assert (issuers.identify(token, ()), issuers.allows("/livez")) == (None, True)
    running = asyncio.create_task(issuers.follow())
    await asyncio.sleep(0)
    written = described(provider)
    path.write_text(yaml.safe_dump({**written, "anonymous": {"enabled": False}}))
    await clock.advance(LOOK_SECONDS)
    await until(lambda: not issuers.allows("/livez"))
    found = issuers.identify(token, ())
    assert found is not None and found.user.name == "dex:ann"
    path.write_text("kind: Nonsense")
    await clock.advance(LOOK_SECONDS)
    assert issuers.identify(token, ()) == found
    written["jwt"] = []
    path.write_text(yaml.safe_dump(written))
    await clock.advance(LOOK_SECONDS)
    await until(lambda: issuers.allows("/livez"))
    assert issuers.identify(token, ()) is None
    running.cancel()


async def test_a_control_plane_knows_the_users_of_an_issuer(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "authentication.yaml").write_text(yaml.safe_dump(described(provider)))
    options = Options(ClusterConfig("oidc", tmp_path, nodes=0), 0, ("127.0.0.1",), controllers=False)
    plane = ControlPlane(options, SystemClock(), random.Random())
    await plane.start()
    token = provider.signers[0].token(**provider.claims(exp=time.time() + 60))
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    review = orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    path, status = "/apis/authentication.k8s.io/v1/selfsubjectreviews", 401
    async with asyncio.timeout(10):
        while status == 401:  # until the keys are there
            response = await plane.server.handle(Request("POST", path, (), headers, review))
            status = response.status
            await asyncio.sleep(0.01)
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["status"]["userInfo"]["username"] == "dex:ann"
    await plane.close()


async def test_an_issuer_that_names_itself_otherwise_is_not_believed(provider: Provider) -> None:
    tokens, _ = await ready(provider)
    provider.url += "/other"
    with pytest.raises(ValueError, match="is not of"):
        await tokens.fetched()


async def test_expressions_make_the_user_and_judge_it(provider: Provider) -> None:
    mappings = {
        "username": {"expression": "claims.sub + ':' + claims.tenant"},
        "groups": {"expression": "claims.roles.split(',')"},
        "uid": {"claim": "oid"},
        "extra": [
            {"key": "example.com/tenant", "valueExpression": "claims.tenant"},
            {"key": "example.com/none", "valueExpression": "claims.?missing.orValue('')"},
        ],
    }
    rules = [
        {"claim": "hd", "requiredValue": "example.com"},
        {"expression": "claims.exp - claims.iat <= 86400", "message": "too long"},
    ]
    judged = [{"expression": "!user.username.startsWith('system:')", "message": "reserved name"}]
    tokens, _ = await ready(provider, claimMappings=mappings, claimValidationRules=rules, userValidationRules=judged)
    good = {"tenant": "blue", "roles": "a,b", "oid": "u-1", "hd": "example.com", "iat": NOW}

    def sent(**claims: Any) -> Any:
        found = tokens.identify(provider.signers[0].token(**provider.claims(**{**good, **claims})), ())
        assert found is not None
        return found.user

    user = sent()
    assert (user.name, user.uid, user.groups) == ("ann:blue", "u-1", ("a", "b", AUTHENTICATED))
    assert user.extra == {"example.com/tenant": ("blue",)}
    for claims, why in (
        ({"hd": "evil.com"}, "claim hd"),
        ({"iat": NOW - 90_000}, "too long"),
        ({"sub": "system"}, "reserved name"),
        ({"roles": 7}, "resulted in error"),
    ):
        with pytest.raises(BadToken, match=why):
            sent(**claims)


async def test_an_email_must_be_verified_where_it_is_the_name(provider: Provider) -> None:
    tokens, _ = await ready(provider, claimMappings={"username": {"claim": "email", "prefix": ""}})
    with pytest.raises(BadToken, match="not verified"):
        tokens.identify(provider.signers[0].token(**provider.claims(email="a@b.c", email_verified=False)), ())
    found = tokens.identify(provider.signers[0].token(**provider.claims(email="a@b.c", email_verified=True)), ())
    assert found is not None and found.user.name == "a@b.c"


def test_keys_of_other_kinds_are_left_out() -> None:
    odd = [{"kty": "OKP"}, {"kty": "EC", "crv": "P-1"}, {"kty": "RSA", "use": "enc"}, {"kty": "RSA"}, "x"]
    assert jwks.parse({"keys": odd}) == ()
    with pytest.raises(ValueError, match="Key Set"):
        jwks.parse([])


def document(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", **more}


USERNAME = {"username": {"claim": "sub", "prefix": ""}}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"issuer": {"url": "http://a.test", "audiences": ["x"]}}, r"jwt\[0\].issuer.url"),
        ({"issuer": {"url": "https://a.test"}}, "audiences"),
        ({"issuer": {"url": "https://a.test", "audiences": ["x", "y"]}}, "audienceMatchPolicy"),
        ({"issuer": {"url": "https://a.test", "audiences": ["x"], "discoveryURL": "https://a.test/"}}, "discoveryURL"),
        ({"claimMappings": {}}, "claimMappings.username"),
        ({"claimMappings": {"username": {"claim": "sub"}}}, "prefix: is needed"),
        ({"claimMappings": {"username": {"expression": "claims.sub", "prefix": ""}}}, "belongs to a claim"),
        ({"claimMappings": {"username": {"expression": "claims."}}}, "username.expression"),
        ({"claimMappings": {**USERNAME, "extra": [{"key": "Upper/x", "valueExpression": "1"}]}}, r"extra\[0\].key"),
        ({"claimValidationRules": [{}]}, r"claimValidationRules\[0\]"),
        ({"userValidationRules": [{"expression": "nobody.name == ''"}]}, r"userValidationRules\[0\]"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_with_the_place(more: dict[str, Any], why: str) -> None:
    given = {"issuer": {"url": "https://a.test", "audiences": ["x"]}, "claimMappings": USERNAME, **more}
    with pytest.raises(ValueError, match=why):
        parse(document(jwt=[given]))


def test_issuers_are_told_apart() -> None:
    given = {"issuer": {"url": "https://a.test", "audiences": ["x"]}, "claimMappings": USERNAME}
    with pytest.raises(ValueError, match="of its own"):
        parse(document(jwt=[given, given]))


@pytest.mark.parametrize(
    ("anonymous", "open_paths", "closed"),
    [
        ({"enabled": True}, ("/api/v1/pods", "/livez"), ()),
        ({"enabled": True, "conditions": [{"path": "/livez"}]}, ("/livez",), ("/livez/ping", "/version")),
        ({"enabled": False}, (), ("/livez",)),
    ],
)
def test_anonymous_requests_are_let_in_where_it_says(anonymous: Any, open_paths: Any, closed: Any) -> None:
    found = parse(document(anonymous=anonymous)).anonymous
    assert found is not None
    chain = Chain((), anonymous=found.allows)
    for path in open_paths:
        assert chain.authenticate(Request("GET", path)).name == "system:anonymous"
    for path in closed:
        with pytest.raises(ApiError):
            chain.authenticate(Request("GET", path))


def test_conditions_without_anonymous_requests_make_no_sense() -> None:
    with pytest.raises(ValueError, match="conditions"):
        parse(document(anonymous={"enabled": False, "conditions": [{"path": "/livez"}]}))
