"""Fresh identifiers and random letters; the system is asked for randomness a page at a time, which costs a tenth."""

import os
from typing import Final

LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names: none that could spell a word or be mistaken."""
_PAGE: Final = 4096


class _Pool:
    """Random bytes, each handed out once."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(_PAGE), 0
        start, self._at = self._at, self._at + count
        return self._bytes[start : self._at]


_pool = _Pool()


def uid() -> str:
    """A random UUID. Ref: RFC 9562, version 4."""
    taken = bytearray(_pool.take(16))
    taken[6] = taken[6] & 0x0F | 0x40
    taken[8] = taken[8] & 0x3F | 0x80
    text = taken.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def number() -> int:
    """A number of 40 random bits."""
    return int.from_bytes(_pool.take(5), "big")


def letters(count: int) -> str:
    """A suffix of this many letters for a name."""
    rest, text = int.from_bytes(_pool.take(count), "big"), ""
    for _ in range(count):
        rest, place = divmod(rest, len(LETTERS))
        text += LETTERS[place]
    return text
