"""Logging is no reason to fail."""

import io
import sys

import pytest

from mizzen.base import log


class Full(io.RawIOBase):
    """A file on a disk with no room."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Full()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(raw)))
    for _ in range(1000):
        log.get("test").error("disk full", detail="x" * 100)
    monkeypatch.setattr(Full, "write", lambda self, data: len(data))
    log.get("test").error("room again")
