"""The embedded store on a small file system that something else fills to its last byte."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from mizzen.agent.runtime import syscalls
from mizzen.store.base import StoreFull
from mizzen.store.sqlite import SqliteStore

FILES: Final = ("store.db", "store.db-wal", "store.db-shm")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    small = tmp_path / "small"
    small.mkdir()
    syscalls.mount("tmpfs", str(small), "tmpfs", 0, "size=12m")
    yield small
    syscalls.unmount(str(small))


def fill(disk: Path) -> Path:
    """Take all that is left, as a container that writes without end."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("ab", 0) as out:
        while True:
            out.write(bytes(4096))
    return filler


async def create_all_that_fits(store: SqliteStore) -> int:
    count = 0
    with pytest.raises(StoreFull):
        for count in range(10_000):
            await store.put(f"new{count:04}", b"x" * 3_000, expect=0)
    return count


async def test_deletes_and_updates_go_on_while_the_disk_is_full(disk: Path) -> None:
    store = SqliteStore(disk / "store.db")
    for number in range(100):
        await store.put(f"old{number:02}", b"x" * 3_000)
    filler = fill(disk)
    fitted = await create_all_that_fits(store)
    fill(disk)
    for turn in range(100):
        await store.put(f"old{turn % 10:02}", f"{turn:03}".encode() * 1_000)
    for number in range(50):
        await store.delete(f"old{number:02}")
    filler.unlink()
    await store.put("after", b"1", expect=0)
    assert len((await store.list("")).values) == 50 + fitted + 1
    await store.close()


async def test_what_a_killed_process_leaves_on_a_full_disk_opens_and_can_be_deleted_from(
    disk: Path, tmp_path: Path
) -> None:
    store = SqliteStore(disk / "store.db")
    for number in range(100):
        await store.put(f"old{number:02}", b"x" * 3_000)
    fill(disk)
    await create_all_that_fits(store)
    await store.put("old00", b"y" * 3_000)
    expected = (await store.list("")).values
    for name in FILES:  # as after kill -9: nobody has closed anything
        (tmp_path / name).write_bytes((disk / name).read_bytes())
    await store.close()
    (disk / "filler").unlink()
    for name in FILES:
        (disk / name).write_bytes((tmp_path / name).read_bytes())
    fill(disk)
    opened = SqliteStore(disk / "store.db")
    assert (await opened.list("")).values == expected
    with pytest.raises(StoreFull):
        await opened.put("new", b"x" * 3_000, expect=0)
    for value in expected:
        await opened.delete(value.key, expect=value.revision)
    await opened.close()
