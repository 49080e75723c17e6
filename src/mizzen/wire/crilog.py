"""The log format of container runtimes: `2026-01-31T12:00:00.123456789Z stdout F text`, one line per write.

A `P` line is a part of a longer one: its text has no line feed of its own. `F` ends the line.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; `text` ends in a line feed unless it is partial."""

    time: str
    stream: str
    text: bytes


def parse_line(line: bytes) -> LogLine | None:
    """A line of a log file, with or without its line feed; None when it is malformed or cut off."""
    parts = line.split(b" ", 3)
    if len(parts) < 4 or not line.endswith(b"\n"):
        return None
    time, stream, tag, text = parts
    if stream not in {b"stdout", b"stderr"}:
        return None
    if tag.split(b":")[0] == b"P":
        text = text.rstrip(b"\n")
    return LogLine(time.decode("ascii", "replace"), stream.decode(), text)
