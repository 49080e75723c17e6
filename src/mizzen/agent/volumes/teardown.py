"""Remove a directory without ever reaching into something that is mounted below it.

What is mounted there belongs to others: it is unmounted first, and as long as it is not, nothing is removed.
"""

import errno
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from mizzen.agent.runtime import syscalls

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mounts_below(directory: Path) -> list[str]:
    """Mount points at or below a directory, the latest first; one that is mounted over appears several times."""
    top = str(directory)
    points = (line.split(" ", 5)[4] for line in Path("/proc/thread-self/mountinfo").read_text().splitlines())
    plain = (_ESCAPED.sub(lambda match: chr(int(match[1], 8)), point) for point in points)
    return [point for point in plain if point == top or point.startswith(f"{top}/")][::-1]


def is_mounted(path: Path) -> bool:
    """Whether something is mounted just there; it may be a directory or file of the same file system."""
    return str(path) in mounts_below(path)


def unmount_below(directory: Path) -> None:
    """Unmount everything at or below a directory. Raises OSError while anything is left."""
    for point in mounts_below(directory):
        syscalls.unmount(point)
    if left := mounts_below(directory):
        raise OSError(errno.EBUSY, f"still mounted: {left[0]}")


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
