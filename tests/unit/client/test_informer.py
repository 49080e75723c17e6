"""Informers keep tables current through lists, watches, broken connections and expiry."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.sim.api import FakeApi

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import ObjectMeta, Partial
from mizzen.base.clock import SystemClock
from mizzen.client.cache import BY_LABEL, Cache, Table
from mizzen.client.client import Client
from mizzen.client.informer import Informer, decoded, follow, synced
from mizzen.client.resources import PODS, SECRETS

WHERE = ("", "pods")


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "d", "labels": labels}}


def api() -> FakeApi:
    return FakeApi(lambda: 0.0, random.Random(1))


async def until(table: Table[Any], claim: Callable[[], bool]) -> None:
    """Return once a change of the table makes the claim true."""
    changed = asyncio.Event()
    table.subscribe(lambda _old, _new: changed.set())
    async with asyncio.timeout(5):
        while not claim():
            changed.clear()
            await changed.wait()


def names(table: Table[Any]) -> set[str]:
    return {seen.metadata.name for seen in table}


@pytest.mark.parametrize("streams", [True, False])
async def test_an_informer_lists_watches_and_resumes_after_expiry(streams: bool) -> None:
    server = api()
    server.streams = streams
    server.create(WHERE, pod("a"))
    table = Table(PODS, Pod)
    informer = Informer(Client(server), table, SystemClock(), random.Random(1))
    running = asyncio.create_task(informer.run())
    try:
        await until(table, lambda: table.has_synced)
        assert names(table) == {"a"}
        server.create(WHERE, pod("b"))
        await until(table, lambda: names(table) == {"a", "b"})
        server.break_watches(expire=True)
        server.delete(WHERE, "d", "a")
        await until(table, lambda: names(table) == {"b"})
    finally:
        running.cancel()


async def test_tables_opened_later_are_followed_and_closed_ones_forgotten() -> None:
    server = api()
    server.create(("", "secrets"), {"metadata": {"name": "s", "namespace": "d"}})
    cache = Cache()
    cache.of(PODS, Pod)
    following = asyncio.create_task(follow(Client(server), cache, SystemClock(), random.Random(1)))
    try:
        await synced(cache)
        secrets = cache.of(SECRETS, Partial)
        await until(secrets, lambda: secrets.has_synced)
        assert names(secrets) == {"s"}
        cache.close(SECRETS)
        assert len(secrets) == 0
    finally:
        following.cancel()


def test_a_null_counts_as_absent_and_nonsense_is_left_out() -> None:
    seen = decoded(msgspec.Raw(b'{"metadata":{"name":"a","labels":null}}'), Pod)
    assert seen is not None
    assert seen.metadata.labels == {}
    assert decoded(msgspec.Raw(b'{"metadata":{"name":7}}'), Pod) is None


def partial(name: str, revision: int, **labels: str) -> Partial:
    return Partial(metadata=ObjectMeta(name=name, namespace="d", resourceVersion=str(revision), labels=labels))


def test_indexes_follow_every_change() -> None:
    table = Table(PODS, Partial)
    table.put(partial("a", 1, app="x"))
    assert [one.metadata.name for one in table.by(BY_LABEL, ("app", "x"))] == ["a"]
    table.put(partial("a", 2, app="y"))
    assert table.by(BY_LABEL, ("app", "x")) == []
    assert len(table.by(BY_LABEL, ("app", "y"))) == 1
    table.drop("d", "a", "3")
    assert table.by(BY_LABEL, ("app", "y")) == []
    assert table.revision == 3


def test_an_older_state_never_replaces_a_newer_one() -> None:
    table = Table(PODS, Partial)
    table.put(partial("a", 5, v="new"))
    table.put(partial("a", 4, v="old"))
    found = table.get("d", "a")
    assert found is not None
    assert found.metadata.labels == {"v": "new"}


def test_a_whole_list_tells_subscribers_what_went_and_what_came() -> None:
    table = Table(PODS, Partial)
    table.put(partial("a", 1))
    told: list[tuple[str | None, str | None]] = []
    table.subscribe(lambda old, new: told.append((old and old.metadata.name, new and new.metadata.name)))
    table.replace([partial("b", 2)], "2")
    assert told == [(None, "a"), ("a", None), (None, "b"), (None, None)]


def test_one_resource_has_one_view() -> None:
    cache = Cache()
    assert cache.of(PODS, Partial).view is Pod, "metadata readers open the standard view"
    with pytest.raises(ValueError, match="cached as Pod"):
        cache.of(PODS, type("Other", (), {}))
