"""What every store promises, judged on the memory model and on SQLite alike."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mizzen.store.base import Change, Compacted, Conflict, Damaged, Store, StoreFull, Unusable
from mizzen.store.memory import MemoryStore
from mizzen.store.sqlite import SqliteStore

Open = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.db")
    yield opened
    await opened.close()


async def _first(store: Store, prefix: str, after: int, count: int) -> list[Change]:
    seen: list[Change] = []
    async for batch in store.watch(prefix, after=after):
        seen.extend(batch)
        if len(seen) >= count:
            break
    return seen


async def test_a_written_value_is_read_back_with_its_revision(store: Store) -> None:
    revision = await store.put("pods/a/x", b"1")
    value = await store.get("pods/a/x")
    assert value is not None
    assert (value.data, value.revision) == (b"1", revision)
    assert store.revision == revision


async def test_create_only_fails_where_something_is(store: Store) -> None:
    first = await store.put("k", b"1", expect=0)
    with pytest.raises(Conflict) as caught:
        await store.put("k", b"2", expect=0)
    assert caught.value.current is not None
    assert caught.value.current.revision == first


async def test_a_stale_expectation_changes_nothing(store: Store) -> None:
    first = await store.put("k", b"1")
    second = await store.put("k", b"2", expect=first)
    with pytest.raises(Conflict):
        await store.put("k", b"3", expect=first)
    with pytest.raises(Conflict):
        await store.delete("k", expect=first)
    value = await store.get("k")
    assert value is not None
    assert (value.data, value.revision) == (b"2", second)


async def test_of_many_concurrent_writers_with_one_expectation_one_wins(store: Store) -> None:
    base = await store.put("k", b"0")
    answers = await asyncio.gather(*(store.put("k", b"%d" % i, expect=base) for i in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 19


async def test_deleting_what_is_absent_is_a_conflict(store: Store) -> None:
    with pytest.raises(Conflict) as caught:
        await store.delete("k")
    assert caught.value.current is None


async def test_lists_are_ordered_paged_and_bounded_by_their_prefix(store: Store) -> None:
    for name in ("pods/b/2", "pods/a/1", "podsx/a", "pods/a/3", "nodes/n"):
        await store.put(name, name.encode())
    page = await store.list("pods/", limit=2)
    assert [value.key for value in page.values] == ["pods/a/1", "pods/a/3"]
    assert page.more
    rest = await store.list("pods/", after=page.values[-1].key, limit=2)
    assert [value.key for value in rest.values] == ["pods/b/2"]
    assert not rest.more


async def test_a_list_as_of_a_revision_shows_the_past(store: Store) -> None:
    await store.put("a", b"1")
    then = await store.put("b", b"1")
    await store.put("b", b"2")
    await store.delete("a")
    await store.put("c", b"1")
    page = await store.list("", at=then)
    assert [(value.key, value.data) for value in page.values] == [("a", b"1"), ("b", b"1")]
    assert [value.key for value in (await store.list("")).values] == ["b", "c"]


async def test_a_watch_sees_every_change_after_its_revision_in_order(store: Store) -> None:
    start = await store.put("p/a", b"0")
    watching = asyncio.create_task(_first(store, "p/", start, 3))
    await asyncio.sleep(0)
    await asyncio.gather(store.put("p/b", b"1"), store.put("q/x", b"-"), store.put("p/a", b"2"))
    await store.delete("p/b")
    seen = await watching
    assert [(one.type, one.key, one.data) for one in seen] == [
        ("PUT", "p/b", b"1"),
        ("PUT", "p/a", b"2"),
        ("DELETE", "p/b", b""),
    ]
    assert await _first(store, "p/", start, 3) == seen


async def test_compaction_keeps_the_present_and_refuses_the_past(store: Store) -> None:
    old = await store.put("a", b"1")
    await store.put("a", b"2")
    await store.put("b", b"1")
    await store.compact(store.revision)
    with pytest.raises(Compacted):
        await store.list("", at=old)
    with pytest.raises(Compacted):
        await _first(store, "", old, 1)
    assert [(value.key, value.data) for value in (await store.list("")).values] == [("a", b"2"), ("b", b"1")]


Operation = tuple[str, str, bytes]
_OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "stale"]), st.sampled_from("abcd"), st.binary(max_size=4)), max_size=30
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=_OPERATIONS, reopen=st.integers(0, 30))
async def test_sqlite_behaves_as_the_model_also_across_a_restart(
    tmp_path_factory: pytest.TempPathFactory, operations: list[Operation], reopen: int
) -> None:
    path = tmp_path_factory.mktemp("store") / "store.db"
    model, real = MemoryStore(), SqliteStore(path)
    for number, (verb, key, data) in enumerate(operations):
        if number == reopen:
            await real.close()
            real = SqliteStore(path)
        assert await _outcome(real, verb, key, data) == await _outcome(model, verb, key, data)
    assert await real.list("") == await model.list("")
    for revision in range(1, model.revision + 1):
        assert await real.list("", at=revision) == await model.list("", at=revision)
    if model.revision:
        assert await _first(real, "", 0, model.revision) == await _first(model, "", 0, model.revision)
    await real.close()


async def _outcome(store: Store, verb: str, key: str, data: bytes) -> object:
    try:
        if verb == "put":
            return await store.put(key, data)
        if verb == "delete":
            return await store.delete(key)
        return await store.put(key, data, expect=1)
    except Conflict as conflict:
        return conflict.current


async def test_a_full_store_refuses_writes_and_still_reads(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", max_bytes=600_000)
    written = 0
    with pytest.raises(StoreFull):
        for written in range(1000):
            await store.put(f"k{written:04}", b"x" * 10_000)
    assert len((await store.list("")).values) == written
    assert store.revision == written
    await store.close()


async def fill(store: Store) -> int:
    """Create until it is full; answers how many there are."""
    written = 0
    with pytest.raises(StoreFull):
        for written in range(1000):
            await store.put(f"k{written:04}", b"x" * 3_000, expect=0)
    return written


async def test_a_full_store_still_takes_updates_that_do_not_grow_and_deletes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", max_bytes=1_000_000)
    count = await fill(store)
    for turn in range(20):  # as leases and statuses are written
        await asyncio.gather(*(store.put(f"k{i:04}", str(turn).encode() * 3_000) for i in range(10)))
    with pytest.raises(StoreFull):
        await store.put("one more", b"1", expect=0)
    for i in range(count):
        await store.delete(f"k{i:04}")
    assert (await store.list("")).values == ()
    await store.close()


async def test_deletes_make_room_for_what_is_created_next(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", max_bytes=1_000_000)
    count = await fill(store)
    for i in range(count):
        await store.delete(f"k{i:04}")
    assert await fill(store) > count / 2
    await store.close()


async def test_what_grows_leaves_a_full_store_room_for_deletes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", max_bytes=1_000_000)
    count = await fill(store)
    with pytest.raises(StoreFull):
        for i in range(count):
            await store.put(f"k{i:04}", b"x" * 30_000)
    for i in range(count):
        await store.delete(f"k{i:04}")
    await store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_what_a_full_store_has_taken_is_there_and_what_it_has_refused_is_not(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    store = SqliteStore(tmp_path / "store.db", max_bytes=600_000)
    await store.put("end", b"0")
    there: dict[str, bytes] = {}

    async def write(key: str, data: bytes) -> None:
        try:
            if data:
                await store.put(key, data, expect=None if key in there else 0)
                there[key] = data
            elif key in there:
                await store.delete(key)
                del there[key]
        except StoreFull:
            pass

    for _ in range(60):
        keys = rng.sample([f"k{i:03}" for i in range(300)], 20)
        data = [rng.choice((b"", rng.randbytes(rng.choice((10, 1_000, 6_000))))) for _ in keys]
        before = store.revision
        watching = asyncio.create_task(_until(store, before))
        await asyncio.gather(*map(write, keys, data))
        await store.put("end", b"1")
        shown = {change.key: change.data for change in await watching}
        assert all(there.get(key, b"") == value for key, value in shown.items() if key != "end")
        assert {value.key: value.data for value in (await store.list("k")).values} == there
    await store.close()
    opened = SqliteStore(tmp_path / "store.db", max_bytes=600_000)
    assert {value.key: value.data for value in (await opened.list("k")).values} == there
    await opened.close()


async def _until(store: Store, after: int) -> list[Change]:
    seen: list[Change] = []
    async for batch in store.watch("", after=after):
        seen += batch
        if batch[-1].key == "end":
            break
    return seen


@pytest.mark.parametrize("count", [1, 2, 24, 25, 63, 64, 65, 200])
async def test_a_group_of_any_size_is_there_in_order_after_a_restart(tmp_path: Path, count: int) -> None:
    store = SqliteStore(tmp_path / "store.db")
    written = await asyncio.gather(*(store.put(f"k{i:03}", str(i).encode()) for i in range(count)))
    await store.close()
    opened = SqliteStore(tmp_path / "store.db")
    values = (await opened.list("")).values
    assert [(value.key, value.data, value.revision) for value in values] == [
        (f"k{i:03}", str(i).encode(), revision) for i, revision in enumerate(written)
    ]
    await opened.close()


async def test_history_on_disk_stays_bounded_under_updates(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    for _ in range(60):
        await asyncio.gather(*(store.put(f"k{i}", b"x" * 100) for i in range(50)))
    with pytest.raises(Compacted):
        await store.list("", at=60)
    assert (await store.list("", at=store.revision - 900)).revision == store.revision - 900
    await store.close()


async def test_a_second_process_cannot_open_the_same_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(Unusable, match="another process has"):
        SqliteStore(tmp_path / "store.db")
    await store.close()


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    with pytest.raises(Unusable, match="cannot be opened"):
        SqliteStore(tmp_path / "store.db")


@pytest.mark.parametrize("start", [0, 4096])
async def test_a_damaged_store_says_so(tmp_path: Path, start: int) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    for number in range(50):
        await store.put(f"k{number}", b"x" * 1000)
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + b"\xa5" * (len(whole) - start))
    with pytest.raises(Damaged, match="is damaged"):
        SqliteStore(path)


@pytest.mark.parametrize("emptied", [True, False])
async def test_a_store_that_has_vanished_is_not_replaced_by_an_empty_one(tmp_path: Path, emptied: bool) -> None:
    path = tmp_path / "store.db"
    await SqliteStore(path).close()
    await SqliteStore(path).close()
    if emptied:
        path.write_bytes(b"")
    else:
        path.unlink()
    with pytest.raises(Damaged, match="gone or empty"):
        SqliteStore(path)
    (tmp_path / "store.lock").unlink()
    await SqliteStore(path).close()


async def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await SqliteStore(path).close()
    file = apsw.Connection(str(path))
    file.pragma("user_version", 99)
    file.close()
    with pytest.raises(Unusable, match="later version of Mizzen"):
        SqliteStore(path)


async def test_a_backup_taken_during_writes_opens_as_a_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.put("a", b"1")
    await asyncio.gather(store.backup(tmp_path / "copy.db"), store.put("b", b"1"))
    copy = SqliteStore(tmp_path / "copy.db")
    assert (await copy.get("a")) == (await store.get("a"))
    await copy.close()
    await store.close()
