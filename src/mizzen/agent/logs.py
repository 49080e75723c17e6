"""Container logs: the CRI files of one container, read as `kubectl logs` asks for them.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ (read log of the specified Pod)
"""

import contextlib
import gzip
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.wire.crilog import LogLine, parse_line

_CHUNK = 256 << 10
_FOLLOW_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What part of a log is wanted; `since` in seconds since the epoch, `tail` in lines (None: all)."""

    follow: bool = False
    tail: int | None = None
    since: float | None = None
    limit: int | None = None
    timestamps: bool = False
    stream: str = ""


async def read_log(
    path: Path, options: LogOptions, is_running: Callable[[], bool], clock: Clock
) -> AsyncIterator[bytes]:
    """The log in pieces; with `follow` until the container has ended and everything has been read."""
    left = options.limit
    async for piece in _pieces(path, options, is_running, clock):
        kept = piece if left is None else piece[:left]
        left = None if left is None else left - len(kept)
        if kept:
            yield kept
        if left == 0:
            return


async def _pieces(
    path: Path, options: LogOptions, is_running: Callable[[], bool], clock: Clock
) -> AsyncIterator[bytes]:
    for older in rotated(path) if options.tail is None else _needed(path, options.tail):
        yield _rendered(_lines_of(older), options)
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return
    with source:
        source.seek(_tail_offset(source.fileno(), options.tail))
        inode, rest = os.fstat(source.fileno()).st_ino, b""
        while True:
            alive = is_running()
            chunk = source.read(_CHUNK)
            if chunk:
                lines = (rest + chunk).splitlines(keepends=True)
                rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
                yield _rendered(lines, options)
                continue
            if not options.follow or not alive:
                return
            if _was_replaced(path, inode):
                source.close()
                source = path.open("rb")
                inode = os.fstat(source.fileno()).st_ino
                continue
            await clock.sleep(_FOLLOW_EVERY)


def rotated(path: Path) -> list[Path]:
    """Older files of the same log, the oldest first."""
    return sorted(path.parent.glob(f"{path.name}.2*"), key=lambda one: one.name)


def _needed(path: Path, tail: int) -> list[Path]:
    """The older files that a tail reaches back into."""
    needed: list[Path] = []
    try:
        count = path.read_bytes().count(b"\n") if path.stat().st_size < tail * 16384 else tail
    except FileNotFoundError:
        return []
    for older in reversed(rotated(path)):
        if count >= tail:
            break
        needed.insert(0, older)
        count += len(_lines_of(older))
    return needed


def _lines_of(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines(keepends=True)


def _tail_offset(fd: int, tail: int | None) -> int:
    """Where the last `tail` lines begin."""
    if tail is None:
        return 0
    end = os.fstat(fd).st_size
    if tail == 0:
        return end
    position, missing = end, tail + 1
    while position > 0:
        size = min(65536, position)
        position -= size
        block = os.pread(fd, size, position)
        found = block.count(b"\n")
        if found >= missing:
            at = len(block)
            for _ in range(missing):
                at = block.rindex(b"\n", 0, at)
            return position + at + 1
        missing -= found
    return 0


def _was_replaced(path: Path, inode: int) -> bool:
    try:
        return path.stat().st_ino != inode
    except FileNotFoundError:
        return False


def _rendered(lines: list[bytes], options: LogOptions) -> bytes:
    parsed = (parse_line(line) for line in lines)
    return b"".join(_shown(one, options) for one in parsed if one is not None and _is_wanted(one, options))


def _is_wanted(line: LogLine, options: LogOptions) -> bool:
    if options.stream and options.stream != line.stream:
        return False
    return options.since is None or times.parse(line.time) >= options.since


def _shown(line: LogLine, options: LogOptions) -> bytes:
    return f"{line.time.replace('+00:00', 'Z')} ".encode() + line.text if options.timestamps else line.text


def remove_older(directory: Path, attempt: int) -> None:
    """Remove what attempts before this one have left: nobody can ask for it any more."""
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            number = path.name.partition(".")[0]
            if number.isdigit() and int(number) < attempt:
                path.unlink()


async def drained(pieces: AsyncIterator[bytes]) -> bytes:
    """A whole log."""
    return b"".join([piece async for piece in pieces])
