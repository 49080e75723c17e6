"""WebSocket frames: whatever a client may send, in whatever pieces, and what it may not."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.streaming import WebSocketClient, masked

from mizzen.wire import websocket
from mizzen.wire.websocket import Message, Opcode, ProtocolError, Reader

kinds = st.sampled_from([Opcode.TEXT, Opcode.BINARY])
texts = st.binary(max_size=300) | st.sampled_from([bytes(range(250)) * 300, b"x" * 65535, b"y" * 65536, b"z" * 126])


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def read(chunks: list[bytes]) -> list[Message]:
    reader = Reader()
    return [message for chunk in chunks for message in reader.feed(chunk)]


@given(st.lists(st.tuples(kinds, texts), max_size=5), st.lists(st.integers(0, 1 << 20), max_size=8))
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    sent: list[tuple[Opcode, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(masked(opcode, data) for opcode, data in sent)
    assert read(pieces(stream, cuts)) == [Message(opcode, data) for opcode, data in sent]


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=6), st.binary(max_size=20))
def test_fragments_are_joined_and_control_frames_pass_between_them(parts: list[bytes], ping: bytes) -> None:
    stream = b""
    for at, part in enumerate(parts):
        opcode = Opcode.BINARY if at == 0 else Opcode.CONTINUATION
        stream += masked(opcode, part, final=at == len(parts) - 1) + masked(Opcode.PING, ping)
    whole = Message(Opcode.BINARY, b"".join(parts))
    pings = [Message(Opcode.PING, ping)] * len(parts)
    assert sorted(read([stream]), key=lambda one: one.opcode) == [whole, *pings]


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_any_mask_is_undone(data: bytes, mask: bytes) -> None:
    assert read([masked(Opcode.BINARY, data, mask=mask)]) == [Message(Opcode.BINARY, data)]


@given(texts)
def test_a_client_reads_what_the_server_frames(data: bytes) -> None:
    client = WebSocketClient()
    client.feed(websocket.frame(Opcode.BINARY, b"\1" + data))
    assert client.messages == [(1, data)]


@pytest.mark.parametrize(
    "sent",
    [
        websocket.frame(Opcode.BINARY, b"not masked"),
        bytes([0x80 | 3, 0x80]) + bytes(4),
        bytes([0xC0 | Opcode.TEXT, 0x80]) + bytes(4),
        masked(Opcode.CONTINUATION, b"of nothing"),
        masked(Opcode.TEXT, b"a", final=False) + masked(Opcode.TEXT, b"b"),
        masked(Opcode.PING, b"in parts", final=False),
        masked(Opcode.PING, bytes(126)),
        bytes([0x80 | Opcode.BINARY, 0xFF]) + (websocket.MAX_MESSAGE + 1).to_bytes(8, "big"),
    ],
    ids=["unmasked", "opcode", "extension", "continuation", "interrupted", "parted ping", "long ping", "too large"],
)
def test_what_breaks_the_protocol_is_refused(sent: bytes) -> None:
    with pytest.raises(ProtocolError):
        read([sent])


def test_a_message_cannot_grow_without_bound_by_fragments() -> None:
    part = masked(Opcode.BINARY, bytes(websocket.MAX_MESSAGE // 2 + 1), final=False, mask=bytes(4))
    rest = masked(Opcode.CONTINUATION, bytes(websocket.MAX_MESSAGE // 2 + 1), mask=bytes(4))
    with pytest.raises(ProtocolError):
        read([part, rest])


@given(st.binary(max_size=400))
def test_noise_is_read_or_refused_but_never_crashes(noise: bytes) -> None:
    try:
        read([noise])
    except ProtocolError:
        return


def test_the_handshake_is_answered_as_the_standard_says() -> None:
    asked = {
        "upgrade": "WebSocket",
        "connection": "keep-alive, Upgrade",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": "v5.channel.k8s.io, v4.channel.k8s.io",
    }
    assert websocket.is_upgrade(asked)
    assert websocket.offered(asked) == ("v5.channel.k8s.io", "v4.channel.k8s.io")
    answered = websocket.accept_headers(asked, "v5.channel.k8s.io")
    assert answered["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answered["sec-websocket-protocol"] == "v5.channel.k8s.io"
    assert not websocket.is_upgrade({"upgrade": "spdy/3.1", "connection": "upgrade"})


def test_a_close_says_why() -> None:
    client = WebSocketClient()
    client.feed(websocket.close_frame(1002, "x" * 500))
    assert client.closed == 1002
    assert websocket.close_code(Message(Opcode.CLOSE, b"\x03\xe8bye")) == 1000
    assert websocket.close_code(Message(Opcode.CLOSE, b"")) == 1005
