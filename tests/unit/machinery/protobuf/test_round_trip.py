"""What goes out in protobuf comes back as it was, for every kind."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.machinery.protobuf.objects import lost, made_up

from mizzen.api.kinds import KINDS
from mizzen.machinery.protobuf import envelope
from mizzen.machinery.protobuf.messages import message_of, names
from mizzen.machinery.protobuf.reader import reader_of
from mizzen.machinery.protobuf.writer import writer_of
from mizzen.machinery.schema import registry


def test_every_built_in_kind_has_a_message() -> None:
    assert [kind.kind for kind in KINDS if message_of(kind.api_version, kind.kind) is None] == []


def test_every_built_in_list_has_a_message() -> None:
    listed = [kind for kind in KINDS if registry.find(kind.group, kind.version, kind.kind + "List") is not None]
    assert len(listed) > 60
    assert [kind.kind for kind in listed if message_of(kind.api_version, kind.kind + "List") is None] == []


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(min_value=0))
def test_an_object_of_any_kind_survives_the_wire(seed: int) -> None:
    rng = Random(seed)
    for kind in KINDS:
        schema = registry.find(kind.group, kind.version, kind.kind)
        assert schema is not None
        obj = {**made_up(schema, rng), "kind": kind.kind, "apiVersion": kind.api_version}
        back = envelope.read(envelope.opened(envelope.write(obj)), "", "")
        assert lost(obj, back) == [], kind.kind
        assert envelope.read(envelope.opened(envelope.write(back)), "", "") == back


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(min_value=0), cut=st.floats(min_value=0, max_value=0.999))
def test_a_cut_or_garbled_message_is_refused_or_read_but_never_crashes(seed: int, cut: float) -> None:
    rng = Random(seed)
    kind = rng.choice(KINDS)
    schema = registry.find(kind.group, kind.version, kind.kind)
    assert schema is not None
    raw = bytearray(envelope.message(made_up(schema, rng), kind.api_version, kind.kind))
    if raw and rng.random() < 0.5:
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    body = envelope.wrapped(kind.api_version, kind.kind, raw[: int(len(raw) * cut)])
    try:
        envelope.read(envelope.opened(body), "", "")
    except ValueError as error:
        assert str(error)


def test_all_messages_can_be_written_and_read() -> None:
    for name in names():
        body = bytes(writer_of(name).write({}))
        reader_of(name).read(body, 0, len(body))
