"""What is killed comes back, whichever of the two processes it is, until it is told to end."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from mizzen.cluster import processes, supervision

WORK = """
import asyncio, os
from mizzen.cluster.supervision import Supervised

async def work(supervised):
    ended = asyncio.Event()
    supervised.listen(ended.set)
    print("here", os.getpid(), flush=True)
    await ended.wait()

supervised = Supervised()
supervised.introduce()
asyncio.run(work(supervised))
supervised.leave()
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TextIO]:
    """What is said, as it is said."""
    os.mkfifo(tmp_path / "log")
    with os.fdopen(os.open(tmp_path / "log", os.O_RDWR), "r") as said:
        yield said


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    record = tmp_path / "run" / "one.json"

    def started(program: str) -> Path:
        supervision.start([sys.executable, "-c", program], record=record, log=tmp_path / "log")
        return record

    yield started
    supervision.stop(record)


def next_pid(log: TextIO) -> int:
    """That of the next process that works."""
    for line in log:
        if line.startswith("here "):
            return int(line.split()[1])
    raise AssertionError("unreachable")


def wait_for_end(pid: int) -> None:
    select.select([os.pidfd_open(pid)], [], [], 20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_somebody_ends_is_started_again(
    log: TextIO, begin: Callable[[str], Path], number: signal.Signals
) -> None:
    record = begin(WORK)
    first = next_pid(log)
    os.kill(first, number)
    second = next_pid(log)
    found = processes.running(record)
    assert found is not None
    assert (found.pid, found.restarts) == (second, 1)


def test_a_supervisor_that_is_killed_is_replaced(log: TextIO, begin: Callable[[str], Path]) -> None:
    record = begin(WORK)
    first = next_pid(log)
    supervisor = processes.running(supervision.supervisor_of(record))
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    second = next_pid(log)
    successor = processes.running(supervision.supervisor_of(record))
    assert successor is not None
    assert successor.pid == first
    os.kill(second, signal.SIGKILL)
    third = next_pid(log)
    found = processes.running(record)
    assert found is not None
    assert (found.pid, found.restarts) == (third, 2)


def test_both_end_when_they_are_told_to(log: TextIO, begin: Callable[[str], Path]) -> None:
    record = begin(WORK)
    pid = next_pid(log)
    assert supervision.stop(record)
    assert not Path(f"/proc/{pid}").exists()
    assert not supervision.runs(record)
    assert not supervision.stop(record)


def test_what_runs_is_not_started_twice(log: TextIO, begin: Callable[[str], Path]) -> None:
    record = begin(WORK)
    pid = next_pid(log)
    begin(WORK)
    found = processes.running(record)
    assert found is not None
    assert found.pid == pid


@pytest.mark.parametrize("program", ["raise SystemExit(1)", "raise SystemExit(0)"])
def test_what_fails_at_its_first_start_or_ends_well_is_left_at_that(
    log: TextIO, begin: Callable[[str], Path], program: str
) -> None:
    record = begin(program)
    supervisor = processes.running(supervision.supervisor_of(record))
    if supervisor is not None:
        wait_for_end(supervisor.pid)
    assert not supervision.is_supervised(record)
