"""SPDY/3.1 frames, from a client's side that shares nothing with the server's but the dictionary."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.streaming import SpdyClient, control

from mizzen.wire import spdy
from mizzen.wire.spdy import Connection, DataReceived, GoneAway, Pinged, ProtocolError, StreamOpened, StreamReset

names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=12)
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
headers = st.dictionaries(names, values, max_size=5)


def test_the_dictionary_is_the_one_that_everybody_has() -> None:
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


@given(st.lists(st.tuples(headers, st.booleans()), max_size=5), st.integers(1, 50))
def test_streams_open_with_their_headers_however_the_bytes_are_cut(
    opened: list[tuple[dict[str, str], bool]], step: int
) -> None:
    client, server = SpdyClient(), Connection()
    stream = b"".join(client.syn(2 * at + 1, fields, end=end) for at, (fields, end) in enumerate(opened))
    seen = [event for at in range(0, len(stream), step) for event in server.feed(stream[at : at + step])]
    assert seen == [StreamOpened(2 * at + 1, fields, end) for at, (fields, end) in enumerate(opened)]


@given(st.integers(1, 2**31 - 1), st.binary(max_size=500), st.booleans())
def test_data_goes_both_ways(stream: int, payload: bytes, end: bool) -> None:
    sent = spdy.data(stream, payload, end=end)
    assert list(Connection().feed(sent)) == [DataReceived(stream, payload, end)]
    client = SpdyClient()
    client.feed(sent)
    assert client.received == {stream: payload}
    assert client.ended == ({stream} if end else set())


def test_replies_share_one_compression() -> None:
    client, server = SpdyClient(), Connection()
    for stream in (1, 3, 5):
        client.feed(server.reply(stream, {"x": "y" * 100}))
    assert client.replied == [1, 3, 5]


def test_signals_are_told_apart() -> None:
    sent = spdy.reset(7) + control(6, struct.pack("!I", 9)) + spdy.goaway()
    assert list(Connection().feed(sent)) == [
        StreamReset(7),
        Pinged(control(6, struct.pack("!I", 9))),
        GoneAway(),
    ]


def test_the_answer_to_our_own_ping_is_not_answered_again() -> None:
    assert list(Connection().feed(spdy.ping())) == []


def test_settings_and_window_updates_are_passed_over() -> None:
    assert list(Connection().feed(control(4, bytes(4)) + control(9, bytes(8)))) == []


@pytest.mark.parametrize(
    "sent",
    [
        control(1, b"short"),
        control(3, b""),
        control(6, b"\0"),
        control(1, bytes(10) + b"not compressed"),
        struct.pack("!II", 1, 0xFFFFFF) + bytes(8),
    ],
    ids=["syn", "reset", "ping", "headers", "waiting"],
)
def test_malformed_frames_are_refused_or_waited_for(sent: bytes) -> None:
    if sent[:4] == b"\0\0\0\1":
        assert list(Connection().feed(sent)) == []
        return
    with pytest.raises(ProtocolError):
        list(Connection().feed(sent))


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    bomb = SpdyClient().syn(1, {"a": "b" * (spdy.MAX_HEADERS * 4)})
    assert len(bomb) < 4096
    with pytest.raises(ProtocolError):
        list(Connection().feed(bomb))


def test_headers_that_lie_about_their_length_are_refused() -> None:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = deflate.compress(struct.pack("!II", 1, 99) + b"ab") + deflate.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProtocolError):
        list(Connection().feed(control(1, bytes(10) + block)))


@given(st.binary(max_size=300))
def test_noise_is_read_or_refused_but_never_crashes(noise: bytes) -> None:
    try:
        list(Connection().feed(noise))
    except ProtocolError:
        return
