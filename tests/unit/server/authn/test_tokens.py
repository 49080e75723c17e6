from pathlib import Path

import pytest
from tests.fakes.reader import FakeReader, FakeWriter, made

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.node import NODE
from mizzen.api.core.pod import POD
from mizzen.api.core.secret import SECRET
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.base.clock import VirtualClock
from mizzen.cluster.pki import Pki
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import AUTHENTICATED, Identity
from mizzen.server.authn import jwt
from mizzen.server.authn.bootstrap_tokens import BootstrapTokens
from mizzen.server.authn.chain import BadToken, Chain
from mizzen.server.authn.issuer import DISCOVERY_PATH, KEYS_PATH, Issuer
from mizzen.server.authn.legacytokens import LegacyTokens
from mizzen.server.authn.reviews import TokenReviews
from mizzen.server.authn.serviceaccounts import LEGACY_ISSUER, ServiceAccountTokens
from mizzen.server.authn.static_tokens import StaticTokens, parse
from mizzen.server.authn.tokenrequest import TokenRequests
from mizzen.wire.message import Request

ISSUER = "https://issuer.test"


class World:
    """Keys, a clock, a store, and what signs and knows tokens over them."""

    def __init__(self, directory: Path) -> None:
        self.clock = VirtualClock()
        self.reader = FakeReader((SERVICE_ACCOUNT, made("robot", "shop")), (SERVICE_ACCOUNT, made("other", "shop")))
        self.keys = jwt.SigningKeys(Pki(directory, self.clock.now()).service_account_key().read_bytes())
        self.requests = TokenRequests(self.keys, ISSUER, (ISSUER,), self.reader, self.clock)
        self.tokens = ServiceAccountTokens(self.keys, ISSUER, (ISSUER,), self.reader, self.clock)

    def token(self, **spec: object) -> str:
        answer = self.requests.create("shop", "robot", {"spec": spec})
        return str(answer["status"]["token"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_service_account_is_known_by_the_token_it_was_given(world: World) -> None:
    found = world.tokens.identify(world.token(), ())
    assert found is not None
    assert found.user.name == "system:serviceaccount:shop:robot"
    assert found.user.uid == "uid-1"
    assert found.user.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", AUTHENTICATED)
    assert found.audiences == (ISSUER,)


def test_a_token_that_is_shown_again_names_the_same_user(world: World) -> None:
    chain, request = Chain((world.tokens,)), _request(authorization=f"Bearer {world.token()}")
    assert chain.authenticate(request) is chain.authenticate(request)


def test_a_token_for_a_pod_tells_the_pod_and_its_node_and_dies_with_it(world: World) -> None:
    world.reader.put(NODE, made("n1"))
    world.reader.put(POD, made("web", "shop", uid="p-1", spec={"serviceAccountName": "robot", "nodeName": "n1"}))
    token = world.token(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web"})
    user = world.tokens.identify(token, ()).user
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("web",)
    assert user.extra["authentication.kubernetes.io/node-name"] == ("n1",)
    world.reader.drop(POD, "shop", "web")
    world.clock._elapsed += 2
    with pytest.raises(BadToken, match="Pod this token is bound to"):
        world.tokens.identify(token, ())


def test_a_token_expires(world: World) -> None:
    token = world.token(expirationSeconds=600)
    world.clock._elapsed += 601
    with pytest.raises(BadToken, match="expired"):
        world.tokens.identify(token, ())


def test_a_pods_default_token_is_extended_for_clients_that_never_reload(world: World) -> None:
    world.reader.put(POD, made("web", "shop", spec={"serviceAccountName": "robot"}))
    token = world.token(expirationSeconds=3607, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "web"})
    claims = jwt.claims(token)
    assert claims["kubernetes.io"]["warnafter"] == claims["iat"] + 3607
    assert claims["exp"] == claims["iat"] + 365 * 86400


def test_a_token_for_another_audience_is_refused(world: World) -> None:
    token = world.token(audiences=["vault"])
    with pytest.raises(BadToken, match="audiences"):
        world.tokens.identify(token, ())
    assert world.tokens.identify(token, ("vault", "hall")).audiences == ("vault",)


def test_an_account_made_anew_does_not_honour_tokens_of_the_old_one(world: World) -> None:
    token = world.token()
    world.reader.drop(SERVICE_ACCOUNT, "shop", "robot")
    world.reader.put(SERVICE_ACCOUNT, made("robot", "shop"))
    with pytest.raises(BadToken):
        world.tokens.identify(token, ())


def test_a_changed_token_is_refused(world: World) -> None:
    header, _, signature = world.token().split(".")
    forged = jwt.encode(b'{"iss":"https://issuer.test","exp":9999999999,"aud":["https://issuer.test"]}')
    with pytest.raises(BadToken, match="invalid signature"):
        world.tokens.identify(f"{header}.{forged}.{signature}", ())


def test_a_token_of_another_issuer_is_left_to_others(world: World) -> None:
    assert world.tokens.identify(world.keys.sign({"iss": "elsewhere"}), ()) is None
    assert world.tokens.identify("no token at all", ()) is None


def test_the_token_of_a_secret_works_while_the_secret_is_there(world: World) -> None:
    import base64

    prefix = "kubernetes.io/serviceaccount/"
    token = world.keys.sign(
        {
            "iss": LEGACY_ISSUER,
            f"{prefix}namespace": "shop",
            f"{prefix}secret.name": "robot-token",
            f"{prefix}service-account.name": "robot",
            f"{prefix}service-account.uid": "uid-1",
        }
    )
    with pytest.raises(BadToken, match="invalidated"):
        world.tokens.identify(token, ())
    world.reader.put(SECRET, made("robot-token", "shop", data={"token": base64.b64encode(token.encode()).decode()}))
    assert world.tokens.identify(token, ()).user.name == "system:serviceaccount:shop:robot"


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"spec": {"expirationSeconds": 60}}, 422, "may not specify a duration less than 10 minutes"),
        ({"spec": {"expirationSeconds": (1 << 32) + 1}}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"metadata": {"name": "else"}}, 422, "must match the service account name if specified"),
        ({"kind": "ConfigMap", "apiVersion": "v1"}, 400, "cannot be handled as a TokenRequest"),
        (
            {"spec": {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            {"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "ghost"}}},
            404,
            'secrets "ghost" not found',
        ),
    ],
)
def test_a_bad_token_request_is_refused(world: World, request_: dict[str, object], code: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        world.requests.create("shop", "robot", request_)
    assert caught.value.code == code
    assert message in caught.value.message


def test_a_token_is_for_the_account_that_the_client_saw(world: World) -> None:
    account = world.reader.get(SERVICE_ACCOUNT, "shop", "robot")
    assert account is not None
    world.requests.create("shop", "robot", {"metadata": {"uid": account["metadata"]["uid"]}})
    with pytest.raises(ApiError, match=r"the UID in the token request \(another\) does not match") as refused:
        world.requests.create("shop", "robot", {"metadata": {"uid": "another"}})
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


def test_a_token_cannot_be_bound_to_a_pod_of_another_account_or_life(world: World) -> None:
    world.reader.put(POD, made("web", "shop", uid="p-1", spec={"serviceAccountName": "other"}))
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "web"}
    with pytest.raises(ApiError, match="different serviceaccount name"):
        world.token(boundObjectRef=reference)
    with pytest.raises(ApiError) as caught:
        world.requests.create("shop", "other", {"spec": {"boundObjectRef": {**reference, "uid": "p-2"}}})
    assert caught.value.code == 409


def test_the_published_keys_verify_a_token(world: World) -> None:
    import orjson
    from cryptography.hazmat.primitives.asymmetric import ec

    documents = Issuer(ISSUER, world.keys).documents()
    discovery, keys = (orjson.loads(documents[path].body) for path in (DISCOVERY_PATH, KEYS_PATH))
    assert discovery["issuer"] == ISSUER
    assert discovery["jwks_uri"] == f"{ISSUER}{KEYS_PATH}"
    x, y = (int.from_bytes(jwt.decode(keys["keys"][0][name])) for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    assert jwt._is_valid(public, jwt.decode(world.token().split(".")[2]), b"other data") is False
    token = world.token()
    assert jwt._is_valid(public, jwt.decode(token.split(".")[2]), token.rpartition(".")[0].encode())


def test_rsa_keys_sign_too() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    keys = jwt.SigningKeys(pem)
    assert keys.verify(keys.sign({"iss": "x"})) == {"iss": "x"}
    assert keys.algorithms == ["RS256"]


def _bootstrap_secret(**data: str) -> dict[str, object]:
    import base64

    texts = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:workers,evil",
        **data,
    }
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
    return made("bootstrap-token-abcdef", "kube-system", type="bootstrap.kubernetes.io/token", data=encoded)


def test_a_joining_node_is_known_by_its_bootstrap_token(world: World) -> None:
    world.reader.put(SECRET, _bootstrap_secret())
    found = BootstrapTokens(world.reader, world.clock).identify("abcdef.0123456789abcdef", ())
    assert found is not None
    assert found.user == Identity(
        "system:bootstrap:abcdef", groups=("system:bootstrappers", "system:bootstrappers:workers")
    )


@pytest.mark.parametrize(
    "data", [{"expiration": "2001-01-01T00:00:00Z"}, {"usage-bootstrap-authentication": "false"}, {"token-secret": "x"}]
)
def test_a_bootstrap_token_that_is_expired_disabled_or_wrong_is_refused(world: World, data: dict[str, str]) -> None:
    world.reader.put(SECRET, _bootstrap_secret(**data))
    with pytest.raises(BadToken):
        BootstrapTokens(world.reader, world.clock).identify("abcdef.0123456789abcdef", ())


STATIC = StaticTokens(parse(['t0k,ann,u1,"dev,ops"', "# nobody", "", "t1,bob,u2"]))


def test_a_token_file_names_users_and_groups() -> None:
    assert STATIC.identify("t0k", ()).user == Identity("ann", "u1", ("dev", "ops", AUTHENTICATED))
    assert STATIC.identify("t1", ()).user == Identity("bob", "u2", (AUTHENTICATED,))
    assert STATIC.identify("t2", ()) is None
    with pytest.raises(ValueError, match="needs a token"):
        parse(["t,ann"])


def _request(path: str = "/api", **headers: str) -> Request:
    return Request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})


