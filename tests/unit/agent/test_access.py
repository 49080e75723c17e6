"""Who may ask the node's server: by certificate or token, and only what the API server allows."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from mizzen.agent.access import guarded
from mizzen.client.client import Client
from mizzen.cluster.pki import Pki, load
from mizzen.machinery.identity import MASTERS
from mizzen.wire.message import Request, Response

TOKENS = {"good": {"username": "ana", "uid": "7", "groups": ["system:authenticated"]}}


class Api:
    """Answers reviews: one token is known, and `allowed` says what it may do."""

    def __init__(self, allowed: Mapping[str, Any] | None = None, *, reachable: bool = True) -> None:
        self.allowed = allowed
        self.reachable = reachable
        self.asked: list[dict[str, Any]] = []

    async def call(self, request: Request) -> Response:
        if not self.reachable:
            raise ConnectionResetError("no API server")
        spec = orjson.loads(orjson.dumps(request.body))["spec"]
        if request.path.endswith("/tokenreviews"):
            user = TOKENS.get(spec["token"])
            status = {"authenticated": True, "user": user} if user else {"authenticated": False}
            return Response(201, {}, orjson.dumps({"status": status}))
        self.asked.append(spec)
        return Response(201, {}, orjson.dumps({"status": {"allowed": spec["resourceAttributes"] == self.allowed}}))

    async def close(self) -> None:
        """Nothing is open."""


async def answer(_request: Request) -> Response:
    return Response(200, {}, b"secret")


def certificate(tmp_path: Any, user: str, *groups: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    found, _ = load(Pki(tmp_path, 1_700_000_000.0).client("one", user, groups))
    return found.public_bytes(Encoding.DER)


async def status(api: Api, request: Request) -> int:
    return (await guarded(answer, Client(api), "node-1")(request)).status


def with_token(token: str, path: str = "/pods", method: str = "GET") -> Request:
    return Request(method, path, (), {"authorization": f"Bearer {token}"})


async def test_nobody_is_answered_without_credentials() -> None:
    assert await status(Api(), Request("GET", "/healthz")) == 401
    assert await status(Api(), Request("GET", "/pods", (), {"authorization": "Basic abc"})) == 401
    assert await status(Api(), with_token("")) == 401


async def test_the_api_server_itself_needs_no_review(tmp_path: Any) -> None:
    api = Api(reachable=False)
    shown = certificate(tmp_path, "kube-apiserver-kubelet-client", MASTERS)
    assert await status(api, Request("POST", "/exec/a/b/c", peer_certificate=shown)) == 200


async def test_a_certificate_without_the_right_group_is_reviewed(tmp_path: Any) -> None:
    api = Api()
    request = Request("GET", "/pods", peer_certificate=certificate(tmp_path, "mallory", "staff"))
    assert await status(api, request) == 403
    assert (api.asked[0]["user"], api.asked[0]["groups"]) == ("mallory", ["staff"])


async def test_an_unknown_token_is_refused_and_a_known_one_reviewed() -> None:
    attributes = {"verb": "get", "resource": "nodes", "subresource": "proxy", "name": "node-1"}
    assert await status(Api(attributes), with_token("bad")) == 401
    assert await status(Api(attributes), with_token("good")) == 200
    assert await status(Api(), with_token("good")) == 403


@pytest.mark.parametrize(
    ("method", "path", "verb", "subresource"),
    [
        ("GET", "/stats/summary", "get", "stats"),
        ("GET", "/metrics/resource", "get", "metrics"),
        ("GET", "/logs/", "get", "log"),
        ("POST", "/exec/a/b/c", "create", "proxy"),
        ("GET", "/containerLogs/a/b/c", "get", "proxy"),
        ("DELETE", "/anything", "delete", "proxy"),
        ("GET", "/pods", "get", "pods"),
        ("GET", "/pods", "get", "proxy"),
        ("GET", "/runningpods/", "get", "pods"),
        ("GET", "/configz", "get", "configz"),
        ("GET", "/configz", "get", "proxy"),
        ("GET", "/flagz", "get", "proxy"),
        ("GET", "/statusz", "get", "statusz"),
        ("GET", "/healthz/ping", "get", "healthz"),
        ("GET", "/logstash", "get", "proxy"),
    ],
)
async def test_paths_are_reviewed_as_subresources_of_the_node(
    method: str, path: str, verb: str, subresource: str
) -> None:
    api = Api({"verb": verb, "resource": "nodes", "subresource": subresource, "name": "node-1"})
    assert await status(api, with_token("good", path, method)) == 200


async def test_whoever_may_use_the_nodes_proxy_may_not_see_its_status_page_by_that() -> None:
    api = Api({"verb": "get", "resource": "nodes", "subresource": "proxy", "name": "node-1"})
    assert await status(api, with_token("good", "/statusz")) == 403


async def test_without_an_api_server_nobody_new_gets_in() -> None:
    assert await status(Api(reachable=False), with_token("good")) == 401
