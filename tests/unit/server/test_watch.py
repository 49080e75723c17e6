"""Watchers of the same: what they share is what each would have been sent alone."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.base.clock import VirtualClock
from mizzen.server.bell import EVERYTHING as EVERYTHING_CHANGES
from mizzen.server.bell import NAME, Bell
from mizzen.server.deadlines import Deadlines
from mizzen.server.selection import EVERYTHING, Selection
from mizzen.server.served import Served
from mizzen.server.watch import Watch
from mizzen.server.watchcache import WatchCache, index

SERVED = Served(CONFIG_MAP)
ALONE = Selection((lambda _entry: True,), topic=EVERYTHING_CHANGES)
"""Selects everything too, but by looking at every change."""
NAMED = Selection((lambda entry: entry.name == "1",), topic=(NAME, "1"))
LOOKING = Selection((lambda entry: entry.name == "1",), topic=EVERYTHING_CHANGES)
STEPS = st.lists(st.one_of(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), st.integers(1, 3)), max_size=30)
BEGINNINGS = st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.integers(1, 8)), min_size=1, max_size=5)


@given(STEPS, BEGINNINGS)
def test_watchers_who_share_chunks_or_are_woken_for_a_topic_see_what_they_would_see_alone(
    steps: list[tuple[str, int] | int], beginnings: list[tuple[str, int]]
) -> None:
    asyncio.run(_compare(steps, beginnings))


async def _compare(steps: list[tuple[str, int] | int], beginnings: list[tuple[str, int]]) -> None:
    """Watchers begin around the fifth revision. Steps are turns for them, or writes: a namespace and the number of an
    object, which is deleted when it is there.
    """
    clock = VirtualClock()
    cache, deadlines = WatchCache("configmaps"), Deadlines(clock)
    bell, revision = Bell(cache), 0

    def write(namespace: str, number: int) -> None:
        nonlocal revision
        revision += 1
        key = f"{namespace}/{number}"
        data = orjson.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": str(number)}})
        cache.apply(key, None if key in cache.entries else index(key, data, revision, {}), revision)
        bell.ring()

    def watch(selection: Selection, namespace: str, after: int) -> Watch:
        whole = SERVED.whole
        return Watch(
            cache, bell, deadlines, lambda: revision, "ConfigMap", "v1", namespace, selection, whole, 600.0, after
        )

    for number in range(5):
        write("ab"[number % 2], number)
    together = [watch(EVERYTHING, namespace, after) for namespace, after in beginnings]
    alone = [dataclasses.replace(one, selection=ALONE) for one in together]
    alone += [dataclasses.replace(one, selection=LOOKING) for one in together]
    together += [dataclasses.replace(one, selection=NAMED) for one in together]
    sent: list[bytearray] = [bytearray() for _ in (*together, *alone)]
    tasks = [asyncio.ensure_future(_collect(one, into)) for one, into in zip((*together, *alone), sent, strict=True)]
    for step in steps:
        if isinstance(step, int):
            for _ in range(step):
                await asyncio.sleep(0)
            continue
        write(*step)
    await asyncio.sleep(0)
    await clock.advance(600)
    await asyncio.gather(*tasks)
    assert sent[: len(together)] == sent[len(together) :]


async def _collect(watch: Watch, into: bytearray) -> None:
    async for chunk in watch.stream():
        into += chunk


async def test_no_piece_of_an_answer_is_much_larger_than_a_single_object() -> None:
    clock, cache = VirtualClock(), WatchCache("configmaps")
    bell, deadlines, size = Bell(cache), Deadlines(clock), 600_000

    def write(revision: int) -> None:
        body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": str(revision)}, "data": {"v": "x" * size}}
        cache.apply(f"a/{revision}", index(f"a/{revision}", orjson.dumps(body), revision, {}), revision)

    def watch(selection: Selection, after: int | None) -> Watch:
        return Watch(
            cache, bell, deadlines, lambda: 10, "ConfigMap", "v1", "", selection, SERVED.whole, 1.0, after
        )  # fmt: skip

    for revision in range(1, 11):
        write(revision)
    for one in (watch(EVERYTHING, None), watch(EVERYTHING, 2), watch(ALONE, 2)):
        sizes = [len(chunk) async for chunk in _pieces(one, 8 * size)]
        assert max(sizes) < 3 * size


async def _pieces(watch: Watch, least: int) -> AsyncIterator[bytes]:
    """What a watcher is sent, until it is so many bytes."""
    async for chunk in watch.stream():
        yield chunk
        least -= len(chunk)
        if least <= 0:
            return