def test_everyone_with_a_credential_is_in_the_group_of_the_authenticated() -> None:
    user = Chain((STATIC,)).authenticate(_request(authorization="Bearer t0k"))
    assert user.groups == ("dev", "ops", "system:authenticated")


def test_a_browser_sends_its_token_as_a_websocket_protocol() -> None:
    encoded = jwt.encode(b"t0k")
    request = _request(sec_websocket_protocol=f"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}")
    assert Chain((STATIC,)).authenticate(request).name == "ann"


def test_without_a_credential_only_health_and_version_are_answered() -> None:
    chain = Chain((STATIC,))
    for path in ("/healthz", "/livez", "/readyz/ping", "/version"):
        assert chain.authenticate(_request(path)).name == "system:anonymous"
    for request in (_request("/api"), _request("/healthzz"), _request("/version", authorization="Bearer wrong")):
        with pytest.raises(ApiError) as caught:
            chain.authenticate(request)
        assert caught.value.code == 401


def test_a_client_certificate_makes_the_user(tmp_path: Path) -> None:
    import ssl

    pem = Pki(tmp_path, 1.8e9).client("admin", "ann", ("dev", "ops")).certificate.read_text()
    request = _request()
    request.peer_certificate = ssl.PEM_cert_to_DER_cert(pem)
    user = Chain(()).authenticate(request)
    assert (user.name, user.groups) == ("ann", ("dev", "ops", "system:authenticated"))
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")
    assert Chain(()).authenticate(request) is user


