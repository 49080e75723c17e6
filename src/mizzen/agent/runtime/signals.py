"""Signals by the names that images and pods give them."""

import signal

_FIRST_REALTIME = 34


def number(name: str, default: int = signal.SIGTERM) -> int:
    """`SIGTERM`, `TERM`, `15` or `SIGRTMIN+3` as a number; the default for an empty or unknown name."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit():
        return int(text)
    if text.startswith("RTMIN"):
        offset = text.removeprefix("RTMIN").removeprefix("+")
        return _FIRST_REALTIME + (int(offset) if offset.isdigit() else 0)
    if text.startswith("RTMAX"):
        offset = text.removeprefix("RTMAX").removeprefix("-")
        return 64 - (int(offset) if offset.isdigit() else 0)
    found = getattr(signal, f"SIG{text}", None) if text else None
    return int(found) if found is not None else int(default)
