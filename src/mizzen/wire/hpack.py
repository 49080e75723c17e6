"""Header compression of HTTP/2: everything that a peer may write is read; what is written needs no table.

Ref: RFC 7541
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

Headers = list[tuple[str, str]]
_STATIC_NAMES: Final = (
    ":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|"
    ":status 204|:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|"
    "accept-encoding gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|"
    "authorization|cache-control|content-disposition|content-encoding|content-language|content-length|"
    "content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|"
    "if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|"
    "proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|"
    "strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
_STATIC: Final = tuple((name, value) for name, _, value in (one.partition(" ") for one in _STATIC_NAMES.split("|")))
_TABLE_LIMIT: Final = 4096
"""Bytes of the dynamic table, as long as nothing else is agreed upon."""
_ENTRY_COST: Final = 32
_LIST_LIMIT: Final = 256 << 10
"""Bytes that the headers of one block may come to, where nothing else is said."""
_MOST_BITS: Final = 30
_STEPS_KEPT: Final = 8192
_BLOCKS_KEPT: Final = 16
_PACKED_KEPT: Final = 64
"""Bytes of compressed texts that are kept with what they say: names and paths, but no tokens."""
_SYMBOLS: Final = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
}
"""Symbols of the Huffman code by the length of their codes, for what headers are made of; see `_lengths`."""
_RARE: Final = (
    "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28",
    "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24",
    "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23",
    "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27",
    "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26",
)
"""Lengths of the codes of the symbols 0 to 31, and 128 to 255."""


class Undecodable(Exception):
    """A header block that breaks the rules; the connection cannot go on."""


class TooMany(Exception):
    """A header block that comes to more than is taken; those after it can still be read."""


def _lengths() -> list[int]:
    first, *others = ([int(one) for one in row.split()] for row in _RARE)
    lengths = [*first, *[0] * 96, *(one for row in others for one in row)]
    for length, symbols in _SYMBOLS.items():
        for symbol in symbols:
            lengths[symbol] = length
    lengths[ord("\\")], lengths[127] = 19, 28
    return lengths


def _codes() -> dict[int, int]:
    """Code with a 1 before it → symbol: codes are numbered by length, then by symbol."""
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(_lengths())):
        code <<= length - before
        codes[1 << length | code] = symbol
        code, before = code + 1, length
    return codes


_CODES: Final = _codes()
_STEPS: Final[dict[tuple[int, int], tuple[int, bytes]]] = {}
"""Bits left over, with a 1 before them, and the next byte → bits left over then, and the symbols that were complete."""
_NAMES: Final = {name: number + 1 for number, (name, _) in reversed(tuple(enumerate(_STATIC)))}
_PAIRS: Final = {pair: number + 1 for number, pair in enumerate(_STATIC) if pair[1]}


def encode(headers: Iterable[tuple[str, str]]) -> bytes:
    """A header block that changes nobody's table: headers that everybody knows by number, all else as literals."""
    return b"".join([encode_one(name, value) for name, value in headers])


def encode_one(name: str, value: str) -> bytes:
    """A header as it may stand in any block."""
    if (known := _PAIRS.get((name, value))) is not None:
        return bytes((0x80 | known,))
    return name_of(name) + _text(value)


@lru_cache(maxsize=256)
def name_of(name: str) -> bytes:
    """How a header begins whose value follows as a text."""
    known = _NAMES.get(name)
    return _integer(known, 4) if known is not None else b"\0" + _text(name)


def _text(text: str) -> bytes:
    data = text.encode("latin-1", "replace")
    return _integer(len(data), 7) + data


