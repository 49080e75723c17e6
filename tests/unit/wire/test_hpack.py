"""Header compression, against the library of another project."""

from contextlib import suppress

import hpack as other
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.wire import hpack

_TEXT = st.text(st.characters(max_codepoint=255), max_size=40)
_NAMES = st.one_of(st.sampled_from(["grpc-status", "grpc-message", ":status", "content-type"]), _TEXT)
_BLOCKS = st.lists(st.lists(st.tuples(_NAMES, _TEXT), max_size=8), max_size=8)


@given(_BLOCKS, st.booleans(), st.integers(0, 400))
def test_what_another_compresses_is_read(blocks: list[list[tuple[str, str]]], huffman: bool, size: int) -> None:
    encoder, decoder = other.Encoder(), hpack.Decoder()
    for number, block in enumerate(blocks):
        if number == 2:
            encoder.header_table_size = size
        sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in block]
        assert decoder.decode(encoder.encode(sent, huffman=huffman)) == block


@given(_BLOCKS)
def test_what_is_written_another_reads(blocks: list[list[tuple[str, str]]]) -> None:
    decoder = other.Decoder()
    for block in blocks:
        read = decoder.decode(hpack.encode(block), raw=True)
        assert [(name.decode("latin-1"), value.decode("latin-1")) for name, value in read] == block


@pytest.mark.parametrize(
    "block",
    [
        b"\x80", b"\xc8", b"\x40\x05ab", b"\x40", b"\x7f\xff\xff\xff\xff\xff\x01", b"\x3f\xe1\x7f",
        b"\x82\x20", b"\x40\x81\x00\x01a", b"\x40\x84\xff\xff\xff\xff\x01a", b"\x40\x85\xff\xff\xff\xff\xff\x01a",
    ],
)  # fmt: skip
def test_what_breaks_the_rules_is_refused(block: bytes) -> None:
    with pytest.raises(hpack.Undecodable):
        hpack.Decoder().decode(block)


def test_a_small_block_that_stands_for_much_is_refused_and_those_after_it_are_read() -> None:
    decoder = hpack.Decoder()
    decoder.decode(b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000)
    with pytest.raises(hpack.TooMany):
        decoder.decode(b"\xbe" * 100 + b"\x40\x01b\x01c")
    assert decoder.decode(b"\xbe") == [("b", "c")]


def test_the_same_block_read_again_changes_the_table_again() -> None:
    decoder = hpack.Decoder()
    for _ in range(2):
        assert decoder.decode(b"\x40\x01a\x011") == [("a", "1")]
    decoder.decode(b"\x40\x01b\x012")
    assert decoder.decode(b"\xbe\xbf\xc0") == [("b", "2"), ("a", "1"), ("a", "1")]
    assert decoder.decode(b"\xbe") == decoder.decode(b"\xbe") == [("b", "2")]
    decoder.decode(b"\x40\x01c\x013")
    assert decoder.decode(b"\xbe") == [("c", "3")]


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(block: bytes) -> None:
    with suppress(hpack.Undecodable):
        hpack.Decoder().decode(block)
