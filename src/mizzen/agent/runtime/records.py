"""The small files beside a container: records that replace each other as a whole, process ids, exit codes."""

import time
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def exit_code(path: Path) -> tuple[int, float]:
    """Exit code and time; that of a container that vanished without a trace is 255, which stands for unknown, now."""
    try:
        return int(path.read_text()), path.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return 255, time.time()


def write_exit(path: Path, code: int) -> None:
    """Tell of a container's end as its monitor would."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(str(code))
    partial.rename(path)


def read_pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def moment(path: Path) -> float:
    """The time that a file holds; when it was written, if whoever wrote it was killed meanwhile, and 0 without one."""
    try:
        return float(path.read_text())
    except FileNotFoundError:
        return 0.0
    except ValueError:
        return path.stat().st_mtime


def write(path: Path, record: msgspec.Struct) -> None:
    """Replace a record as a whole: a crash leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(record))
    partial.rename(path)


def read(path: Path, kind: type[T]) -> T | None:
    """The record, or None when there is none, or no more than the beginning of one: the power failed meanwhile.

    Raises: msgspec.ValidationError for a record of another kind.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return None
