"""Lists whose objects are encoded one by one, and the latest big ones: clients that start together ask for the same."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from isal import isal_zlib

AT_ONCE: Final = 100
"""Objects that are encoded before other clients have a turn: some milliseconds of work."""
_FROM: Final = 50
"""Objects from which on a list is worth keeping."""
ONE_BYTES: Final = 8 << 20
"""Lists longer than this are not kept."""
_ALL_BYTES: Final = 32 << 20


@dataclass(slots=True, eq=False)
class _List:
    """Joined objects, how they were encoded, what tails they were made of, and, once asked for, the same deflated."""

    form: Hashable
    tails: Sequence[bytes]
    made: bytes
    deflated: bytes = b""


class RecentLists:
    """Joined objects by how they were encoded and the tails that they were made of; the oldest go first."""

    def __init__(self, limit: int = _ALL_BYTES) -> None:
        self._limit = limit
        self._size = 0
        self._known: deque[_List] = deque()

    def find(self, form: Hashable, tails: Sequence[bytes]) -> bytes | None:
        """The list of these tails in a form, when it is known."""
        if len(tails) >= _FROM:
            for known in self._known:
                # Unchanged tails are the same objects, so that comparing them is comparing pointers.
                if known.form == form and (known.tails is tails or known.tails == tails):
                    return known.made
        return None

    def get(self, form: Hashable, tails: Sequence[bytes], make: Callable[[], bytes]) -> bytes:
        """The same, made when it is not known."""
        found = self.find(form, tails)
        if found is not None:
            return found
        made = make()
        if len(tails) >= _FROM and len(made) <= ONE_BYTES:
            self._known.append(_List(form, tails, made))
            self._grow(len(made))
        return made

    def deflated(self, made: bytes) -> bytes:
        """Bytes deflated up to a byte's end, so that more can follow; those of a list that is kept are kept with it."""
        known = next((one for one in self._known if one.made is made), None)
        if known is None:
            return _deflate(made)
        if not known.deflated:
            known.deflated = _deflate(made)
            self._grow(len(known.deflated))
        return known.deflated

    def _grow(self, size: int) -> None:
        self._size += size
        while self._size > self._limit:
            oldest = self._known.popleft()
            self._size -= len(oldest.made) + len(oldest.deflated)


def _deflate(made: bytes) -> bytes:
    """Blocks of DEFLATE, none of them the last, that end with a byte. Ref: RFC 1951."""
    machine = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
    return machine.compress(made) + machine.flush(isal_zlib.Z_FULL_FLUSH)


RECENT: Final = RecentLists()
"""The lists of all kinds."""


class Encoding:
    """The objects of one list answer, each encoded by `encode`; lists of the same form look the same."""

    def __init__(self, form: Hashable, encode: Callable[[bytes], bytes]) -> None:
        self._form = form
        self._encode = encode
        self._made: Sequence[bytes] = ()

    async def prepare(self, tails: Sequence[bytes]) -> None:
        """Encode a long list bit by bit, so that others are answered meanwhile; `joined` is for the same tails then.

        Who asks for the same meanwhile waits for what is being made.
        """
        while not self._made and RECENT.find(self._form, tails) is None:
            underway = next((one for one in _underway if one.form == self._form and one.tails == tails), None)
            if underway is None:
                self._made = await self._encoded(_Underway(self._form, tails))
            else:
                await underway.ended.wait()
                self._made = underway.made

    async def _encoded(self, underway: "_Underway") -> Sequence[bytes]:
        made: list[bytes] = []
        _underway.append(underway)
        try:
            for start in range(0, len(underway.tails), AT_ONCE):
                made += map(self._encode, underway.tails[start : start + AT_ONCE])
                await asyncio.sleep(0)
            underway.made = made
        finally:
            _underway.remove(underway)
            underway.ended.set()
        return made

    def joined(self, separator: bytes, tails: Sequence[bytes]) -> bytes:
        """The objects with the separator between them."""
        return RECENT.get(self._form, tails, lambda: separator.join(self._made or map(self._encode, tails)))


@dataclass(slots=True, eq=False)
class _Underway:
    """A long list that is being encoded; nothing is made when whoever made it left."""

    form: Hashable
    tails: Sequence[bytes]
    made: Sequence[bytes] = ()
    ended: asyncio.Event = field(default_factory=asyncio.Event)


_underway: list[_Underway] = []
