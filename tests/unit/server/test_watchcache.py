"""The watch cache against a model: random writes; reads from random revisions see exactly the right things."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.server import watchcache
from mizzen.server.watchcache import Entry, Expired, WatchCache, at_revision, index, tail_of

NAMES = st.sampled_from(["a/x", "a/y", "a-b/x", "b/x", "b/z"])
WRITES = st.lists(st.tuples(NAMES, st.sampled_from(["put", "delete"]), st.sampled_from(["red", "blue"])), max_size=40)


def stored(key: str, colour: str) -> bytes:
    namespace, _, name = key.partition("/")
    meta = {"name": name, "namespace": namespace, "labels": {"colour": colour}}
    return orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": {"c": colour}})


def entry(key: str, colour: str, revision: int) -> Entry:
    return index(key, stored(key, colour), revision, {})


def play(cache: WatchCache, writes: list[tuple[str, str, str]]) -> Iterator[tuple[int, dict[str, int]]]:
    """Apply the writes; yields every revision with the state (key → revision) that it left."""
    state: dict[str, int] = {}
    for revision, (key, action, colour) in enumerate(writes, start=1):
        if action == "put":
            cache.apply(key, entry(key, colour, revision), revision)
            state[key] = revision
        elif key in state:
            cache.apply(key, None, revision)
            del state[key]
        yield revision, dict(state)


@given(WRITES)
def test_the_state_at_every_revision_is_found_again(writes: list[tuple[str, str, str]]) -> None:
    cache = WatchCache("configmaps")
    for revision, expected in list(play(cache, writes)):
        snapshot = cache.at(revision)
        assert {key: snapshot.entries[key].revision for key in snapshot.keys} == expected
        assert list(snapshot.keys) == sorted(expected)


@given(WRITES, st.integers(0, 40))
def test_events_since_a_revision_lead_from_its_state_to_the_present(
    writes: list[tuple[str, str, str]], start: int
) -> None:
    cache = WatchCache("configmaps")
    states = {0: {}, **dict(play(cache, writes))}
    start = min(start, len(writes))
    followed = dict(states[start])
    revisions = []
    for event in cache.since(cache.position(start)):
        revisions.append(event.revision)
        assert event.type == ("DELETED" if event.entry is None else "MODIFIED" if event.key in followed else "ADDED")
        if event.entry is None:
            del followed[event.key]
        else:
            followed[event.key] = event.entry.revision
    assert followed == states[len(writes)]
    assert revisions == sorted(set(revisions))


@settings(max_examples=30)
@given(WRITES.filter(lambda writes: len(writes) > 16), st.integers(0, 40))
def test_a_short_history_answers_rightly_or_says_that_it_expired(
    writes: list[tuple[str, str, str]], asked: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchcache, "EVENT_LIMIT", 8)
        cache = WatchCache("configmaps")
        states = {0: {}, **dict(play(cache, writes))}
    asked = min(asked, len(writes))
    try:
        snapshot = cache.at(asked)
    except Expired as expired:
        assert asked < expired.oldest
        with pytest.raises(Expired):
            cache.position(asked)
    else:
        assert {key: snapshot.entries[key].revision for key in snapshot.keys} == states[asked]


def test_a_range_holds_one_namespace_and_not_its_neighbours() -> None:
    cache = WatchCache("configmaps")
    for revision, key in enumerate(["a/x", "a/y", "a-b/x", "ab/x", "b/x"], start=1):
        cache.apply(key, entry(key, "red", revision), revision)
    assert [one.key for one in cache.current().range("a")] == ["a/x", "a/y"]
    assert [one.key for one in cache.current().range("a", after="a/x")] == ["a/y"]
    assert [one.key for one in cache.current().range("")] == ["a-b/x", "a/x", "a/y", "ab/x", "b/x"]


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_tail_carries_its_revision_and_takes_another(first: int, second: int) -> None:
    tail = tail_of(stored("a/x", "red"), first)
    assert orjson.loads(b"{" + tail)["metadata"]["resourceVersion"] == str(first)
    assert at_revision(tail, second) == tail_of(stored("a/x", "red"), second)


def test_a_deleted_object_is_shown_with_the_revision_of_its_end() -> None:
    cache = WatchCache("configmaps")
    cache.apply("a/x", entry("a/x", "red", 1), 1)
    event = cache.apply("a/x", None, 7)
    assert event is not None
    assert orjson.loads(b"{" + event.tail)["metadata"]["resourceVersion"] == "7"


def test_replaced_bytes_are_bounded() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchcache, "BYTES_LIMIT", 2_000)
        cache = WatchCache("configmaps")
        for revision in range(1, 500):
            cache.apply("a/x", entry("a/x", "red", revision), revision)
    kept = sum(len(event.previous.tail) for event in cache.since(cache.position(cache.floor)) if event.previous)
    assert kept <= 2_000


def test_objects_with_the_same_labels_share_one_dict() -> None:
    first, second = entry("a/x", "red", 1), entry("a/y", "red", 2)
    assert first.labels is second.labels
    assert (first.namespace, first.name) == ("a", "x")


def test_a_slice_is_kept_until_something_changes_and_never_shows_what_was() -> None:
    cache = WatchCache("configmaps")
    cache.apply("a/x", entry("a/x", "red", 1), 1)
    first = cache.current().slice(0, 1)
    assert cache.current().slice(0, 1) is first
    cache.apply("a/x", entry("a/x", "red", 2), 2)
    assert [entry.revision for entry in cache.current().slice(0, 1).entries] == [2]
    assert cache.current().slice(0, 1).tails == [cache.entries["a/x"].tail]
    cache.apply("a/y", entry("a/y", "red", 3), 3)
    assert len(cache.current().slice(0, 2).tails) == 2
    cache.apply("a/x", None, 4)
    assert [entry.key for entry in cache.current().slice(0, 2).entries] == ["a/y"]
    cache.settle(lambda obj: obj.update(seen=True), "")
    assert b"seen" in cache.current().slice(0, 1).tails[0]