def _integer(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out, value = bytearray((most,)), value - most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Decoder:
    """Reads the header blocks of one connection, in their order."""

    def __init__(self, list_limit: int = _LIST_LIMIT) -> None:
        self._table: list[tuple[str, str]] = []
        self._size = 0
        self._limit = _TABLE_LIMIT
        self._list_limit = list_limit
        self._changes = 0
        self._blocks: dict[bytes, Headers] = {}
        """What was read since the table last changed, and did not change it: the same again means the same."""

    def decode(self, block: bytes) -> Headers:
        """The headers of a block, for reading only. Raises Undecodable, TooMany."""
        if (known := self._blocks.get(block)) is not None:
            return known
        before = self._changes
        found = self._read(block)
        if before == self._changes and len(self._blocks) < _BLOCKS_KEPT and len(block) < _PACKED_KEPT:
            self._blocks[block] = found
        return found

    def _read(self, block: bytes) -> Headers:
        found: Headers = []
        at = total = 0
        try:
            while at < len(block):
                first = block[at]
                if first & 0x80:
                    index, at = _read_integer(block, at, 7)
                    header = self._entry(index)
                elif first & 0xE0 == 0x20:
                    limit, at = _read_integer(block, at, 5)
                    if limit > _TABLE_LIMIT or found:
                        raise Undecodable("a change of the table that was not agreed upon")
                    self._limit = limit
                    self._change()
                    self._shrink()
                    continue
                else:
                    header, at = self._literal(block, at, 6 if first & 0x40 else 4)
                    if first & 0x40:
                        self._keep(header)
                total += len(header[0]) + len(header[1]) + _ENTRY_COST
                if total <= self._list_limit:
                    found.append(header)
        except IndexError:
            raise Undecodable("a header is cut off") from None
        if total > self._list_limit:
            raise TooMany(f"headers of {total} bytes")
        return found

    def _literal(self, block: bytes, at: int, bits: int) -> tuple[tuple[str, str], int]:
        index, at = _read_integer(block, at, bits)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _read_text(block, at)
        value, at = _read_text(block, at)
        return (name, value), at

    def _entry(self, index: int) -> tuple[str, str]:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        if 0 < index - len(_STATIC) <= len(self._table):
            return self._table[index - len(_STATIC) - 1]
        raise Undecodable(f"no header has the index {index}")

    def _keep(self, header: tuple[str, str]) -> None:
        self._change()
        self._table.insert(0, header)
        self._size += _cost(header)
        self._shrink()

    def _change(self) -> None:
        self._changes += 1
        self._blocks.clear()

    def _shrink(self) -> None:
        while self._size > self._limit:
            self._size -= _cost(self._table.pop())


def _cost(header: tuple[str, str]) -> int:
    return len(header[0]) + len(header[1]) + _ENTRY_COST


def _read_integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 29, 7):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Undecodable("a number is too big")


def _read_text(block: bytes, at: int) -> tuple[str, int]:
    is_packed = bool(block[at] & 0x80)
    size, at = _read_integer(block, at, 7)
    end = at + size
    if end > len(block):
        raise Undecodable("a text is cut off")
    if not is_packed:
        return block[at:end].decode("latin-1"), end
    return (_often_unpacked if size < _PACKED_KEPT else _unpacked)(block[at:end]), end


def _unpacked(data: bytes) -> str:
    """Raises Undecodable."""
    out: list[bytes] = []
    left, steps = 1, _STEPS
    for byte in data:
        step = steps.get((left, byte))
        if step is None:
            step = _step(left, byte)
            if len(steps) < _STEPS_KEPT:
                steps[left, byte] = step
        left = step[0]
        out.append(step[1])
    if left > 0xFF or left & (left + 1):  # the beginning of a code of ones alone, shorter than a byte
        raise Undecodable("a text is padded with something else")
    return b"".join(out).decode("latin-1")


_often_unpacked = lru_cache(maxsize=1024)(_unpacked)


def _step(left: int, byte: int) -> tuple[int, bytes]:
    out = bytearray()
    for shift in range(7, -1, -1):
        left = left << 1 | (byte >> shift & 1)
        if (symbol := _CODES.get(left)) is not None:
            out.append(symbol)
            left = 1
        elif left >> _MOST_BITS:
            raise Undecodable("no symbol has this code")
    return left, bytes(out)
