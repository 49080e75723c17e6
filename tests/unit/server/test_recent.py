"""Long lists that are encoded one by one: others have their turn, and who asks for the same shares the work."""

import asyncio
import gzip

from hypothesis import given
from hypothesis import strategies as st

from mizzen.server.codec import compressed
from mizzen.server.recent import AT_ONCE, RECENT, Encoding, RecentLists
from mizzen.wire.message import Request, Response

TAILS = [b"%d" % number for number in range(3 * AT_ONCE)]


class Counted:
    """Encodes, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, tail: bytes) -> bytes:
        self.calls += 1
        return b"<%b>" % tail


async def test_a_long_list_is_the_same_whether_it_is_prepared_or_not() -> None:
    prepared = Encoding("prepared", Counted())
    await prepared.prepare(TAILS)
    assert prepared.joined(b",", TAILS) == Encoding("unprepared", Counted()).joined(b",", TAILS)


async def test_others_have_their_turn_while_a_long_list_is_encoded() -> None:
    encode = Counted()
    preparing = asyncio.create_task(Encoding("turns", encode).prepare(TAILS))
    await asyncio.sleep(0)
    assert 0 < encode.calls <= AT_ONCE
    await preparing
    assert encode.calls == len(TAILS)


async def test_clients_that_ask_for_the_same_list_share_the_work() -> None:
    encode = Counted()
    alike = [Encoding("shared", encode) for _ in range(5)]
    await asyncio.gather(*(one.prepare(list(TAILS)) for one in alike))
    assert len({one.joined(b",", TAILS) for one in alike}) == 1
    await Encoding("shared", encode).prepare(TAILS)
    assert encode.calls == len(TAILS)


async def test_a_list_whose_maker_leaves_is_made_by_who_waits_for_it() -> None:
    encode = Counted()
    leaving = asyncio.create_task(Encoding("left", encode).prepare(TAILS))
    await asyncio.sleep(0)
    staying = Encoding("left", encode)
    waiting = asyncio.create_task(staying.prepare(TAILS))
    await asyncio.sleep(0)
    leaving.cancel()
    await waiting
    assert staying.joined(b",", TAILS).startswith(b"<0>,<1>,")


def test_the_oldest_lists_are_forgotten_and_short_ones_never_kept() -> None:
    lists = RecentLists(limit=3_000)
    for form in ("a", "b", "c"):
        lists.get(form, TAILS, lambda: b"x" * 1_000)
    lists.get("short", TAILS[:3], lambda: b"x")
    lists.get("d", TAILS, lambda: b"x" * 1_000)
    assert [form for form in ("a", "b", "c", "d") if lists.find(form, TAILS)] == ["b", "c", "d"]
    assert RECENT.find("short", TAILS[:3]) is None


def test_a_list_that_is_kept_is_deflated_once_and_counts_with_what_it_became() -> None:
    lists = RecentLists(limit=30_000)
    kept = lists.get("kept", TAILS, lambda: bytes(range(250)) * 100)
    assert lists.deflated(kept) is lists.deflated(kept)
    assert lists.deflated(b"x" * 5_000) is not lists.deflated(b"x" * 5_000)
    lists.get("next", TAILS, lambda: b"x" * 4_900)
    assert lists.find("kept", TAILS) is None


@given(st.lists(st.tuples(st.binary(max_size=50), st.integers(0, 5_000)), min_size=1))
def test_a_compressed_answer_is_one_gzip_file_of_its_pieces(drawn: list[tuple[bytes, int]]) -> None:
    pieces = [piece * times for piece, times in drawn] + [b"x" * (128 << 10)]
    packed = compressed(Request("GET", "/", headers={"accept-encoding": "gzip"}), Response(200, {}, pieces))
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(b"".join(packed.body)) == b"".join(pieces)  # type: ignore[arg-type]
