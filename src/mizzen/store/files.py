"""The file of the embedded store: opened, checked, copied; what is wrong with it is told in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

import apsw

from mizzen.store.base import Damaged, StoreFull, Unusable

_FORMAT: Final = 1
"""Of the file; those of before it was written down have 0, and are the same."""


def copy(path: Path, target: Path) -> None:
    """Write a consistent copy of a store's file, also of one that another process has open. Raises FileExistsError."""
    if target.exists():
        raise FileExistsError(target)
    with undamaged(path):
        source, copied = connect(path), apsw.Connection(str(target))
        with copied.backup("main", source, "main") as job:
            job.step()
        source.close()
        copied.close()


def forget_history(path: Path, gap: int) -> None:
    """Let a copy go on `gap` revisions later, so that clients that have seen more than it holds list again."""
    connection = connect(path)
    sql = "INSERT OR REPLACE INTO meta SELECT 'compacted', ? + coalesce(max(revision), 0) FROM record"
    connection.execute(sql, (gap,))
    connection.close()


def check_presence(path: Path, lock: TextIO) -> None:
    """Raises Damaged when a store was here that is not any more: a new one would hide that everything is lost."""
    lock.seek(0)
    if lock.read() and (not path.exists() or not path.stat().st_size):
        raise Damaged(f"the store {path} is gone or empty, though it was here (to begin anew, remove {lock.name} too)")


def note_presence(lock: TextIO) -> None:
    """Remember that there is a store now; on a full disk it is remembered at another start."""
    with suppress(OSError):
        if not lock.tell():
            lock.write("a store is beside this file\n")
            lock.flush()


def check_version(connection: apsw.Connection, path: Path) -> None:
    """Raises Unusable for a file of a format that is not known here, and marks a new one with ours."""
    version: int = connection.pragma("user_version")
    if version > _FORMAT:
        raise Unusable(f"the store {path} was written by a later version of Mizzen (format {version}, not {_FORMAT})")
    if not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        connection.pragma("user_version", _FORMAT)


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """Raises Damaged for what SQLite finds broken in the file, else Unusable, or StoreFull."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Damaged(f"the store {path} is damaged: {error}") from error
    except (apsw.IOError, apsw.CantOpenError) as error:
        raise Unusable(f"the store {path} cannot be opened: {error}; is the disk full?") from error
    except apsw.FullError as error:
        raise StoreFull(str(error)) from error


def connect(path: Path) -> apsw.Connection:
    """Open a store's file as all of its connections are."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 100)
    return connection
