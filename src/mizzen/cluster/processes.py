"""Background processes with a record on disk: who runs, since when, and how to end it.

A process is known by its pid and its start time, so that a reused pid is never taken for ours.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """A started process: `started` is its start time in clock ticks since boot, as /proc tells it.

    `restarts`: how often it has been started again, as far as it tells.
    """

    pid: int
    started: int
    argv: tuple[str, ...]
    restarts: int = 0


def spawn(argv: Sequence[str], *, record: Path, log: Path, environment: Mapping[str, str] | None = None) -> Record:
    """Start a process in a session of its own, its output appended to a log. Raises OSError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    record.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    made = Record(process.pid, _start_time(process.pid) or 0, tuple(argv))
    try:
        _write(record, json.dumps(asdict(made)))
    except OSError:  # nobody would find it again
        process.kill()
        process.wait()
        raise
    return made


def record_this(record: Path, restarts: int = 0) -> None:
    """Write the record of this very process. Raises OSError."""
    pid = os.getpid()
    record.parent.mkdir(parents=True, exist_ok=True)
    _write(record, json.dumps(asdict(Record(pid, _start_time(pid) or 0, tuple(sys.argv), restarts))))


@contextlib.contextmanager
def alone(lock: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Keep everybody else who asks for this lock out; `waits` is called when somebody has it already."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def running(record: Path) -> Record | None:
    """The process of a record, when it is still alive."""
    try:
        values = json.loads(record.read_text())
        found = Record(values["pid"], values["started"], tuple(values["argv"]), values.get("restarts", 0))
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return found if _start_time(found.pid) == found.started else None


def stop(record: Path, *, seconds: float = 10.0) -> bool:
    """End the process of a record: SIGTERM, then SIGKILL after so many seconds; tells whether it ran."""
    found = running(record)
    if found is None:
        record.unlink(missing_ok=True)
        return False
    end(found, seconds=seconds)
    record.unlink(missing_ok=True)
    return True


def end(found: Record, *, seconds: float = 10.0) -> None:
    """End a process: SIGTERM, then SIGKILL after so many seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    if not gone(found, seconds):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)
        gone(found, 5.0)


def gone(found: Record, seconds: float) -> bool:
    """Whether a process has ended, waiting for so many seconds; a child is reaped."""
    deadline = time.monotonic() + seconds
    while _start_time(found.pid) == found.started:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(found.pid, os.WNOHANG)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _write(record: Path, text: str) -> None:
    """Whole or not at all, also when the disk is full."""
    new = record.with_suffix(".new")
    try:
        new.write_text(text)
        new.replace(record)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None when there is no such process, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
