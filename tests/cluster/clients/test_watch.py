"""Watches over TLS as clients depend on them: resuming, bookmarks, streaming lists, selectors, expiry."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster.clients.harness import Server

CONFIGS = "/api/v1/namespaces/{}/configmaps"


class Watch:
    """An open watch; every call answers its next event."""

    def __init__(self, connection: http.client.HTTPSConnection, path: str) -> None:
        connection.request("GET", path)
        self.response = connection.getresponse()

    def __call__(self) -> tuple[str, dict[str, Any]]:
        line = self.response.readline()
        assert line, "the watch ended"
        event = json.loads(line)
        return event["type"], event["object"]

    def named(self) -> tuple[str, str]:
        """The next event's type and name."""
        kind, obj = self()
        return kind, obj["metadata"]["name"]

    def ended(self) -> bool:
        return self.response.readline() == b""


@contextmanager
def watch(server: Server, path: str) -> Iterator[Watch]:
    connection = server.connect()
    try:
        yield Watch(connection, f"{path}{'&' if '?' in path else '?'}watch=true")
    finally:
        connection.close()


@pytest.fixture
def path(namespace: str) -> str:
    return CONFIGS.format(namespace)


def put(server: Server, path: str, name: str, **labels: str) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}
    status, made = server.request("POST", path, body)
    assert status == 201, made
    return dict(made)


def label(server: Server, path: str, name: str, **labels: str | None) -> dict[str, Any]:
    patch = {"metadata": {"labels": labels}}
    status, made = server.request("PATCH", f"{path}/{name}", patch, content_type="application/merge-patch+json")
    assert status == 200, made
    return dict(made)


def test_a_watch_resumes_after_the_version_it_names(server: Server, path: str) -> None:
    first = put(server, path, "a")
    second = put(server, path, "b")
    server.request("DELETE", f"{path}/a")
    with watch(server, f"{path}?resourceVersion={first['metadata']['resourceVersion']}") as seen:
        assert seen.named() == ("ADDED", "b")
        kind, gone = seen()
        assert (kind, gone["metadata"]["name"]) == ("DELETED", "a")
        assert int(gone["metadata"]["resourceVersion"]) > int(second["metadata"]["resourceVersion"])
        put(server, path, "c")
        assert seen.named() == ("ADDED", "c")


def test_an_object_that_stops_matching_arrives_as_deleted(server: Server, path: str) -> None:
    version = put(server, path, "a", tier="front")["metadata"]["resourceVersion"]
    put(server, path, "b", tier="back")
    with watch(server, f"{path}?labelSelector=tier%3Dfront&resourceVersion={version}") as seen:
        changed = label(server, path, "a", tier="back")
        kind, gone = seen()
        assert (kind, gone["metadata"]["name"]) == ("DELETED", "a")
        assert gone["metadata"]["labels"] == {"tier": "front"}
        assert gone["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
        label(server, path, "b", tier="front")
        assert seen.named() == ("ADDED", "b")
        label(server, path, "b", more="x")
        assert seen.named() == ("MODIFIED", "b")


def test_a_streaming_list_ends_with_a_bookmark_that_says_so(server: Server, path: str) -> None:
    put(server, path, "a")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    with watch(server, f"{path}?{query}") as seen:
        names = {seen.named() for _ in range(2)}
        assert names == {("ADDED", "a"), ("ADDED", "kube-root-ca.crt")}
        kind, mark = seen()
        assert kind == "BOOKMARK"
        assert mark["kind"] == "ConfigMap"
        assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(mark["metadata"]["resourceVersion"]) > 0


def test_a_bookmark_arrives_shortly_before_a_watch_times_out(server: Server, path: str) -> None:
    version = put(server, path, "a")["metadata"]["resourceVersion"]
    query = f"resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=3&fieldSelector=metadata.name%3Da"
    with watch(server, f"{path}?{query}") as seen:
        elsewhere = put(server, path, "b")["metadata"]["resourceVersion"]
        kind, mark = seen()
        assert (kind, mark["kind"], mark["apiVersion"]) == ("BOOKMARK", "ConfigMap", "v1")
        assert int(mark["metadata"]["resourceVersion"]) >= int(elsewhere)
        assert seen.ended()


def test_a_watch_ends_when_its_time_is_up(server: Server, path: str) -> None:
    with watch(server, f"{path}?resourceVersion=0&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone") as seen:
        assert seen.ended()


def test_a_version_long_gone_is_answered_with_expired(restarted: tuple[Server, str]) -> None:
    server, version = restarted
    with watch(server, f"{CONFIGS.format('default')}?resourceVersion={version}") as seen:
        kind, status = seen()
        assert seen.response.status == 200
        assert kind == "ERROR"
        assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
        assert status["message"].startswith(f"too old resource version: {version} (")
        assert seen.ended()


def test_metadata_and_tables_are_watched_too(server: Server, path: str) -> None:
    put(server, path, "a")
    connection = server.connect()
    try:
        accept = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
        connection.request("GET", f"{path}?watch=1&fieldSelector=metadata.name%3Da", headers=accept)
        event = json.loads(connection.getresponse().readline())
    finally:
        connection.close()
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][:2] == ["a", 0]
    assert [one["name"] for one in event["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]


def test_invalid_options_are_refused_before_the_stream(server: Server, path: str) -> None:
    status, answer = server.request("GET", f"{path}?watch=1&sendInitialEvents=true")
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "sendInitialEvents" in answer["message"]
    assert server.request("GET", f"{path}?watch=1&labelSelector=a%20b%20c")[0] == 400
    assert server.request("GET", f"{path}?watch=1&fieldSelector=data.x%3D1")[0] == 400


def test_pages_are_of_one_snapshot(server: Server, path: str) -> None:
    for name in "abcde":
        put(server, path, name)
    _, first = server.request("GET", f"{path}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 4
    put(server, path, "bb")
    token = first["metadata"]["continue"]
    _, rest = server.request("GET", f"{path}?limit=100&continue={token}")
    assert [one["metadata"]["name"] for one in rest["items"]] == ["c", "d", "e", "kube-root-ca.crt"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert server.request("GET", f"{path}?limit=2&continue=nonsense")[0] == 400
