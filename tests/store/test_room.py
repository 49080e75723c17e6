"""Room on the disk is taken from the file system, not written, and costs SQLite nothing that it holds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mizzen.store.files import connect
from mizzen.store.room import Room

SIZE = 32 << 20
LOCK = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def room(path: Path) -> Iterator[Room]:
    connection = connect(path)
    connection.execute("CREATE TABLE record (data BLOB)")
    made = Room(connection, path, 0)
    yield made
    connection.close()
    made.close()


def writes() -> int:
    """System calls so far by which this process has written."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("syscw"))


def test_room_is_there_without_being_written(room: Room, path: Path) -> None:
    before = writes()
    assert room.grow(SIZE)
    assert writes() - before < 10
    assert path.stat().st_size >= 2 * SIZE
    assert path.stat().st_blocks * 512 >= 2 * SIZE


def test_other_processes_see_the_file_in_use_after_it_has_grown(room: Room, path: Path) -> None:
    assert room.grow(SIZE)
    found = subprocess.run([sys.executable, "-c", LOCK, str(path)], capture_output=True, check=False)
    assert b"BlockingIOError" in found.stderr


def test_what_is_not_to_be_had_leaves_the_file_as_it_was(
    room: Room, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = path.stat().st_size

    def part(fd: int, offset: int, _length: int) -> None:
        os.ftruncate(fd, offset + 4096)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", part)
    assert not room.grow(SIZE)
    assert path.stat().st_size == size
