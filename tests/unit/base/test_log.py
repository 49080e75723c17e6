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


def test_what_an_event_loop_tells_is_a_line_and_a_failed_handshake_none(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    error = ConnectionAbortedError("gone")
    log.unhandled(None, {"message": "SSL handshake failed\nprotocol: <p>", "exception": error})
    assert capsysbinary.readouterr().err == b""
    log.unhandled(None, {"message": "Exception in callback\nhandle: <h>", "exception": error})
    shown = capsysbinary.readouterr().err
    assert shown.count(b"\n") == 1
    assert b"Exception in callback" in shown
