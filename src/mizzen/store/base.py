"""The Store seam: revisioned keys and bytes, compare-and-set writes, watches; what etcd promises, no more.

One global revision grows by one with every write; a key's value remembers the revision that wrote it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol


class Conflict(Exception):
    """The key is not in the expected state; `current` is what is there now (None: nothing)."""

    def __init__(self, current: "Value | None") -> None:
        super().__init__("the key is not at the expected revision")
        self.current = current


class Compacted(Exception):
    """The revision asked for is older than the history that is kept."""


class StoreFull(Exception):
    """The quota is used up or the disk is full: writes are refused, reads go on."""


class Unusable(Exception):
    """The store cannot be opened or read; the text says why."""


class Damaged(Unusable):
    """What is on the disk is not what was written."""


@dataclass(frozen=True, slots=True)
class Value:
    """A key, its bytes and the revision that wrote them."""

    key: str
    data: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """One write as a watcher sees it: PUT carries the new data, DELETE none."""

    type: Literal["PUT", "DELETE"]
    key: str
    data: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Values in key order, the revision they show, and whether more follow."""

    values: tuple[Value, ...]
    revision: int
    more: bool


class Store(Protocol):
    """Keys are strings such as `pods/default/web-0`; all writes are durable when they return."""

    @property
    def revision(self) -> int:
        """The revision of the latest durable write."""

    @property
    def compacted(self) -> int:
        """The revision after which the history is complete."""

    async def get(self, key: str) -> Value | None:
        """The current value of a key."""

    async def list(self, prefix: str, *, at: int = 0, after: str = "", limit: int = 0) -> Page:
        """Values under a prefix, now or as of a revision. Raises Compacted."""

    async def put(self, key: str, data: bytes, *, expect: int | None = None) -> int:
        """Write and answer the revision. `expect`: the revision the key must be at, 0 for absent; None: any.

        Raises Conflict, StoreFull.
        """

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        """Remove a key and answer the revision. Raises Conflict (also when it is absent), StoreFull."""

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[Change, ...]]:
        """Batches of changes after a revision, in order, without gaps. Raises Compacted."""

    async def compact(self, revision: int) -> None:
        """Forget history up to a revision; current values stay."""

    async def close(self) -> None:
        """Finish pending writes and release the store."""
