"""HTTP/2 connections: against the library of another project, against each other, and against rule-breakers."""

from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.wire import frames, http2, streams

_ASK = [(":method", "POST"), (":scheme", "http"), (":path", "/a/B"), (":authority", "x"), ("te", "trailers")]
_SAY, _END = [(":status", "200")], [("grpc-status", "0")]
_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


def frame(kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big") + payload


def sent(connection: http2.Connection) -> bytes:
    return connection.pull()


class Other:
    """A peer that echoes the body of every request in two pieces, with windows and frames as small as it likes."""

    def __init__(self, window: int) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.bodies: dict[int, bytearray] = {}
        self.left: dict[int, bytes] = {}

    def exchange(self, data: bytes) -> bytes:
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.bodies[event.stream_id] = bytearray()
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.h2.send_headers(event.stream_id, _SAY)
                self.left[event.stream_id] = bytes(self.bodies[event.stream_id])
        for number in list(self.left):
            while body := self.left[number]:
                room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size) - 8
                if room <= 0:
                    break
                self.h2.send_data(number, body[:room], pad_length=7)
                self.left[number] = body[room:]
            else:
                self.h2.send_headers(number, _END, end_stream=True)
                del self.left[number]
        return self.h2.data_to_send()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=4), st.integers(1000, 100_000), st.integers(1, 70_000))
def test_whole_bodies_go_both_ways_however_small_the_windows(sizes: list[int], window: int, step: int) -> None:
    here, there, step = http2.Connection(is_client=True), Other(window), max(step, sum(sizes) // 200)
    here.receive(there.exchange(b""))  # h2 does not make up for what was sent before it made its windows smaller
    bodies = {here.open(_ASK, bytes([size % 251]) * size): bytes([size % 251]) * size for size in sizes}
    found: dict[int, bytearray] = {number: bytearray() for number in bodies}
    ended: set[int] = set()
    data = b""
    while ended != set(bodies):
        data += there.exchange(sent(here))
        chunk, data = data[:step], data[step:]
        for event in here.receive(chunk):
            match event:
                case streams.DataReceived(number, part):
                    found[number] += part
                case streams.StreamEnded(number):
                    ended.add(number)
                case streams.HeadersReceived(_, fields):
                    assert fields in (_SAY, _END)
    assert found == bodies
    assert here.has_room and here.is_open


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5_000_000), st.integers(1, 100_000))
def test_a_server_answers_another_client(size: int, step: int) -> None:
    config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1")
    there, here = h2.connection.H2Connection(config), http2.Connection(is_client=False)
    there.initiate_connection()
    there.send_headers(1, _ASK)
    there.send_data(1, b"question", end_stream=True)
    data, seen, ended = there.data_to_send(), list[streams.Event](), False
    got = 0
    while not ended:
        chunk, data = data[:step], data[step:]
        for event in here.receive(chunk):
            seen.append(event)
            if isinstance(event, streams.StreamEnded):
                here.answer(1, _SAY, bytes(size), _END)
        for answer in there.receive_data(sent(here)):
            if isinstance(answer, h2.events.DataReceived):
                got += len(answer.data)
                there.acknowledge_received_data(answer.flow_controlled_length, 1)
            ended = ended or isinstance(answer, h2.events.StreamEnded)
        data += there.data_to_send()
    assert seen == [streams.HeadersReceived(1, _ASK), streams.DataReceived(1, b"question"), streams.StreamEnded(1)]
    assert got == size


def test_headers_that_need_many_frames_arrive_whole() -> None:
    here, there = http2.Connection(is_client=True), http2.Connection(is_client=False)
    there.receive(sent(here))
    big = [*_ASK, ("more", "x" * 100_000)]
    here.open(big, b"")
    assert there.receive(sent(here)) == [streams.HeadersReceived(1, big), streams.StreamEnded(1)]


