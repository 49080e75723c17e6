"""Waking watchers: everybody hears of every change, and a crowd leaves room for others."""

import asyncio

from mizzen.server.bell import GROUP, Bell


async def test_a_crowd_is_woken_in_groups_with_room_for_others_in_between() -> None:
    bell = Bell()
    crowd = [bell.listen() for _ in range(3 * GROUP)]
    woken: list[int] = []
    bell.ring()
    asyncio.get_running_loop().call_soon(lambda: woken.append(sum(listener.done() for listener in crowd)))
    await asyncio.gather(*crowd)
    assert woken == [2 * GROUP]


async def test_who_listens_again_while_a_crowd_is_woken_hears_the_next_ring() -> None:
    bell = Bell()
    first = [bell.listen() for _ in range(2 * GROUP)]
    bell.ring()
    await asyncio.gather(*first)
    again = [bell.listen() for _ in range(2 * GROUP)]
    bell.ring()
    assert not any(listener.done() for listener in again)
    await asyncio.wait_for(asyncio.gather(*again), 5)


async def test_who_left_is_not_woken_and_a_closed_bell_lets_everybody_go() -> None:
    bell = Bell()
    gone, there = bell.listen(), bell.listen()
    bell.leave(gone)
    bell.close()
    await there
    assert gone.cancelled()
    assert bell.closed
