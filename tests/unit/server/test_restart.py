"""What clients of before a restart find after it."""

from pathlib import Path

import pytest
from tests.unit.server.conftest import Caller

from mizzen.base.clock import VirtualClock
from mizzen.server.server import Server
from mizzen.store.base import Store
from mizzen.store.memory import MemoryStore
from mizzen.store.sqlite import SqliteStore

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.db")


async def started(store: Store) -> Caller:
    clock = VirtualClock()
    server = Server(store, clock)
    await server.start()
    return Caller(server, clock)


async def test_a_watcher_resumes_where_it_was(store: Store) -> None:
    before = await started(store)
    _, made = await before.call("POST", MAPS, {"metadata": {"name": "a"}})
    seen = made["metadata"]["resourceVersion"]
    await before.call("PATCH", f"{MAPS}/a", {"data": {"x": "1"}}, "application/merge-patch+json")
    await before.call("POST", MAPS, {"metadata": {"name": "b"}})
    await before.call("DELETE", f"{MAPS}/b")
    await before.server.close()
    after = await started(store)
    events = await after.events(f"{MAPS}?watch=1&resourceVersion={seen}", 3)
    shown = [(event["type"], event["object"]["metadata"]["name"]) for event in events]
    assert shown == [("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "b")]
    assert [one["metadata"]["name"] for one in (await after.call("GET", MAPS))[1]["items"]] == ["a"]
    await after.server.close()
    await store.close()


async def test_a_watcher_of_a_compacted_revision_is_told_to_list_again(store: Store) -> None:
    before = await started(store)
    _, made = await before.call("POST", MAPS, {"metadata": {"name": "a"}})
    for value in ("1", "2"):
        await before.call("PATCH", f"{MAPS}/a", {"data": {"x": value}}, "application/merge-patch+json")
    await before.server.close()
    await store.compact(store.revision)
    after = await started(store)
    events = await after.events(f"{MAPS}?watch=1&resourceVersion={made['metadata']['resourceVersion']}", 1)
    assert events[0]["object"]["code"] == 410
    await after.server.close()
    await store.close()