def test_of_streams_beyond_the_limit_nothing_is_begun() -> None:
    here, there = http2.Connection(is_client=True), http2.Connection(is_client=False)
    there.receive(sent(here))
    numbers = [here.open(_ASK, b"") for _ in range(257)]
    assert len([one for one in there.receive(sent(here)) if isinstance(one, streams.HeadersReceived)]) == 256
    assert here.receive(sent(there)) == [streams.StreamReset(numbers[-1], frames.REFUSED_STREAM)]
    assert not here.has_room
    there.answer(1, _SAY, b"", _END)
    assert streams.StreamEnded(1) in here.receive(sent(there))
    assert here.has_room


def test_an_answer_may_come_before_the_question_is_out() -> None:
    here = http2.Connection(is_client=True)
    number = here.open(_ASK, bytes(100_000))
    there = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    there.initiate_connection()
    there.receive_data(sent(here))
    there.send_headers(number, [(":status", "200"), ("grpc-status", "13")], end_stream=True)
    assert streams.StreamEnded(number) in here.receive(there.data_to_send())
    assert any(isinstance(one, h2.events.StreamReset) for one in there.receive_data(sent(here)))


def test_after_a_farewell_the_streams_that_were_taken_go_on() -> None:
    here = http2.Connection(is_client=True)
    first, second = here.open(_ASK, b""), here.open(_ASK, b"")
    here.receive(_SETTINGS)
    farewell = frame(7, 0, 0, first.to_bytes(4, "big") + bytes(4) + b"bye")
    assert here.receive(farewell) == [streams.GoingAway(first)]
    assert not here.is_open
    ends = frame(1, 5, first, b"\x88")
    assert here.receive(ends) == [streams.HeadersReceived(first, _SAY), streams.StreamEnded(first)]
    assert here.receive(frame(1, 5, second, b"\x88")) == []


def test_a_ping_is_answered() -> None:
    here = http2.Connection(is_client=True)
    here.receive(_SETTINGS)
    sent(here)
    here.receive(frame(6, 0, 0, b"12345678"))
    assert sent(here) == frame(6, 1, 0, b"12345678")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n", frame(0), frame(4, 1), _SETTINGS + frame(0, 0, 0, b"x"),
        _SETTINGS + frame(9, 4, 1), _SETTINGS + frame(1, 0, 1, b"\x88") + frame(6, 0, 0, bytes(8)),
        _SETTINGS + frame(1, 0, 1, b"\x88") + frame(9, 4, 3), _SETTINGS + frame(5, 4, 1),
        _SETTINGS + frame(6, 0, 0, b"x"), _SETTINGS + frame(1, 4, 1, b"\x80"), _SETTINGS + frame(8, 0, 0, bytes(4)),
        _SETTINGS + frame(8, 0, 0, b"\x7f" * 4) * 2,
        frame(4, 0, 0, b"x"), frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"), _SETTINGS + b"\xff" * 9,
        _SETTINGS + frame(0, 8, 1, b"\5x"), _SETTINGS + frame(7, 0, 0, b"x"),
        _SETTINGS + frame(1, 0, 1) + frame(9, 0, 1, bytes(16384)) * 17,
    ],
)  # fmt: skip
def test_who_breaks_the_rules_is_told_and_left(data: bytes) -> None:
    here = http2.Connection(is_client=True)
    here.open(_ASK, b"")
    sent(here)
    with pytest.raises(frames.ProtocolError):
        here.receive(data)
    assert frame(7)[3:] in sent(here) and not here.is_open


def test_more_bytes_than_were_granted_are_refused() -> None:
    here = http2.Connection(is_client=True)
    here.open(_ASK, b"")
    here.receive(_SETTINGS)
    for _ in range(64):  # granted anew when half is used
        here.receive(frame(0, 0, 1, bytes(16384)) * 4)
    there = http2.Connection(is_client=True)
    there.open(_ASK, b"")
    there.receive(_SETTINGS)
    there._streams[1].left = 0
    with pytest.raises(frames.ProtocolError) as broken:
        there.receive(frame(0, 0, 1, b"x"))
    assert broken.value.code == frames.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("make", [lambda: http2.Connection(is_client=True), lambda: http2.Connection(is_client=False)])
