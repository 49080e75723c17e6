"""Lists, pages, watches and tables, as a client sees them."""

import asyncio
import gzip
from typing import Any

import orjson
from tests.unit.server.conftest import Caller

from mizzen.server import recent
from mizzen.wire.message import Response

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def create(api: Caller, *names: str, **labels: str) -> str:
    """Create config maps; answers the last one's resourceVersion."""
    for name in names:
        _, made = await api.call("POST", MAPS, {"metadata": {"name": name, "labels": labels}, "data": {"k": "1"}})
    return str(made["metadata"]["resourceVersion"])


def names_of(listed: Any) -> list[str]:
    return [one["metadata"]["name"] for one in listed["items"]]


async def test_pages_show_one_revision_whatever_is_written_between_them(api: Caller) -> None:
    await create(api, "a", "b", "c", "d")
    _, first = await api.call("GET", f"{MAPS}?limit=2")
    assert (names_of(first), first["metadata"]["remainingItemCount"]) == (["a", "b"], 2)
    await api.call("DELETE", f"{MAPS}/d")
    await create(api, "bb")
    _, second = await api.call("GET", f"{MAPS}?limit=2&continue={first['metadata']['continue']}")
    assert (names_of(second), second["metadata"].get("continue")) == (["c", "d"], None)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_an_expired_token_offers_one_that_goes_on_from_now(api: Caller) -> None:
    await create(api, "a", "b", "c")
    _, first = await api.call("GET", f"{MAPS}?limit=1")
    await api.call("DELETE", f"{MAPS}/c")
    cache = api.server.cacher.cache("configmaps")
    cache.floor = cache.changed
    cache._snapshots.clear()
    status, answer = await api.call("GET", f"{MAPS}?limit=5&continue={first['metadata']['continue']}")
    assert (status, answer["reason"]) == (410, "Expired")
    _, rest = await api.call("GET", f"{MAPS}?limit=5&continue={answer['metadata']['continue']}")
    assert names_of(rest) == ["b"]


async def test_the_pages_of_a_list_stay_consistent_for_minutes_only(api: Caller) -> None:
    await create(api, "a", "b", "c", "d")
    _, first = await api.call("GET", f"{MAPS}?limit=1")
    await api.clock.advance(200)
    _, second = await api.call("GET", f"{MAPS}?limit=1&continue={first['metadata']['continue']}")
    await api.clock.advance(101)
    status, answer = await api.call("GET", f"{MAPS}?limit=1&continue={second['metadata']['continue']}")
    assert (status, answer["reason"]) == (410, "Expired")
    await create(api, "e")
    _, third = await api.call("GET", f"{MAPS}?limit=1&continue={answer['metadata']['continue']}")
    assert names_of(third) == ["c"]
    assert third["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]


async def test_an_exact_list_shows_the_past(api: Caller) -> None:
    revision = await create(api, "a", "b")
    await api.call("DELETE", f"{MAPS}/a")
    _, past = await api.call("GET", f"{MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact")
    assert names_of(past) == ["a", "b"]


async def test_a_list_from_the_future_times_out(api: Caller) -> None:
    status, answer = await api.call("GET", f"{MAPS}?resourceVersion=999999")
    assert (status, answer["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")


async def test_selectors_choose_by_labels_and_fields(api: Caller) -> None:
    await create(api, "a", "b", colour="red")
    await create(api, "c", colour="blue")
    _, red = await api.call("GET", f"{MAPS}?labelSelector=colour=red&fieldSelector=metadata.name!=a")
    assert names_of(red) == ["b"]
    status, answer = await api.call("GET", f"{MAPS}?fieldSelector=data.k=1")
    assert (status, "not a known field selector" in answer["message"]) == (400, True)


async def test_a_watch_begins_with_what_there_is(api: Caller) -> None:
    await create(api, "a", "b")
    events = await api.events(f"{MAPS}?watch=1", 2)
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("ADDED", "a"), ("ADDED", "b")]
    assert events[0]["object"]["kind"] == "ConfigMap"


async def test_a_streamed_list_ends_with_a_marked_bookmark(api: Caller) -> None:
    revision = await create(api, "a")
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    events = await api.events(f"{MAPS}?{query}", 2)
    assert [one["type"] for one in events] == ["ADDED", "BOOKMARK"]
    meta = events[1]["object"]["metadata"]
    assert (meta["annotations"], meta["resourceVersion"]) == ({"k8s.io/initial-events-end": "true"}, revision)


async def test_a_streamed_list_is_no_table(api: Caller) -> None:
    await create(api, "a")
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    assert (await api.raw("GET", f"{MAPS}?{query}", accept=TABLE)).status == 406
    response = await api.raw("GET", f"{MAPS}?{query}", accept=f"{TABLE},application/json")
    assert response.stream is not None
    first = orjson.loads(await anext(response.stream))
    assert first["object"]["kind"] == "ConfigMap"
    await response.stream.aclose()  # type: ignore[attr-defined]
    table = await api.raw("GET", f"{MAPS}?watch=1", accept=TABLE)
    assert table.stream is not None
    assert orjson.loads(await anext(table.stream))["object"]["kind"] == "Table"
    await table.stream.aclose()  # type: ignore[attr-defined]


async def test_a_watch_from_a_revision_sees_only_what_follows(api: Caller) -> None:
    revision = await create(api, "a")
    await create(api, "b")
    await api.call("DELETE", f"{MAPS}/a")
    events = await api.events(f"{MAPS}?watch=1&resourceVersion={revision}", 2)
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("ADDED", "b"), ("DELETED", "a")]


