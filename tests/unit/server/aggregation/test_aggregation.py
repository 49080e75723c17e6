"""An extension server on loopback, behind an APIService: proxied, probed, and part of every document."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.certificates import new_key, pem, signed, written
from tests.unit.server.conftest import Caller

from mizzen.base.clock import VirtualClock
from mizzen.cluster.pki import Pki
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.net.server import Listener
from mizzen.net.tls import server_context
from mizzen.server.aggregation.aggregator import Aggregator
from mizzen.server.aggregation.remote import FrontProxy
from mizzen.server.config import Config
from mizzen.server.endpoints import Unresolved
from mizzen.server.seams import Reader, Writer
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request, Response

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
BASE = "/apis/wind.test/v1"
LISTED = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "wind.test/v1",
    "resources": [
        {"name": "gusts", "singularName": "gust", "namespaced": True, "kind": "Gust", "verbs": ["get", "list"]},
        {"name": "gusts/force", "singularName": "", "namespaced": True, "kind": "Force", "verbs": ["get"]},
    ],
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
VERSION_TWO = {
    "swagger": "2.0",
    "paths": {
        f"{BASE}/gusts": {"get": {"responses": {"200": {"schema": {"$ref": "#/definitions/test.wind.v1.Gust"}}}}},
        "/apis/calm.test/v1/lulls": {"get": {}},
    },
    "definitions": {
        "test.wind.v1.Gust": {"properties": {"metadata": {"$ref": f"#/definitions/{META}"}}},
        META: {"type": "object"},
        "test.calm.v1.Lull": {},
    },
}


@dataclass
class Extension:
    """The other server; `seen` is what it was asked."""

    ca: str
    port: int = 0
    healthy: bool = True
    seen: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        self.seen.append(request)
        if not self.healthy:
            return Response(500, {}, b"out of order")
        documents = {BASE: LISTED, f"/openapi/v3{BASE}": {"openapi": "3.0.0", "paths": {f"{BASE}/gusts": {}}}}
        documents["/openapi/v2"] = VERSION_TWO
        answered = documents.get(request.path, {"path": request.path, "query": dict(request.query)})
        return Response(200, {"content-type": "application/json"}, orjson.dumps(answered))

    def resolve(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        if (namespace, name, port) != ("default", "wind", 443):
            raise Unresolved("ServiceNotFound", f'service "{name}" not found')
        return "127.0.0.1", self.port

    def service(self, name: str = "wind", **spec: Any) -> dict[str, Any]:
        target = {"namespace": "default", "name": name}
        given = {"group": "wind.test", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 10}
        return {"metadata": {"name": "v1.wind.test"}, "spec": {**given, "service": target, "caBundle": self.ca, **spec}}


@dataclass
class Aggregated:
    caller: Caller
    extension: Extension
    aggregator: Aggregator

    async def settled(self, status: str) -> dict[str, Any]:
        """The condition Available once it has this status; a second passes between probes."""
        async with asyncio.timeout(10):
            while True:
                _, found = await self.caller.call("GET", f"{SERVICES}/v1.wind.test")
                conditions = found.get("status", {}).get("conditions") or [{}]
                if conditions[0].get("status") == status:
                    condition: dict[str, Any] = conditions[0]
                    return condition
                await self.caller.clock.advance(1)
                await asyncio.sleep(0)


@pytest.fixture
async def aggregated(tmp_path: Path) -> AsyncIterator[Aggregated]:
    pki = Pki(tmp_path, time.time())
    pair, shown = pki.serving(("wind.default.svc",)), pki.front_proxy_client()
    extension = Extension(base64.b64encode(pki.ca().certificate.read_bytes()).decode())
    listener = Listener(extension.answer)
    tls = server_context(pair.certificate, pair.key, pki.front_proxy_ca().certificate)
    extension.port = await listener.listen("127.0.0.1", 0, tls)
    clock, store, made = VirtualClock(), MemoryStore(), []

    def compose(reader: Reader, writer: Writer) -> Config:
        front = FrontProxy(shown.certificate, shown.key)
        made.append(Aggregator(reader, writer, clock, extension.resolve, lambda: front))
        return Config(remotes=made[0])

    server = Server(store, clock, compose)
    await server.start()
    running = asyncio.create_task(made[0].run())
    yield Aggregated(Caller(server, clock), extension, made[0])
    running.cancel()
    for remote in made[0].versions.values():
        await remote.close()
    await listener.close()
    await server.close()
    await store.close()


async def test_an_extension_is_trusted_by_who_has_signed_where_names_do_not_tell(
    aggregated: Aggregated, tmp_path: Path
) -> None:
    extension, authority, key = aggregated.extension, new_key(), new_key()
    tls = server_context(*written(tmp_path, key, signed("wind.default.svc", authority, key)))
    listener = Listener(extension.answer)
    extension.port = await listener.listen("127.0.0.1", 0, tls)
    bundle = base64.b64encode(pem(signed("", authority, authority))).decode()
    await aggregated.caller.call("POST", SERVICES, extension.service(caBundle=bundle))
    assert (await aggregated.settled("True"))["reason"] == "Passed"
    assert (await aggregated.caller.call("GET", f"{BASE}/gusts"))[0] == 200
    await listener.close()


async def test_an_extension_that_another_has_signed_is_not_trusted(aggregated: Aggregated, tmp_path: Path) -> None:
    extension, authority, key = aggregated.extension, new_key(), new_key()
    tls = server_context(*written(tmp_path, key, signed("wind.default.svc", key, key)))
    listener = Listener(extension.answer)
    extension.port = await listener.listen("127.0.0.1", 0, tls)
    bundle = base64.b64encode(pem(signed("", authority, authority))).decode()
    await aggregated.caller.call("POST", SERVICES, extension.service(caBundle=bundle))
    assert (await aggregated.settled("False"))["reason"] == "FailedDiscoveryCheck"
    await listener.close()


async def test_requests_reach_the_extension_in_the_users_name(aggregated: Aggregated) -> None:
    await aggregated.caller.call("POST", SERVICES, aggregated.extension.service())
    assert (await aggregated.settled("True"))["reason"] == "Passed"
    asked = Request(
        "GET",
        f"{BASE}/namespaces/default/gusts",
        [("limit", "2")],
        {"authorization": "Bearer secret", "x-remote-user": "forged", "accept": "application/json"},
        user=Identity("ann", "7", (MASTERS, "dev"), {"Scopes": ("a", "b")}),
    )
    response = await aggregated.caller.server.handle(asked)
    answered = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    assert orjson.loads(answered) == {"path": f"{BASE}/namespaces/default/gusts", "query": {"limit": "2"}}
    seen = aggregated.extension.seen[-1]
    assert seen.peer_certificate is not None
    assert "authorization" not in seen.headers
    assert {name: value for name, value in seen.headers.items() if name.startswith("x-remote-")} == {
        "x-remote-user": "ann",
        "x-remote-uid": "7",
        "x-remote-group": f"{MASTERS},dev",
        "x-remote-extra-scopes": "a,b",
    }


async def test_its_resources_are_part_of_discovery_and_openapi(aggregated: Aggregated) -> None:
    caller = aggregated.caller
    await caller.call("POST", SERVICES, aggregated.extension.service())
    await aggregated.settled("True")
    _, groups = await caller.call("GET", "/apis")
    assert groups["groups"][-1]["preferredVersion"] == {"groupVersion": "wind.test/v1", "version": "v1"}
    assert (await caller.call("GET", BASE))[1] == LISTED
    assert (await caller.call("GET", "/apis/wind.test"))[1]["name"] == "wind.test"
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    _, document = await caller.call("GET", "/apis", accept=accept)
    shown = document["items"][-1]["versions"][0]
    assert shown["freshness"] == "Current"
    assert shown["resources"][0]["subresources"][0]["subresource"] == "force"
    _, index = await caller.call("GET", "/openapi/v3")
    assert index["paths"]["apis/wind.test/v1"]["serverRelativeURL"].startswith(f"/openapi/v3{BASE}?hash=")
    assert f"{BASE}/gusts" in (await caller.call("GET", f"/openapi/v3{BASE}"))[1]["paths"]


async def test_its_openapi_v2_is_merged_and_its_own_notion_of_a_definition_renamed(aggregated: Aggregated) -> None:
    caller = aggregated.caller
    _, alone = await caller.call("GET", "/openapi/v2")
    await caller.call("POST", SERVICES, aggregated.extension.service())
    await aggregated.settled("True")
    _, merged = await caller.call("GET", "/openapi/v2")
    assert merged["paths"].keys() - alone["paths"].keys() == {f"{BASE}/gusts"}
    assert merged["definitions"].keys() - alone["definitions"].keys() == {"test.wind.v1.Gust", f"{META}_v2"}
    assert merged["definitions"]["test.wind.v1.Gust"]["properties"]["metadata"]["$ref"] == f"#/definitions/{META}_v2"
    assert merged["definitions"][META] == alone["definitions"][META]
    protobuf = await caller.server.handle(
        Request("GET", "/openapi/v2", (), {"accept": "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"})
    )
    assert protobuf.status == 200


async def test_an_extension_that_fails_is_unavailable_until_it_recovers(aggregated: Aggregated) -> None:
    aggregated.extension.healthy = False
    await aggregated.caller.call("POST", SERVICES, aggregated.extension.service())
    assert (await aggregated.settled("False"))["reason"] == "FailedDiscoveryCheck"
    assert (await aggregated.caller.call("GET", f"{BASE}/namespaces/default/gusts"))[0] == 503
    aggregated.extension.healthy = True
    await aggregated.settled("True")
    assert (await aggregated.caller.call("GET", f"{BASE}/namespaces/default/gusts"))[0] == 200


async def test_a_certificate_that_the_bundle_does_not_sign_is_refused_unless_told_otherwise(
    aggregated: Aggregated, tmp_path: Path
) -> None:
    other = base64.b64encode(Pki(tmp_path / "other", time.time()).ca().certificate.read_bytes()).decode()
    await aggregated.caller.call("POST", SERVICES, aggregated.extension.service(caBundle=other))
    assert (await aggregated.settled("False"))["reason"] == "FailedDiscoveryCheck"
    change = {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}}
    path = f"{SERVICES}/v1.wind.test"
    assert (await aggregated.caller.call("PATCH", path, change, "application/merge-patch+json"))[0] == 200
    await aggregated.settled("True")


async def test_a_missing_service_is_named_and_a_deleted_apiservice_ends_the_group(aggregated: Aggregated) -> None:
    await aggregated.caller.call("POST", SERVICES, aggregated.extension.service("calm"))
    assert (await aggregated.settled("False"))["reason"] == "ServiceNotFound"
    await aggregated.caller.call("DELETE", f"{SERVICES}/v1.wind.test")
    assert (await aggregated.caller.call("GET", BASE))[0] == 404


async def test_the_versions_of_custom_resources_have_local_apiservices(aggregated: Aggregated) -> None:
    schema = {"openAPIV3Schema": {"type": "object"}}
    definition = {
        "metadata": {"name": "kites.ex.test"},
        "spec": {
            "group": "ex.test",
            "names": {"plural": "kites", "kind": "Kite"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await aggregated.caller.call("POST", definitions, definition)
    await _until(aggregated, "v1.ex.test", 200)
    _, made = await aggregated.caller.call("GET", f"{SERVICES}/v1.ex.test")
    assert made["status"]["conditions"][0]["reason"] == "Local"
    await aggregated.caller.call("DELETE", f"{definitions}/kites.ex.test")
    await _until(aggregated, "v1.ex.test", 404)


async def _until(aggregated: Aggregated, name: str, status: int) -> None:
    for _ in range(5_000):
        if (await aggregated.caller.call("GET", f"{SERVICES}/{name}"))[0] == status:
            return
        await asyncio.sleep(0)
    pytest.fail(f"APIService {name} never answered {status}")


async def test_an_extension_may_take_over_a_version_that_was_served_here(aggregated: Aggregated) -> None:
    caller = aggregated.caller
    local = aggregated.extension.service()
    del local["spec"]["service"], local["spec"]["caBundle"]
    _, made = await caller.call("POST", SERVICES, local)
    assert made["status"]["conditions"][0]["reason"] == "Local"
    taken = {**made, "spec": aggregated.extension.service()["spec"]}
    status, _ = await caller.call("PUT", f"{SERVICES}/v1.wind.test", taken)
    assert status == 200
    async with asyncio.timeout(10):
        while (await aggregated.settled("True"))["reason"] != "Passed":
            await caller.clock.advance(1)
    assert (await caller.call("GET", f"{BASE}/gusts"))[1] == {"path": f"{BASE}/gusts", "query": {}}
