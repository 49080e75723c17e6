"""Waking watchers: everybody hears of what concerns him, and a crowd leaves room for others."""

import asyncio

import orjson
import pytest

from mizzen.server.bell import EVERYTHING, GROUP, NAME, NAMESPACE, Bell, Listener, Topic
from mizzen.server.watchcache import WatchCache, index

GETTERS = {"spec.nodeName": lambda obj: str(obj.get("node", ""))}


class Cluster:
    """A cache of pods on nodes, with its bell."""

    def __init__(self) -> None:
        self.cache = WatchCache("pods", GETTERS)
        self.bell = Bell(self.cache)
        self._revision = 0

    def write(self, key: str, node: str | None = "") -> None:
        """Let a pod be on a node, or be gone (None)."""
        self._revision += 1
        data = orjson.dumps({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": key}, "node": node})
        entry = None if node is None else index(key, data, self._revision, GETTERS)
        self.cache.apply(key, entry, self._revision)

    def change(self, key: str, node: str | None = "") -> None:
        self.write(key, node)
        self.bell.ring()

    def crowd(self, count: int) -> list[Listener]:
        return [self.bell.listen(EVERYTHING) for _ in range(count)]


async def heard(listeners: list[Listener]) -> None:
    await asyncio.wait_for(asyncio.gather(*(listener.woken for listener in listeners)), 5)


async def test_a_crowd_is_woken_in_groups_with_room_for_others_in_between() -> None:
    cluster = Cluster()
    crowd = cluster.crowd(3 * GROUP)
    woken: list[int] = []
    cluster.change("a/x")
    asyncio.get_running_loop().call_soon(lambda: woken.append(sum(listener.woken.done() for listener in crowd)))
    await heard(crowd)
    assert woken == [2 * GROUP]


async def test_who_listens_again_while_a_crowd_is_woken_hears_the_next_ring() -> None:
    cluster = Cluster()
    first = cluster.crowd(2 * GROUP)
    cluster.change("a/x")
    await heard(first)
    again = cluster.crowd(2 * GROUP)
    cluster.change("a/x")
    assert not any(listener.woken.done() for listener in again)
    await heard(again)


async def test_who_left_is_not_woken_and_a_closed_bell_lets_everybody_go() -> None:
    bell = Cluster().bell
    gone, there = bell.listen(EVERYTHING), bell.listen((NAMESPACE, "a"))
    bell.leave(gone)
    bell.close()
    await there.woken
    assert gone.woken.cancelled()
    assert (bell.closed, bell.listeners) == (True, 1)


@pytest.mark.parametrize(
    ("topic", "first"),
    [
        (EVERYTHING, 2),
        ((NAMESPACE, "b"), 3),
        ((NAME, "y"), 4),
        ((0, "two"), 3),
        ((0, ""), 2),
        ((0, "three"), 4),
        ((NAMESPACE, "c"), None),
        ((NAME, "z"), None),
        ((0, "four"), None),
    ],
)
async def test_a_listener_hears_from_the_first_change_that_concerns_it(topic: Topic, first: int | None) -> None:
    cluster = Cluster()
    cluster.change("a/x")
    cluster.change("b/x", "two")
    listener = cluster.bell.listen(topic)
    cluster.write("a/x", "one")
    cluster.write("b/x", None)
    cluster.write("b/y", "three")
    cluster.bell.ring()
    assert (listener.woken.done(), listener.first) == (first is not None, first)
    assert cluster.bell.leave(listener) == (5 if first is None else first)
    assert cluster.bell.listeners == 0


async def test_who_leaves_within_a_pause_has_heard_nothing_of_what_came_in_it() -> None:
    cluster = Cluster()
    early = cluster.bell.listen(EVERYTHING)
    cluster.change("a/x")
    await heard([early])
    late = cluster.bell.listen((NAME, "y"))
    cluster.change("a/y")
    assert cluster.bell.leave(late) == 1


async def test_everybody_is_woken_when_the_history_is_lost() -> None:
    cluster = Cluster()
    cluster.change("a/x")
    listener = cluster.bell.listen((NAME, "nobody"))
    cluster.cache.reindex({}, "Pod", "v1")
    cluster.bell.ring()
    await heard([listener])
    assert cluster.bell.leave(listener) < cluster.cache.end