@given(data=st.lists(st.tuples(st.integers(0, 10), st.integers(0, 255), st.integers(0, 4), st.binary(max_size=30))))
def test_no_frames_break_the_connection(
    make: Callable[[], http2.Connection], data: list[tuple[int, int, int, bytes]]
) -> None:
    here = make()
    if here._is_client:
        here.open(_ASK, b"x")
    start = _SETTINGS if here._is_client else frames.PREFACE + _SETTINGS
    try:
        here.receive(start + b"".join(frame(*one) for one in data))
    except frames.ProtocolError:
        assert not here.is_open


# A server with terms of its own

_TERMS = streams.Terms(
    at_once=3, first_window=1000, window=5000, granted_at_once=1, link_window=100_000, header_bytes=500, nuisances=10
)
_START = frames.PREFACE + _SETTINGS
_GET = b"\x82\x87\x84\x41\x01x"


def server() -> http2.Connection:
    here = http2.Connection(is_client=False, terms=_TERMS)
    here.receive(_START)
    sent(here)
    return here


def kinds(data: bytes) -> list[tuple[int, int, int]]:
    """Kind, stream and, of a grant, its size."""
    return [
        (kind, number, int.from_bytes(payload, "big") if kind == frames.WINDOW else 0)
        for kind, _, number, payload in frames.Reader(awaits_preface=False).feed(data)
    ]


def test_of_streams_that_want_more_than_at_first_few_get_it_at_a_time() -> None:
    here = server()
    here.receive(frame(1, 4, 1, _GET) + frame(1, 4, 3, _GET) + frame(0, 0, 1, bytes(600)) + frame(0, 0, 3, bytes(600)))
    assert kinds(sent(here)) == [(frames.WINDOW, 1, 4600)]
    here.receive(frame(0, 1, 1, bytes(5000)))
    assert kinds(sent(here)) == [(frames.WINDOW, 3, 4600)]
    here.receive(frame(1, 4, 5, _GET) + frame(0, 0, 5, bytes(600)))
    assert kinds(sent(here)) == []
    here.receive(frame(3, 0, 3, bytes(4)))
    assert kinds(sent(here)) == [(frames.WINDOW, 5, 4600)]


def test_who_sends_more_than_was_granted_is_left() -> None:
    here = server()
    here.receive(frame(1, 4, 1, _GET))
    with pytest.raises(frames.ProtocolError) as broken:
        here.receive(frame(0, 0, 1, bytes(1001)))
    assert broken.value.code == frames.FLOW_CONTROL_ERROR


