"""Bodies and answers in protobuf: negotiation, objects, lists, watch frames, failures, metadata alone."""

from typing import Any

import orjson
import pytest
from tests.unit.server.conftest import Caller

from mizzen.machinery.protobuf import envelope
from mizzen.machinery.protobuf.reader import reader_of
from mizzen.server.binary import Kept
from mizzen.server.media import PROTOBUF
from mizzen.wire.message import Response

BOTH = f"{PROTOBUF},application/json"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gizmos.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "gizmos", "kind": "Gizmo"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
GIZMOS = "/apis/example.com/v1/namespaces/default/gizmos"


def config_map(name: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"a": "b"}}


def opened(response: Response) -> dict[str, Any]:
    """The object of a protobuf answer."""
    assert response.headers["content-type"] == PROTOBUF
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    return envelope.read(envelope.opened(body), "", "")


async def post(api: Caller, path: str, obj: dict[str, Any]) -> Response:
    return await api.raw("POST", path, envelope.write(obj), PROTOBUF, accept=BOTH)


async def test_an_object_sent_in_protobuf_is_stored_like_one_sent_in_json(api: Caller) -> None:
    sent = await post(api, CONFIG_MAPS, config_map("a"))
    assert sent.status == 201
    _, stored = await api.call("GET", f"{CONFIG_MAPS}/a")
    assert opened(sent) == stored
    assert stored["data"] == {"a": "b"}
    assert stored["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {".": {}, "f:a": {}}}


async def test_updates_and_delete_options_are_read(api: Caller) -> None:
    await post(api, CONFIG_MAPS, config_map("a"))
    _, stored = await api.call("GET", f"{CONFIG_MAPS}/a")
    changed = {**stored, "data": {"a": "c"}}
    updated = await api.raw("PUT", f"{CONFIG_MAPS}/a", envelope.write(changed), PROTOBUF, accept=PROTOBUF)
    assert (updated.status, opened(updated)["data"]) == (200, {"a": "c"})
    options = {"kind": "DeleteOptions", "apiVersion": "apps/v1", "preconditions": {"uid": "another"}}
    refused = await api.raw("DELETE", f"{CONFIG_MAPS}/a", envelope.write(options), PROTOBUF, accept=PROTOBUF)
    assert (refused.status, opened(refused)["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("accept", "type"),
    [
        (BOTH, PROTOBUF),
        (PROTOBUF, PROTOBUF),
        ("application/json,application/vnd.kubernetes.protobuf", "application/json"),
        ("application/json;q=0.5,application/vnd.kubernetes.protobuf;q=0.9", PROTOBUF),
        ("application/json;q=0.9,application/vnd.kubernetes.protobuf;q=0.5", "application/json"),
        (f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,application/json", "application/json"),
        ("*/*", "application/json"),
    ],
)
async def test_the_client_chooses_by_order_and_quality(api: Caller, accept: str, type: str) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a"))
    response = await api.raw("GET", f"{CONFIG_MAPS}/a", accept=accept)
    assert (response.status, response.headers["content-type"]) == (200, type)


@pytest.mark.parametrize(
    ("path", "kind"), [("/api", "APIVersions"), ("/apis", "APIGroupList"), ("/apis/apps/v1", "APIResourceList")]
)
async def test_discovery_comes_in_protobuf_when_nothing_else_will_do(api: Caller, path: str, kind: str) -> None:
    assert opened(await api.raw("GET", path, accept=PROTOBUF))["kind"] == kind
    assert (await api.raw("GET", path, accept=BOTH)).headers["content-type"] == "application/json"


async def test_a_failure_is_told_in_the_clients_format(api: Caller) -> None:
    missing = await api.raw("GET", f"{CONFIG_MAPS}/none", accept=BOTH)
    status = opened(missing)
    assert missing.status == 404
    assert status["details"] == {"name": "none", "kind": "configmaps"}
    assert (status["kind"], status["apiVersion"], status["reason"], status["code"]) == ("Status", "v1", "NotFound", 404)
    invalid = await post(api, CONFIG_MAPS, config_map("No Name"))
    assert (invalid.status, opened(invalid)["details"]["causes"][0]["field"]) == (422, "metadata.name")


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00", b"k8s\x00\x0a\xff", b"k8s\x00\x12\x02\x0a\x7f"])
async def test_a_body_that_is_no_protobuf_is_a_bad_request_or_invalid(api: Caller, body: bytes) -> None:
    response = await api.raw("POST", CONFIG_MAPS, body, PROTOBUF)
    assert response.status in (400, 422)


async def test_a_list_holds_the_objects_and_its_revision(api: Caller) -> None:
    for name in ("a", "b"):
        await api.call("POST", CONFIG_MAPS, config_map(name))
    _, plain = await api.call("GET", f"{CONFIG_MAPS}?limit=1")
    listed = opened(await api.raw("GET", f"{CONFIG_MAPS}?limit=1", accept=PROTOBUF))
    assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
    assert listed["metadata"] == plain["metadata"]
    assert listed["items"] == plain["items"]
    nothing = opened(await api.raw("GET", "/api/v1/namespaces/none/configmaps", accept=PROTOBUF))
    assert "items" not in nothing


async def frames(api: Caller, path: str, count: int, accept: str = PROTOBUF) -> list[tuple[str, dict[str, Any]]]:
    """The first events of a watch."""
    response = await api.raw("GET", path, accept=accept)
    assert response.headers["content-type"] == f"{PROTOBUF};stream=watch"
    assert response.stream is not None
    data, found = b"", []
    reader = reader_of("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent")
    async for chunk in response.stream:
        data += chunk
        while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:4], "big"):
            size = int.from_bytes(data[:4], "big")
            event, data = data[4 : 4 + size], data[4 + size :]
            found.append(event)
        if len(found) >= count:
            break
    await response.stream.aclose()  # type: ignore[attr-defined]
    return [_event(reader, event) for event in found]


def _event(reader: Any, event: bytes) -> tuple[str, dict[str, Any]]:
    inner = event[event.index(envelope.MAGIC) :]
    kind = event[2 : 2 + event[1]].decode()
    return kind, envelope.read(envelope.opened(inner), "", "")


async def test_a_watch_sends_frames_that_all_watchers_share(api: Caller) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("before"))
    _, listed = await api.call("GET", CONFIG_MAPS)
    since = listed["metadata"]["resourceVersion"]
    _, made = await api.call("POST", CONFIG_MAPS, config_map("a"))
    await api.call("DELETE", f"{CONFIG_MAPS}/a")
    path = f"{CONFIG_MAPS}?watch=1&resourceVersion={since}"
    found = await frames(api, path, 2)
    assert [kind for kind, _ in found] == ["ADDED", "DELETED"]
    assert found[0][1] == made
    assert await frames(api, path, 2) == found
    assert [event["type"] for event in await api.events(path, 2)] == ["ADDED", "DELETED"]


