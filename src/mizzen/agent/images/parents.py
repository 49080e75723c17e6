"""Directories that a layer has only because something lies in them look as a lower layer made them.

Many tools write layers without entries for the directories above their files. An overlay shows a directory as the
uppermost layer has it, so such a one would take its owner and mode from a /tmp or a home. What differs is put into one
more layer, uppermost, that has nothing but these directories.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layer:
    """An unpacked layer; `implied` are the paths of directories that it has no entries for."""

    root: Path
    implied: frozenset[str]


def restore(layers: Sequence[Layer], target: Path) -> bool:
    """Make the uppermost layer in an empty directory; answers whether there is anything in it. Lowest layer first."""
    stack = list(reversed(layers))
    wanted = [path for path in sorted(set().union(*(one.implied for one in layers))) if _differs(path, stack)]
    whole = sorted({above for path in wanted for above in _prefixes(path)})
    for path in whole:
        (target / path).mkdir()
    for path in whole:
        if (seen := _original(path, stack)) is not None:
            os.chown(target / path, seen.st_uid, seen.st_gid)
            (target / path).chmod(stat.S_IMODE(seen.st_mode))
    for path in reversed(whole):
        if (seen := _original(path, stack)) is not None:
            os.utime(target / path, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    return bool(whole)


def _differs(path: str, stack: Sequence[Layer]) -> bool:
    shown, original = next(_versions(path, stack), None), _original(path, stack)
    if shown is None or original is None:
        return False
    return _looks(shown[1]) != _looks(original)


def _looks(seen: os.stat_result) -> tuple[int, int, int]:
    return seen.st_mode, seen.st_uid, seen.st_gid


def _original(path: str, stack: Sequence[Layer]) -> os.stat_result | None:
    """How the directory should look: as the uppermost layer that has an entry for it says, or else as it was made."""
    found: os.stat_result | None = None
    for layer, seen in _versions(path, stack):
        if path not in layer.implied:
            return seen
        found = found or seen
    return found


def _versions(path: str, stack: Sequence[Layer]) -> Iterator[tuple[Layer, os.stat_result]]:
    """The directory in each layer that has a part in it, uppermost first."""
    for layer in stack:
        for prefix in _prefixes(path):
            try:
                seen = os.lstat(layer.root / prefix)
            except FileNotFoundError:
                break
            if not stat.S_ISDIR(seen.st_mode):
                return  # it hides what is below
            if prefix == path:
                yield layer, seen
        if any(_is_opaque(layer.root / prefix) for prefix in _prefixes(path)):
            return


def _is_opaque(path: Path) -> bool:
    for owner in ("trusted", "user"):
        try:
            if os.getxattr(path, f"{owner}.overlay.opaque", follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def _prefixes(path: str) -> tuple[str, ...]:
    """The path and those above it, uppermost first."""
    parts = path.split("/")
    return tuple("/".join(parts[:count]) for count in range(1, len(parts) + 1))
