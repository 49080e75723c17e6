"""Remove a directory without ever reaching into something that is mounted below it.

What is mounted there belongs to others: it is unmounted first, and as long as it is not, nothing is removed.
"""

import errno
import re
import shutil
import threading
from collections.abc import Collection
from pathlib import Path

from mizzen.agent.runtime import syscalls

_REMOTE = ("nfs", "cifs", "smb", "ceph", "fuse")
"""How types of file systems begin that others serve."""
_LOOK_AGAIN = 0.05
_ESCAPED = re.compile(r"\\([0-7]{3})")


def mounts_below(directory: Path) -> list[str]:
    """Mount points at or below a directory, the latest first; one that is mounted over appears several times."""
    return [point for point, _ in _mounts_below(directory)]


def _mounts_below(directory: Path) -> list[tuple[str, str]]:
    """The same, each with the type of its file system. Ref: proc_pid_mountinfo(5)"""
    top, found = str(directory), []
    for line in Path("/proc/thread-self/mountinfo").read_text().splitlines():
        where, _, what = line.partition(" - ")
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), where.split(" ", 5)[4])
        if point == top or point.startswith(f"{top}/"):
            found.append((point, what.split(" ", 1)[0]))
    return found[::-1]


def is_mounted(path: Path) -> bool:
    """Whether something is mounted just there; it may be a directory or file of the same file system."""
    return str(path) in mounts_below(path)


def unmount_below(directory: Path) -> None:
    """Unmount everything at or below a directory. Raises OSError while anything is left."""
    for point, kind in _mounts_below(directory):
        if kind.startswith(_REMOTE):
            _unmount_remote(point)
        else:
            syscalls.unmount(point)
    if left := mounts_below(directory):
        raise OSError(errno.EBUSY, f"still mounted: {left[0]}")


def _unmount_remote(point: str) -> None:
    """Unmount what a server serves: with its last use, a file system may wait for ever for one that is gone.

    By then the mount itself is gone already, which is all that others need.
    """
    before = mounts_below(Path(point)).count(point)
    failures: list[OSError] = []

    def run() -> None:
        try:
            syscalls.unmount(point)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="unmount", daemon=True)
    thread.start()
    while thread.is_alive() and mounts_below(Path(point)).count(point) == before:
        thread.join(_LOOK_AGAIN)
    if failures:
        raise failures[0]


def remove(directory: Path) -> None:
    """Unmount what is mounted below a directory, then remove it. Raises OSError, having removed nothing."""
    if not directory.exists():
        return
    unmount_below(directory)
    shutil.rmtree(directory)


def remove_all_but(directory: Path, kept: Collection[Path]) -> None:
    """The same for everything but some directories below, which lose their mounts only. Raises OSError."""
    unmount_below(directory)
    _remove_all_but(directory, kept)


def _remove_all_but(directory: Path, kept: Collection[Path]) -> None:
    for entry in directory.iterdir():
        if entry in kept:
            continue
        if any(one.is_relative_to(entry) for one in kept):
            _remove_all_but(entry, kept)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