async def test_a_watch_of_the_current_state_ends_it_with_a_bookmark(api: Caller) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a"))
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    found = await frames(api, f"{CONFIG_MAPS}?{query}", 2)
    assert [kind for kind, _ in found] == ["ADDED", "BOOKMARK"]
    assert found[1][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    partial = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    reduced = await frames(api, f"{CONFIG_MAPS}?{query}", 2, partial)
    assert [obj["kind"] for _, obj in reduced] == ["PartialObjectMetadata", "PartialObjectMetadata"]


async def test_a_bookmark_is_metadata_alone_too_for_who_watches_that_in_json(api: Caller) -> None:
    await api.call("POST", CONFIG_MAPS, config_map("a"))
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    response = await api.raw("GET", f"{CONFIG_MAPS}?{query}", accept=accept)
    assert response.stream is not None
    events: list[Any] = []
    async for chunk in response.stream:
        events += [orjson.loads(line) for line in chunk.splitlines()]
        if len(events) == 2:
            break
    await response.stream.aclose()  # type: ignore[attr-defined]
    assert [event["object"]["kind"] for event in events] == ["PartialObjectMetadata", "PartialObjectMetadata"]


async def test_metadata_alone_comes_in_protobuf_for_custom_resources_too(api: Caller) -> None:
    await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    gizmo = {"apiVersion": "example.com/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"a": 1}}
    status, made = await api.call("POST", GIZMOS, gizmo)
    assert status == 201, made
    accept = f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    listed = opened(await api.raw("GET", GIZMOS, accept=accept))
    assert listed["kind"] == "PartialObjectMetadataList"
    assert [one["metadata"]["name"] for one in listed["items"]] == ["g"]


async def test_custom_resources_are_json_alone(api: Caller) -> None:
    await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    body = envelope.wrapped("example.com/v1", "Gizmo", b"")
    refused = await api.raw("POST", GIZMOS, body, PROTOBUF)
    assert refused.status == 415
    assert (await api.raw("GET", GIZMOS, accept=PROTOBUF)).status == 406
    fallen_back = await api.raw("GET", GIZMOS, accept=BOTH)
    assert (fallen_back.status, fallen_back.headers["content-type"]) == (200, "application/json")


async def test_a_scale_is_read_and_answered_in_protobuf(api: Caller) -> None:
    controller = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "rc"},
        "spec": {
            "replicas": 2,
            "selector": {"a": "b"},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    }
    path = "/api/v1/namespaces/default/replicationcontrollers"
    assert (await post(api, path, controller)).status == 201
    scale = opened(await api.raw("GET", f"{path}/rc/scale", accept=PROTOBUF))
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 2})
    scale["spec"] = {"replicas": 0}
    assert (await api.raw("PUT", f"{path}/rc/scale", envelope.write(scale), PROTOBUF)).status == 200
    _, stored = await api.call("GET", f"{path}/rc")
    assert stored["spec"]["replicas"] == 0


def test_kept_messages_stay_below_the_limit_and_the_oldest_go_first() -> None:
    kept = Kept(limit=40)
    made: list[bytes] = []

    def message(tail: bytes) -> bytes:
        def make() -> bytes:
            made.append(tail)
            return b"m" * 20

        return kept.get(("v1", "Pod", tail), make)

    first, second, third = (name * 20 for name in (b"a", b"b", b"c"))
    for tail in (first, second, second, third, third, first):
        assert message(tail) == b"m" * 20
    assert made == [first, second, third, first]
