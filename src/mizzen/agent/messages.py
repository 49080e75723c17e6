"""Termination messages: what a container left behind to say why it ended.

Ref: https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

import os
from pathlib import Path

from mizzen.wire.crilog import parse_line

_FILE_LIMIT, _LOG_LIMIT, _LOG_LINES = 4096, 2048, 80


def read(file: Path, log: Path, *, fall_back: bool) -> str:
    """The file's content, or with `fall_back` the end of the log when the file is empty."""
    text = _head(file)
    if text or not fall_back:
        return text
    return _tail_of_log(log)


def _head(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _FILE_LIMIT).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _tail_of_log(path: Path) -> str:
    try:
        with path.open("rb") as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - 16 * _LOG_LIMIT))
            lines = source.read().splitlines(keepends=True)
    except OSError:
        return ""
    parsed = [one for line in lines[-_LOG_LINES:] if (one := parse_line(line)) is not None]
    text = b"".join(one.text for one in parsed)[-_LOG_LIMIT:]
    return text.decode("utf-8", "replace")
