"""The API over HTTP/2: the answers of HTTP/1.1, many of them at a time on one connection."""

import asyncio
import json
from contextlib import closing
from typing import Any

import pytest
from tests.cluster.clients.harness import Server, binary, run
from tests.fakes.http2 import Client, Stream

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_JSON = ("content-type", "application/json")
_OWN = {"audit-id", "content-length", "date"}
"""Headers that differ from answer to answer or with time, or that streams have in one protocol alone."""


async def _client(server: Server) -> Client:
    return await Client.connect(int(server.url.rpartition(":")[2]), server.new_tls())


def _http1(server: Server, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    with closing(server.connect()) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def _told(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OWN and name[0] != ":"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/api/v1/namespaces/default", {}), ("GET", "/api/v1/namespaces/none", {}),
        ("GET", "/api/v1/namespaces?limit=2", {"accept": _TABLE}), ("GET", "/api/v1/services", {"accept": _PROTOBUF}),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"accept-encoding": "gzip"}),
        ("GET", "/openapi/v2", {}), ("GET", "/livez?verbose", {}), ("GET", "/nothing", {}),
        ("HEAD", "/api/v1/nodes", {}), ("PUT", "/api", {}), ("OPTIONS", "/api", {}), ("TRACE", "/api", {}),
        ("GET", "/api/v1/pods?limit=x", {}),
        ("GET", "/api/v1/namespaces/kube%2Dsystem?pretty=true", {"user-agent": "Mozilla/5.0"}),
        ("GET", "/api/v1/namespaces/default/pods/none/exec?command=ls", {}),
        ("GET", "/api", {"authorization": "Bearer x"}),
    ],
)  # fmt: skip
async def test_answers_are_those_of_http1(server: Server, method: str, path: str, headers: dict[str, str]) -> None:
    status, shown, body = await asyncio.to_thread(_http1, server, method, path, headers)
    async with await _client(server) as client:
        answer = await client.ask(method, path, *headers.items())
    assert answer.status == status
    assert answer.body == body
    assert _told(dict(answer.headers)) == _told(shown)


def _lines(stream: Stream) -> list[Any]:
    return [json.loads(line) for line in bytes(stream.body).splitlines()]


async def test_hundreds_of_watches_and_the_writes_they_tell_of_share_a_connection(
    server: Server, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with await _client(server) as client:
        watches = [client.begin("GET", f"{path}?watch=1&labelSelector=n%3D{turn % 10}") for turn in range(200)]
        await client.until(lambda: all(client.streams[number].headers for number in watches))
        for turn in range(10):
            made = {"metadata": {"name": f"m{turn}", "labels": {"n": str(turn)}}, "data": {"x": "y" * 1000}}
            assert (await client.ask("POST", path, _JSON, body=json.dumps(made).encode())).status == 201
        await client.until(lambda: all(client.streams[number].body.endswith(b"\n") for number in watches))
        seen = [_lines(client.streams[number]) for number in watches]
        assert [[one["object"]["metadata"]["name"] for one in lines] for lines in seen] == [
            [f"m{turn % 10}"] for turn in range(200)
        ]
        for number in watches:
            client.h2.reset_stream(number, 8)
        client.send()
        assert (await client.ask("GET", path)).status == 200


async def test_a_watch_ends_when_its_time_is_over(server: Server, namespace: str) -> None:
    async with await _client(server) as client:
        watch = await client.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps?watch=1&timeoutSeconds=1")
        assert watch.ended and watch.reset is None


async def test_a_big_object_goes_both_ways(server: Server, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    big = {"metadata": {"name": "big"}, "data": {"x": "y" * 900_000}}
    async with await _client(server) as client:
        assert (await client.ask("POST", path, _JSON, body=json.dumps(big).encode())).status == 201
        found = await client.ask("GET", f"{path}/big")
        assert json.loads(found.body)["data"] == big["data"]
        too_big = {"metadata": {"name": "more"}, "data": {"x": "y" * 4_000_000}}
        assert (await client.ask("POST", path, _JSON, body=json.dumps(too_big).encode())).status == 413


@pytest.mark.parametrize("version", ["v37", "v28"])
def test_kubectl_chooses_http2(server: Server, version: str) -> None:
    kubectl = [str(binary(version, "kubectl")), "--kubeconfig", str(server.kubeconfig)]
    seen = run([*kubectl, "get", "--raw", "/livez"], env={"GODEBUG": "http2debug=1"})
    assert seen.stdout == "ok" and "http2: Transport received HEADERS" in seen.stderr
    plain = run(
        [*kubectl, "get", "--raw", "/livez"], env={"GODEBUG": "http2debug=1,http2client=0", "DISABLE_HTTP2": "1"}
    )
    assert plain.stdout == "ok" and "http2: Transport" not in plain.stderr