async def test_a_watch_hears_of_writes_to_come(api: Caller) -> None:
    revision = await create(api, "a")
    watching = asyncio.ensure_future(api.events(f"{MAPS}?watch=1&resourceVersion={revision}", 1))
    await asyncio.sleep(0)
    await create(api, "later")
    (event,) = await watching
    assert event["object"]["metadata"]["name"] == "later"


async def test_objects_enter_and_leave_a_selection(api: Caller) -> None:
    revision = await create(api, "a", on="1")
    await api.call("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"on": "0"}}}, "application/merge-patch+json")
    await api.call("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"on": "1"}}}, "application/merge-patch+json")
    events = await api.events(f"{MAPS}?watch=1&resourceVersion={revision}&labelSelector=on=1", 2)
    assert [one["type"] for one in events] == ["DELETED", "ADDED"]
    assert events[0]["object"]["metadata"]["labels"] == {"on": "1"}
    assert int(events[0]["object"]["metadata"]["resourceVersion"]) > int(revision)


async def test_a_watch_from_forgotten_history_is_told_so(api: Caller) -> None:
    await create(api, "a")
    cache = api.server.cacher.cache("configmaps")
    cache.floor = 10
    (event,) = await api.events(f"{MAPS}?watch=1&resourceVersion=1", 1)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_watch_ends_when_its_time_is_up(api: Caller) -> None:
    response = await api.raw("GET", f"{MAPS}?watch=1&timeoutSeconds=5&resourceVersion=1&allowWatchBookmarks=1")
    assert response.stream is not None
    reading = asyncio.ensure_future(anext(response.stream, None))  # type: ignore[arg-type]
    for _ in range(5):
        await asyncio.sleep(0)
    await api.clock.advance(5)
    last = await reading
    assert last is not None
    assert orjson.loads(last)["type"] == "BOOKMARK"
    await api.clock.advance(5)
    assert await anext(response.stream, None) is None  # type: ignore[call-overload]


async def test_a_quiet_watch_gets_bookmarks(api: Caller) -> None:
    revision = await create(api, "a")
    response = await api.raw("GET", f"{MAPS}?watch=1&resourceVersion={revision}&allowWatchBookmarks=true")
    assert response.stream is not None
    reading = asyncio.ensure_future(anext(response.stream))  # type: ignore[arg-type]
    for _ in range(5):
        await asyncio.sleep(0)
    await api.clock.advance(60)
    assert orjson.loads(await reading)["type"] == "BOOKMARK"
    await response.stream.aclose()  # type: ignore[attr-defined]


async def test_a_list_as_a_table_has_columns_rows_and_metadata(api: Caller) -> None:
    await create(api, "a")
    _, table = await api.call("GET", MAPS, accept=TABLE)
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:2] == ["a", 1]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    _, bare = await api.call("GET", f"{MAPS}?includeObject=None", accept=TABLE)
    assert bare["rows"][0]["object"] is None


async def test_flow_schemas_are_shown_in_the_order_in_which_they_match(api: Caller) -> None:
    schemas = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"
    for name, precedence in (("a", 9), ("b", 8), ("c", 8)):
        spec = {"matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": "p"}}
        assert (await api.call("POST", schemas, {"metadata": {"name": name}, "spec": spec}))[0] == 201
    _, table = await api.call("GET", schemas, accept=TABLE)
    assert [row["cells"][0] for row in table["rows"] if row["cells"][0] in "abc"] == ["b", "c", "a"]


