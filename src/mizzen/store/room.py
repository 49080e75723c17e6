"""Room on the disk for the embedded store, taken before it is needed, and a little of it kept for a full disk.

The file grows by whole steps that the file system has promised, so that what was committed can always be moved from
the log into it. One row holds pages that only deletes and small updates get: a full disk must not keep users from
freeing space.
"""

import ctypes
import os
from pathlib import Path
from typing import Final

import apsw

_STEP: Final = 1 << 20
"""Bytes that the file grows by at least, so that few writes find it full; by an eighth, once that is more."""
_LOG_BYTES: Final = 2 << 20
"""Of the log, always there: far more than a checkpoint leaves in it, and enough for the largest object."""
_KEPT_PAGES: Final = 128
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS kept (filler BLOB NOT NULL)"


class Room:
    """What one writing connection may use of the disk; its methods are called where that connection is used."""

    def __init__(self, connection: apsw.Connection, path: Path, max_bytes: int) -> None:
        self._connection = connection
        self._page: int = connection.pragma("page_size")
        self._most = max(64, max_bytes // self._page) if max_bytes else 0
        self._kept = min(_KEPT_PAGES, self._most // 8) if self._most else _KEPT_PAGES
        self._step = min(_STEP, self._kept * self._page) if self._most else _STEP
        # Open as long as the connections are: to close it would take SQLite's locks on the file from this process.
        self._file = path.open("r+b", buffering=0)
        self._round_to(self._step)
        self.spent = not self._prepare(path)
        """Whether the disk is full and what was kept is in use: room is left for updates and deletes alone."""

    def grow(self, size: int) -> bool:
        """Take room for so many bytes more; False when there is none. Whoever has used it calls `settle`."""
        pages: int = self._connection.pragma("page_count")
        step = self._step if self._most else max(self._step, 1 << (pages * self._page // 8).bit_length() - 1)
        wanted = _whole((pages + 2 * (size // self._page) + 1) * self._page, step) // self._page
        if self._most:
            wanted = min(wanted, self._most)
        if wanted <= self._connection.pragma("max_page_count"):
            return False
        if not self._extend(wanted * self._page):
            return False
        self._round_to(step)
        self._step = step
        self._connection.pragma("max_page_count", wanted)
        return True

    def close(self) -> None:
        """Let go of the file, once its connections are closed."""
        self._file.close()

    def settle(self) -> None:
        """Let the limit be where the file ends: a checkpoint gives back whole steps that are not used."""
        size = self._connection.pragma("page_count") * self._page
        pages = _whole(size, self._step) // self._page
        self._connection.pragma("max_page_count", min(pages, self._most) if self._most else pages)

    def release(self) -> None:
        """The disk is full: let go what was kept. Raises apsw.Error."""
        self.spent = True
        self._connection.execute("DELETE FROM kept")

    def has_for_update(self, size: int) -> bool:
        """Whether an update of so many bytes leaves enough for deletes."""
        return self._free() >= self._kept // 2 + size // self._page + 2

    def restore(self, size: int) -> bool:
        """Keep some room again, if there is more than that and so many bytes; tells whether there is."""
        needed = self._kept + self._kept // 2 + size // self._page
        if self._free() < needed and not self.grow(needed * self._page):
            return False
        try:
            self._keep()
        except apsw.FullError:
            return False
        finally:
            self.settle()
        self.spent = False
        return True

    def _prepare(self, path: Path) -> bool:
        """Take what is needed to go on when the disk is full; tells whether it was to be had."""
        self._connection.pragma("max_page_count", self._connection.pragma("page_count"))
        try:
            self._extend_log(path)
            if self.grow(0):
                self.settle()
            self._connection.execute(_SCHEMA)
        except (OSError, apsw.FullError):
            return False
        return self._has_kept() or self.restore(0)

    def _has_kept(self) -> bool:
        return self._connection.execute("SELECT 1 FROM kept").fetchone() is not None

    def _extend_log(self, path: Path) -> None:
        """Zeros at the end of the log mean nothing to SQLite."""
        fd = os.open(path.with_name(f"{path.name}-wal"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if os.fstat(fd).st_size < _LOG_BYTES:
                os.posix_fallocate(fd, 0, _LOG_BYTES)
        finally:
            os.close(fd)

    def _keep(self) -> None:
        self._connection.execute("INSERT INTO kept VALUES (zeroblob(?))", (self._kept * self._page,))

    def _extend(self, size: int) -> bool:
        """Have the file system promise this size of the file; tells whether it does.

        SQLite would write a byte into every page instead, which costs half as much as what is then written there.
        """
        fd = self._file.fileno()
        present = os.fstat(fd).st_size
        if present >= size:
            return True
        try:
            os.posix_fallocate(fd, present, size - present)
        except OSError:
            os.ftruncate(fd, present)
            return False
        return True

    def _round_to(self, step: int) -> None:
        """Let SQLite give back whole steps of the file alone."""
        value = ctypes.c_int(step)
        self._connection.file_control("main", apsw.SQLITE_FCNTL_CHUNK_SIZE, ctypes.addressof(value))

    def _free(self) -> int:
        """Pages of the file that hold nothing."""
        free: int = self._connection.pragma("freelist_count")
        return free


def _whole(size: int, step: int) -> int:
    """The next whole number of steps."""
    return -(-size // step) * step