def test_rubbish_for_a_certificate_is_no_user() -> None:
    request = _request()
    request.peer_certificate = b"\x30\x82\xff"
    with pytest.raises(ApiError):
        Chain(()).authenticate(request)


def test_a_token_review_tells_the_user_and_audiences(world: World) -> None:
    reviews = TokenReviews(Chain((world.tokens,)), (ISSUER,))
    answer = reviews({"spec": {"token": world.token(audiences=["vault"]), "audiences": ["vault"]}}, "", Identity("x"))
    assert answer["status"]["authenticated"] is True
    assert answer["status"]["audiences"] == ["vault"]
    assert answer["status"]["user"]["username"] == "system:serviceaccount:shop:robot"
    refused = reviews({"spec": {"token": "notatoken"}}, "", Identity("x"))
    assert refused["status"] == {"user": {}, "error": "invalid bearer token"}


async def test_a_token_secret_is_filled_and_goes_with_its_account(world: World) -> None:
    import asyncio
    import base64

    async def settled() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    writer = FakeWriter(world.reader)
    legacy = LegacyTokens(world.keys, "the CA", world.reader, writer, world.clock)
    world.tokens.used = legacy.used
    task = asyncio.create_task(legacy.run())
    annotations = {"kubernetes.io/service-account.name": "robot"}
    world.reader.put(SECRET, made("t", "shop", type="kubernetes.io/service-account-token", annotations=annotations))
    await settled()
    data = {key: base64.b64decode(text).decode() for key, text in world.reader.get(SECRET, "shop", "t")["data"].items()}
    assert (data["namespace"], data["ca.crt"]) == ("shop", "the CA")
    assert world.tokens.identify(data["token"], ()).user.name == "system:serviceaccount:shop:robot"
    await settled()
    secret = world.reader.get(SECRET, "shop", "t")
    today = times.format(world.clock.now())[:10]
    assert secret["metadata"]["labels"] == {"kubernetes.io/legacy-token-last-used": today}
    tracking = world.reader.get(CONFIG_MAP, "kube-system", "kube-apiserver-legacy-service-account-token-tracking")
    assert tracking["data"] == {"since": today}
    secret["metadata"]["labels"]["kubernetes.io/legacy-token-invalid-since"] = today
    world.reader.put(SECRET, secret)
    await world.clock.advance(600)
    with pytest.raises(BadToken, match="shop/t has been marked invalid"):
        world.tokens.identify(data["token"], ())
    world.reader.drop(SERVICE_ACCOUNT, "shop", "robot")
    await settled()
    assert world.reader.get(SECRET, "shop", "t") is None
    task.cancel()
