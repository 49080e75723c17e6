"""Logs are events with fields: one JSON object a line on stderr.

`log = get("agent")`, then `log.info("container started", pod=ref, container=name)`.
"""

import contextlib
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_threshold = _LEVELS["info"]


def set_level(level: str) -> None:
    """Show events of this level and above. Raises KeyError for an unknown level."""
    global _threshold  # noqa: PLW0603 - one process, one verbosity
    _threshold = _LEVELS[level]


def is_shown(level: str) -> bool:
    """Whether events of this level are written, for whoever would pay to gather their fields."""
    return _LEVELS[level] >= _threshold


@dataclass(frozen=True)
class Logger:
    """Writes events for one component."""

    component: str

    def debug(self, event: str, **fields: Any) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if _LEVELS[level] < _threshold:
            return
        line = {"time": round(time.time(), 3), "level": level, "component": self.component, "event": event, **fields}
        with contextlib.suppress(OSError):  # a full disk, or a reader that is gone, costs lines and nothing else
            sys.stderr.buffer.write(orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE))
            sys.stderr.buffer.flush()


def unhandled(_loop: object, context: Mapping[str, Any]) -> None:
    """What an event loop has to say of what nobody handles, in a line; a client that leaves early is no news."""
    message, error = str(context.get("message", "")), context.get("exception")
    head = message.partition("\n")[0]
    if "handshake" in head:
        get("loop").debug(head, error=repr(error))
        return
    trace = "".join(traceback.format_exception(error)[-8:]) if isinstance(error, BaseException) else ""
    get("loop").error(head, error=repr(error), trace=trace)


def get(component: str) -> Logger:
    """The logger of a component."""
    return Logger(component)
