"""The small files beside a container, also those that a crash has cut short."""

import os
from pathlib import Path

import msgspec
import pytest

from mizzen.agent.runtime import records


class Note(msgspec.Struct, frozen=True):
    text: str


def test_a_record_is_read_as_it_was_written_and_what_a_power_failure_left_of_one_counts_for_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "record.json"
    assert records.read(path, Note) is None
    records.write(path, Note("hello"))
    assert records.read(path, Note) == Note("hello")
    for rest in (b"", b'{"text": "hel'):
        path.write_bytes(rest)
        assert records.read(path, Note) is None
    path.write_bytes(b'{"other": 1}')
    with pytest.raises(msgspec.ValidationError):
        records.read(path, Note)


def test_a_moment_that_was_not_written_whole_is_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "started"
    assert records.moment(path) == 0.0
    path.write_text("12.5")
    assert records.moment(path) == 12.5
    path.write_text("")
    os.utime(path, (7.0, 7.0))
    assert records.moment(path) == 7.0
