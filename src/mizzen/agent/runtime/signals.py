"""Signals by the names that images and pods give them."""

import signal

_FIRST_REALTIME, _LAST_REALTIME = 34, 64


def name(number: int) -> str:
    """A signal as pods name it: SIGTERM, SIGRTMIN+3, SIGRTMAX-1."""
    if number < _FIRST_REALTIME:
        return signal.Signals(number).name
    after, before = number - _FIRST_REALTIME, _LAST_REALTIME - number
    text, distance = ("SIGRTMIN+", after) if after <= before else ("SIGRTMAX-", before)
    return f"{text}{distance}" if distance else text[:-1]


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
        return _LAST_REALTIME - (int(offset) if offset.isdigit() else 0)
    found = getattr(signal, f"SIG{text}", None) if text else None
    return int(found) if found is not None else int(default)
