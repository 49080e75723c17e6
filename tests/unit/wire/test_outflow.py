"""Flow control of what is sent, under random schedules of bodies, grants and pulls."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.wire import frames
from mizzen.wire.outflow import Outflow, Sending

_FIRST = 1000


@dataclass
class Receiver:
    """Takes frames apart and holds the sender to what was granted."""

    link: int = frames.DEFAULT_WINDOW
    windows: dict[int, int] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        for kind, flags, number, payload in frames.Reader(awaits_preface=False).feed(data):
            assert kind == frames.DATA and number not in self.ended
            self.link -= len(payload)
            self.windows[number] -= len(payload)
            assert self.link >= 0 and self.windows[number] >= 0
            self.bodies[number] = self.bodies.get(number, b"") + payload
            self.order.append(number)
            if flags & frames.ENDS:
                self.ended.append(number)


_STEPS = st.one_of(
    st.tuples(st.just("body"), st.integers(1, 5), st.lists(st.integers(0, 40_000), max_size=3)),
    st.tuples(st.just("grant"), st.integers(1, 5), st.integers(1, 50_000)),
    st.tuples(st.just("grant all"), st.just(0), st.integers(1, 100_000)),
    st.tuples(st.just("pull"), st.just(0), st.integers(1, 100_000)),
    st.tuples(st.just("end"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("drop"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("less"), st.integers(1, 5), st.integers(1, 2000)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_STEPS, max_size=40))
def test_no_window_is_overrun_and_all_arrives_in_order(steps: list[tuple[str, int, object]]) -> None:
    outflow, receiver = Outflow(), Receiver(windows=dict.fromkeys(range(1, 6), _FIRST))
    streams = {number: Sending(number, _FIRST) for number in range(1, 6)}
    said: dict[int, bytes] = dict.fromkeys(streams, b"")
    dropped: set[int] = set()
    for step, number, detail in steps:
        stream = streams.get(number)
        if step == "pull":
            assert isinstance(detail, int)
            receiver.take(outflow.pull(detail))
        elif step == "grant all":
            assert isinstance(detail, int)
            outflow.widen_all(detail)
            receiver.link += detail
        elif stream is None or stream.has_ended:
            continue
        elif step == "body" and not stream.ends:
            assert isinstance(detail, list)
            pieces = [bytes([number + at]) * size for at, size in enumerate(detail)]
            outflow.body(stream, pieces, ends=False)
            said[number] += b"".join(pieces)
        elif step == "end" and not stream.ends:
            outflow.body(stream, (), ends=True)
        elif step == "drop":
            outflow.drop(stream)
            dropped.add(number)
        elif isinstance(detail, int):
            change = detail if step == "grant" else -detail
            if step != "less" or receiver.windows[number] >= detail:  # a setting may take back what is on its way
                outflow.widen(stream, change)
                receiver.windows[number] += change
    receiver.take(outflow.pull(1 << 62))
    for number, stream in streams.items():
        arrived = receiver.bodies.get(number, b"")
        assert said[number].startswith(arrived)
        if number not in dropped:
            assert stream.size == len(said[number]) - len(arrived)
    assert outflow.waiting_bytes == sum(stream.size for stream in streams.values())
    # with windows wide open, all that was not dropped comes to its end
    receiver.link += 1 << 30
    outflow.widen_all(1 << 30)
    for number, stream in streams.items():
        if number not in dropped and not stream.has_ended:
            receiver.windows[number] += 1 << 30
            outflow.widen(stream, 1 << 30)
    receiver.take(outflow.pull(1 << 62))
    for number, stream in streams.items():
        if number not in dropped:
            assert receiver.bodies.get(number, b"") == said[number]
            assert (number in receiver.ended) == stream.ends
    assert outflow.waiting_bytes == 0


def test_bodies_take_turns() -> None:
    outflow, receiver = Outflow(), Receiver(1 << 30, {1: 1 << 30, 3: 1 << 30})
    outflow.widen_all(1 << 30)
    for number in (1, 3):
        outflow.body(Sending(number, 1 << 30), (bytes(200_000),), ends=True)
    receiver.take(outflow.pull(1 << 62))
    assert receiver.order.index(3) < 8 and receiver.ended == [1, 3]


def test_a_pull_takes_about_as_much_as_it_was_asked_for() -> None:
    outflow = Outflow()
    outflow.widen_all(1 << 30)
    outflow.body(Sending(1, 1 << 30), (bytes(1_000_000),), ends=True)
    assert len(outflow.pull(100_000)) < 100_000 + frames.LARGEST + 100
    assert outflow.waiting_bytes >= 1_000_000 - 100_000 - frames.LARGEST


def test_a_table_that_the_other_side_makes_smaller_is_spoken_of_once() -> None:
    outflow = Outflow()
    outflow.forgo_table()
    for number in (1, 3):
        outflow.headers(Sending(number, _FIRST), b"\x88", ends=True)
    assert outflow.pull(0) == frames.frame(1, 5, 1, b"\x20\x88") + frames.frame(1, 5, 3, b"\x88")


@pytest.mark.parametrize("size", [1, frames.LAST_NUMBER])
def test_windows_have_a_limit(size: int) -> None:
    outflow = Outflow()
    outflow.widen_all(frames.LAST_NUMBER - frames.DEFAULT_WINDOW)
    with pytest.raises(frames.ProtocolError):
        outflow.widen_all(size)