def test_an_answer_before_the_question_is_out_makes_the_rest_of_it_unwanted() -> None:
    here = server()
    here.receive(frame(1, 4, 1, _GET))
    here.begin(1, b"\x88", ends=False)
    here.send(1, (b"x",), ends=True)
    assert [kind for kind, _, _ in kinds(sent(here) + sent(here))] == [frames.HEADERS, frames.DATA, frames.RESET]
    assert here.is_idle
    assert here.receive(frame(0, 1, 1, b"rest")) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0, 0, 1, bytes(99)), frames.PROTOCOL_ERROR),
        (frame(3, 0, 1, bytes(4)), frames.PROTOCOL_ERROR), (frame(8, 0, 1, b"\0\0\0\1"), frames.PROTOCOL_ERROR),
        (frame(1, 4, 2, _GET), frames.PROTOCOL_ERROR), (frame(4, 0, 1), frames.PROTOCOL_ERROR),
        (frame(6, 0, 1, bytes(8)), frames.PROTOCOL_ERROR), (frame(7, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
        (frame(4, 1, 0, bytes(6)), frames.FRAME_SIZE_ERROR), (frame(2, 0, 1, bytes(4)), frames.FRAME_SIZE_ERROR),
        (frame(2, 0, 1, b"\0\0\0\1\0"), frames.PROTOCOL_ERROR), (frame(8, 0, 0, bytes(3)), frames.FRAME_SIZE_ERROR),
        (frame(4, 0, 0, b"\0\2\0\0\0\2"), frames.PROTOCOL_ERROR),
        (frame(4, 0, 0, b"\0\5\0\0\0\1"), frames.PROTOCOL_ERROR),
        (frame(1, 4, 1, _GET) + frame(8, 0, 1, bytes(4)), frames.PROTOCOL_ERROR),
        (frame(1, 4, 1, _GET) + frame(8, 0, 1, b"\x7f\xff\xff\xff"), frames.FLOW_CONTROL_ERROR),
        (frame(1, 0, 1, _GET) + frame(9, 0, 1, bytes(501)), frames.ENHANCE_YOUR_CALM),
        (frame(1, 0x24, 1, b"\0\0\0\1\0" + _GET), frames.PROTOCOL_ERROR),
        (frame(3, 0, 0, bytes(4)), frames.PROTOCOL_ERROR),
    ],
)  # fmt: skip
def test_a_server_leaves_those_who_break_the_rules(data: bytes, code: int) -> None:
    here = server()
    with pytest.raises(frames.ProtocolError) as broken:
        here.receive(data)
    assert broken.value.code == code
    assert (frames.GOAWAY, 0, 0) in kinds(sent(here))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, 5, 1, _GET) + frame(0, 0, 1, bytes(99)), frames.STREAM_CLOSED),
        (frame(1, 5, 1, _GET) + frame(1, 5, 1, b""), frames.STREAM_CLOSED),
        (frame(1, 4, 1, _GET) + frame(1, 4, 1, b""), frames.PROTOCOL_ERROR),
    ],
)
def test_what_breaks_the_rules_of_one_stream_ends_it_alone(data: bytes, code: int) -> None:
    here = server()
    assert here.receive(data)[-1] == streams.StreamReset(1, code)
    assert here.is_open and here.is_idle
    assert streams.StreamEnded(3) in here.receive(frame(1, 5, 3, _GET))


@pytest.mark.parametrize(
    "nuisance", [frame(6, 0, 0, bytes(8)), _SETTINGS, frame(2, 0, 9, bytes(5)), frame(8, 0, 0, b"\0\0\0\1"), frame(77)]
)
def test_what_carries_nothing_is_borne_for_a_while(nuisance: bytes) -> None:
    here = server()
    here.forgive()
    here.receive(nuisance * 10)
    here.forgive()
    here.receive(nuisance * 10)
    with pytest.raises(frames.ProtocolError) as broken:
        here.receive(nuisance)
    assert broken.value.code == frames.ENHANCE_YOUR_CALM


def test_who_takes_much_may_grant_often() -> None:
    here = server()
    here.receive(frame(4, 0, 0, b"\0\4\0\0\0\0") + frame(1, 5, 1, _GET))
    here.begin(1, b"\x88", ends=False)
    here.send(1, (bytes(30_000),), ends=True)
    for _ in range(300):
        here.receive(frame(8, 0, 1, b"\0\0\0\x64"))
        sent(here)
    assert here.is_idle


def test_too_many_headers_are_told_and_the_connection_goes_on() -> None:
    here = server()
    much = b"\0\x01a\x64" + b"x" * 100
    assert here.receive(frame(1, 5, 3, _GET + much * 4)) == [streams.TooManyHeaders(3), streams.StreamEnded(3)]
    assert streams.StreamEnded(5) in here.receive(frame(1, 5, 5, _GET))


def test_a_server_that_leaves_takes_no_more_streams_and_ends_those_it_has() -> None:
    here = server()
    here.receive(frame(1, 5, 1, _GET))
    here.leave()
    assert sent(here) == frame(7, 0, 0, (1).to_bytes(4, "big") + bytes(4))
    assert here.receive(frame(1, 4, 3, _GET) + frame(0, 1, 3, bytes(99))) == []
    here.begin(1, b"\x88", ends=True)
    assert sent(here) == frame(1, 5, 1, b"\x88") and here.is_idle