async def test_an_empty_metadata_list_has_null_items(api: Caller) -> None:
    _, listed = await api.call("GET", MAPS, accept=PARTIAL)
    assert (listed["kind"], listed["items"]) == ("PartialObjectMetadataList", None)


async def test_yaml_is_spoken_both_ways(api: Caller) -> None:
    status, _ = await api.call("POST", MAPS, b"metadata: {name: yam}\ndata: {k: 'on'}\n", "application/yaml")
    assert status == 201
    response = await api.raw("GET", f"{MAPS}/yam", accept="application/yaml")
    assert response.headers["content-type"] == "application/yaml"
    assert isinstance(response.body, bytes)
    assert b"k: 'on'" in response.body


async def test_unknown_formats_are_refused(api: Caller) -> None:
    assert (await api.call("GET", MAPS, accept="image/png"))[0] == 406
    assert (await api.call("POST", MAPS, b"x", "text/plain"))[0] == 415
    assert (await api.call("POST", MAPS, b"x" * (3 << 20) + b"y"))[0] == 413


async def test_events_are_the_same_objects_in_both_groups(api: Caller) -> None:
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "Started",
        "message": "hello",
        "type": "Normal",
    }
    assert (await api.call("POST", "/api/v1/namespaces/default/events", body))[0] == 201
    _, other = await api.call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert (other["apiVersion"], other["note"], other["regarding"]["name"]) == ("events.k8s.io/v1", "hello", "p")


async def test_long_lists_in_another_form_show_every_object_as_it_is_shown_alone(api: Caller) -> None:
    count = recent.AT_ONCE + 10
    await create(api, *(f"map-{number:04d}" for number in range(count)), app="x")
    for accept, field in ((TABLE, "rows"), (PARTIAL, "items")):
        _, listed = await api.call("GET", MAPS, accept=accept)
        pages = [await api.call("GET", f"{MAPS}?limit=20&resourceVersion=0&labelSelector=app", accept=accept)]
        _, one = await api.call("GET", f"{MAPS}/map-0007", accept=accept.replace("MetadataList", "Metadata"))
        assert len(listed[field]) == count
        assert listed[field] == pages[0][1][field]
        assert listed[field][7] == (one if field == "items" else one["rows"][0])


async def _read(response: Response) -> bytes:
    assert response.stream is not None
    return b"".join([piece async for piece in response.stream])


async def test_a_long_list_comes_in_pieces_that_are_made_as_it_is_read(api: Caller) -> None:
    big = {"k": "x" * 9_000}
    for number in range(1_050):
        await api.call("POST", MAPS, {"metadata": {"name": f"m{number:04}"}, "data": big})
    plain = await _read(await api.raw("GET", MAPS))
    listed = orjson.loads(plain)
    assert names_of(listed) == [f"m{number:04}" for number in range(1_050)]
    _, first = await api.call("GET", f"{MAPS}?limit=1")
    assert {**listed, "items": listed["items"][:1]}.keys() == first.keys()
    assert listed["items"][0] == first["items"][0]
    zipped = await api.raw("GET", MAPS, accept_encoding="gzip")
    assert (zipped.headers["content-encoding"], gzip.decompress(await _read(zipped))) == ("gzip", plain)
    begun = await api.raw("GET", MAPS)
    assert begun.stream is not None
    some = await anext(begun.stream)
    await api.call("DELETE", f"{MAPS}/m1049")
    assert some + await _read(begun) == plain
    _, pretty = await api.call("GET", f"{MAPS}?pretty=true")
    assert len(pretty["items"]) == 1_049
