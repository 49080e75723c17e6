"""Allocators give objects what only the server can give (addresses, ports) and take it back."""

from collections.abc import Callable, Sequence
from typing import Protocol

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object
from mizzen.server.call import Write


class Allocator(Protocol):
    """Fills in allocated fields of the kinds it knows."""

    def handles(self, kind: Kind) -> bool:
        """Whether objects of this kind hold something of this allocator's."""

    def allocate(self, obj: Object, old: Object | None) -> Callable[[], None]:
        """Fill in what is missing, in place; answers how to take it back should the write fail. Raises ApiError."""

    def release(self, obj: Object) -> None:
        """The object is gone: its allocations are free again."""


class Allocations:
    """All allocators."""

    def __init__(self, allocators: Sequence[Allocator]) -> None:
        self._allocators = tuple(allocators)

    def allocate(self, write: Write, obj: Object, old: Object | None) -> Callable[[], None]:
        """Let the allocators of a kind fill in an object. Raises ApiError, with nothing left allocated."""
        if write.subresource:
            return _nothing
        undo: list[Callable[[], None]] = []
        for allocator in self._allocators:
            if allocator.handles(write.kind):
                try:
                    undo.append(allocator.allocate(obj, old))
                except BaseException:
                    _all(undo)
                    raise
        return (lambda: _all(undo)) if undo else _nothing

    def release(self, kind: Kind, obj: Object) -> None:
        """Give back what an object held."""
        for allocator in self._allocators:
            if allocator.handles(kind):
                allocator.release(obj)


def _nothing() -> None:
    return None


def _all(undo: list[Callable[[], None]]) -> None:
    while undo:
        undo.pop()()
