"""Who runs is on record, or does not run; and what one command does to a cluster no other does at the same time."""

import sys
import threading
from pathlib import Path

import pytest

from mizzen.cluster import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_is_found_by_its_record_and_ended(tmp_path: Path) -> None:
    record = tmp_path / "run" / "one.json"
    made = processes.spawn(SLEEP, record=record, log=tmp_path / "one.log")
    assert processes.running(record) == made
    assert processes.stop(record)
    assert processes.running(record) is None
    assert [path.name for path in record.parent.iterdir()] == []


def test_a_process_that_cannot_be_recorded_does_not_stay(tmp_path: Path) -> None:
    record = tmp_path / "run" / "one.json"
    (record.with_suffix(".new")).mkdir(parents=True)  # nothing can be written there, as on a full disk
    pid = tmp_path / "pid"
    write = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(OSError, match="one"):
        processes.spawn([sys.executable, "-c", write], record=record, log=tmp_path / "one.log")
    assert processes.running(record) is None
    assert not pid.exists() or not Path(f"/proc/{pid.read_text()}").exists()


def test_an_old_record_stays_whole_when_a_new_one_cannot_be_written(tmp_path: Path) -> None:
    record = tmp_path / "run" / "one.json"
    made = processes.spawn(SLEEP, record=record, log=tmp_path / "one.log")
    (record.with_suffix(".new")).mkdir()
    with pytest.raises(OSError, match="one"):
        processes.spawn(SLEEP, record=record, log=tmp_path / "one.log")
    assert processes.running(record) == made
    processes.stop(record)


def test_one_command_waits_for_the_other(tmp_path: Path) -> None:
    lock, waits, order = tmp_path / "data" / "lock", threading.Event(), []

    def second() -> None:
        with processes.alone(lock, waits.set):
            order.append("second")

    with processes.alone(lock, lambda: order.append("never")):
        other = threading.Thread(target=second)
        other.start()
        assert waits.wait(10)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
