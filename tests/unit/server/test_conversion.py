"""Custom resources whose versions a webhook converts: reads, lists, watches and writes in any served version."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.server.conftest import Caller as Api

from mizzen.base.clock import VirtualClock
from mizzen.server.admission.webhooks.call import Unreachable
from mizzen.server.config import Config
from mizzen.server.seams import Reader, Writer
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OLD, NEW = (f"/apis/ex.test/{version}/namespaces/default/kites" for version in ("v1", "v2"))


@dataclass
class Webhook:
    """v1 has spec.size in centimetres, v2 spec.metres; `spoil` changes an answer before it is sent."""

    asked: list[int] = field(default_factory=list)
    spoil: Any = None

    async def post(self, config: dict[str, Any], review: dict[str, Any], seconds: float) -> dict[str, Any]:
        request = review["request"]
        self.asked.append(len(request["objects"]))
        converted = [_converted(obj, request["desiredAPIVersion"]) for obj in request["objects"]]
        response = {"uid": request["uid"], "convertedObjects": converted, "result": {"status": "Success"}}
        answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        if self.spoil is not None:
            self.spoil(answer)
        return answer


def _converted(obj: dict[str, Any], version: str) -> dict[str, Any]:
    spec = dict(obj["spec"])
    if version.endswith("v2") and "size" in spec:
        spec["metres"] = spec.pop("size") / 100
    elif version.endswith("v1") and "metres" in spec:
        spec["size"] = int(spec.pop("metres") * 100)
    return {**obj, "apiVersion": version, "spec": spec}


def definition(storage: str = "v1") -> dict[str, Any]:
    def version(name: str, field: str, type: str) -> dict[str, Any]:
        spec = {"type": "object", "properties": {field: {"type": type}}}
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return {"name": name, "served": True, "storage": name == storage, "schema": schema}

    client = {"url": "https://127.0.0.1:9/convert", "caBundle": ""}
    return {
        "metadata": {"name": "kites.ex.test"},
        "spec": {
            "group": "ex.test",
            "names": {"plural": "kites", "kind": "Kite"},
            "scope": "Namespaced",
            "versions": [version("v1", "size", "integer"), version("v2", "metres", "number")],
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
            },
        },
    }


def kite(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
async def api(webhook: Webhook) -> AsyncIterator[Api]:
    clock, store = VirtualClock(), MemoryStore()

    def compose(reader: Reader, writer: Writer) -> Config:
        return Config(webhooks=webhook)

    server = Server(store, clock, compose)
    await server.start()
    caller = Api(server, clock)
    status, made = await caller.call("POST", DEFINITIONS, definition())
    assert status == 201, made
    yield caller
    await server.close()
    await store.close()


async def test_an_object_is_read_in_every_version_and_a_list_is_one_review(api: Api, webhook: Webhook) -> None:
    for name in ("a", "b", "c"):
        await api.call("POST", OLD, kite(name, size=150))
    assert webhook.asked == []
    _, read = await api.call("GET", f"{NEW}/a")
    assert (read["apiVersion"], read["spec"]) == ("ex.test/v2", {"metres": 1.5})
    _, listed = await api.call("GET", NEW)
    assert [one["spec"] for one in listed["items"]] == [{"metres": 1.5}] * 3
    assert webhook.asked == [1, 2]


async def test_a_write_in_another_version_is_stored_converted(api: Api, webhook: Webhook) -> None:
    status, made = await api.call("POST", NEW, kite("k", metres=2.0))
    assert (status, made["apiVersion"], made["spec"]) == (201, "ex.test/v2", {"metres": 2.0})
    assert (await api.call("GET", f"{OLD}/k"))[1]["spec"] == {"size": 200}
    patch = {"spec": {"metres": 3.0}}
    _, patched = await api.call("PATCH", f"{NEW}/k", patch, "application/merge-patch+json")
    assert patched["spec"] == {"metres": 3.0}
    _, stored = await api.call("GET", f"{OLD}/k")
    assert stored["spec"] == {"size": 300}
    assert stored["metadata"]["uid"] == made["metadata"]["uid"]
    status, _ = await api.call("PUT", f"{NEW}/k", {**patched, "spec": {"metres": 4.0}})
    assert (status, (await api.call("GET", f"{OLD}/k"))[1]["spec"]) == (200, {"size": 400})


async def test_a_watch_shows_its_own_version(api: Api) -> None:
    await api.call("POST", OLD, kite("k", size=100))
    _, listed = await api.call("GET", NEW)
    after = listed["metadata"]["resourceVersion"]
    await api.call("PATCH", f"{OLD}/k", {"spec": {"size": 200}}, "application/merge-patch+json")
    await api.call("DELETE", f"{OLD}/k")
    events = await api.events(f"{NEW}?watch=1&resourceVersion={after}", 2)
    assert [(one["type"], one["object"]["apiVersion"], one["object"]["spec"]) for one in events] == [
        ("MODIFIED", "ex.test/v2", {"metres": 2.0}),
        ("DELETED", "ex.test/v2", {"metres": 2.0}),
    ]


async def test_a_new_storage_version_is_recorded_and_old_objects_stay_readable(api: Api) -> None:
    await api.call("POST", OLD, kite("k", size=100))
    _, found = await api.call("GET", f"{DEFINITIONS}/kites.ex.test")
    change = {**found, "spec": definition("v2")["spec"]}
    assert (await api.call("PUT", f"{DEFINITIONS}/kites.ex.test", change))[0] == 200
    assert (await api.call("GET", f"{NEW}/k"))[1]["spec"] == {"metres": 1.0}
    assert (await api.call("GET", f"{OLD}/k"))[1]["spec"] == {"size": 100}
    await api.call("POST", NEW, kite("n", metres=5.0))
    assert (await api.call("GET", f"{OLD}/n"))[1]["spec"] == {"size": 500}
    _, found = await api.call("GET", f"{DEFINITIONS}/kites.ex.test")
    assert found["status"]["storedVersions"] == ["v1", "v2"]


def _rename(answer: dict[str, Any]) -> None:
    answer["response"]["convertedObjects"][0]["metadata"] = {"name": "other"}


def _fail(answer: dict[str, Any]) -> None:
    answer["response"]["result"] = {"status": "Failure", "message": "no wind"}


def _lose(answer: dict[str, Any]) -> None:
    answer["response"]["convertedObjects"] = []


def _unreachable(answer: dict[str, Any]) -> None:
    raise Unreachable("failed to call webhook: nobody listens")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_rename, "must have the same name: k != other"),
        (_fail, "no wind"),
        (_lose, "webhook returned 0 objects, expected 1"),
        (_unreachable, "nobody listens"),
    ],
)
async def test_what_a_webhook_does_wrong_is_told(api: Api, webhook: Webhook, spoil: Any, why: str) -> None:
    await api.call("POST", OLD, kite("k", size=100))
    webhook.spoil = spoil
    status, error = await api.call("GET", f"{NEW}/k")
    assert status == 500
    assert "conversion webhook for ex.test/v1, Kind=Kite failed" in error["message"]
    assert why in error["message"]


async def test_a_webhook_changes_labels_but_no_other_metadata(api: Api, webhook: Webhook) -> None:
    def spoil(answer: dict[str, Any]) -> None:
        meta = answer["response"]["convertedObjects"][0]["metadata"]
        answer["response"]["convertedObjects"][0]["metadata"] = {
            **meta,
            "labels": {"by": "webhook"},
            "finalizers": ["ex.test/x"],
        }

    await api.call("POST", OLD, kite("k", size=100))
    webhook.spoil = spoil
    _, read = await api.call("GET", f"{NEW}/k")
    assert read["metadata"]["labels"] == {"by": "webhook"}
    assert "finalizers" not in read["metadata"]


async def test_a_client_may_say_how_long_it_waits_for_an_answer(api: Api, webhook: Webhook) -> None:
    await api.call("POST", OLD, kite("k", size=150))

    async def never(*_: object) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    webhook.post = never  # type: ignore[method-assign]
    status, answer = await api.call("GET", f"{NEW}/k?timeout=5ms")
    assert (status, answer["reason"]) == (504, "Timeout")
    assert "request did not complete within requested timeout" in answer["message"]


async def test_instances_go_with_their_definition_though_no_webhook_answers(api: Api, webhook: Webhook) -> None:
    await api.call("POST", OLD, kite("k", size=150))
    made = definition(storage="v1")
    made["spec"]["versions"] = made["spec"]["versions"][::-1]
    path, media = f"{DEFINITIONS}/{made['metadata']['name']}", "application/merge-patch+json"
    assert (await api.call("PATCH", path, {"spec": {"versions": made["spec"]["versions"]}}, media))[0] == 200
    webhook.spoil = _unreachable
    await api.call("DELETE", path)
    assert await _is_gone(api, path)


async def test_instances_go_with_a_definition_that_serves_no_version(api: Api) -> None:
    await api.call("POST", OLD, kite("k", size=150))
    made = definition()
    versions = [{**version, "served": False} for version in made["spec"]["versions"]]
    path, media = f"{DEFINITIONS}/{made['metadata']['name']}", "application/merge-patch+json"
    assert (await api.call("PATCH", path, {"spec": {"versions": versions}}, media))[0] == 200
    await api.call("DELETE", path)
    assert await _is_gone(api, path)
    assert api.server.cacher.cache("ex.test/kites").entries == {}


async def _is_gone(api: Api, path: str) -> bool:
    for _ in range(20):
        for _ in range(50):
            await asyncio.sleep(0)
        if (await api.call("GET", path))[0] == 404:
            return True
        await api.clock.advance(1.0)
    return False
