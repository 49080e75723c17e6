"""What a control group has consumed, read from its files in either version; what cannot be read counts as nothing.

A node with many pods reads thousands of such files in an idle minute, so they are read by the plainest calls there
are, and who asks often asks for the brief form: processor time and memory alone.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from mizzen.agent.runtime.base import Share, Stall, Transfers, Usage

_TICKS = 100.0
"""Of a second: how version 1 counts time in user mode and in the kernel, on every architecture."""
_CHUNK = 1 << 14


def of_unified(at: Path) -> Usage:
    """A group of version 2, by its directory."""
    cpu, stat, events = pairs(at / "cpu.stat"), pairs(at / "memory.stat"), pairs(at / "memory.events")
    used = number(at / "memory.current")
    return Usage(
        cpu_seconds=cpu.get("usage_usec", 0) / 1e6,
        cpu_user_seconds=cpu.get("user_usec", 0) / 1e6,
        cpu_system_seconds=cpu.get("system_usec", 0) / 1e6,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_seconds=cpu.get("throttled_usec", 0) / 1e6,
        memory_bytes=used,
        working_set_bytes=max(0, used - stat.get("inactive_file", 0)),
        rss_bytes=stat.get("anon", 0),
        cache_bytes=stat.get("file", 0),
        mapped_bytes=stat.get("file_mapped", 0),
        most_bytes=number(at / "memory.peak"),
        limit_hits=events.get("max", 0),
        oom_kills=events.get("oom_kill", 0),
        page_faults=stat.get("pgfault", 0),
        major_page_faults=stat.get("pgmajfault", 0),
        pids=number(at / "pids.current"),
        swap_bytes=number(at / "memory.swap.current"),
        transfers=_transfers_unified(at / "io.stat"),
        stalls=stalls({name: at / f"{name}.pressure" for name in ("cpu", "memory", "io")}),
    )


def of_split(cpu: Path, account: Path, memory: Path, pids: Path, blocks: Path) -> Usage:
    """A group of version 1, by its directory for each controller."""
    ticks, throttled, stat = pairs(account / "cpuacct.stat"), pairs(cpu / "cpu.stat"), pairs(memory / "memory.stat")
    used = number(memory / "memory.usage_in_bytes")
    return Usage(
        cpu_seconds=number(account / "cpuacct.usage") / 1e9,
        cpu_user_seconds=ticks.get("user", 0) / _TICKS,
        cpu_system_seconds=ticks.get("system", 0) / _TICKS,
        periods=throttled.get("nr_periods", 0),
        throttled_periods=throttled.get("nr_throttled", 0),
        throttled_seconds=throttled.get("throttled_time", 0) / 1e9,
        memory_bytes=used,
        working_set_bytes=max(0, used - stat.get("total_inactive_file", 0)),
        rss_bytes=stat.get("total_rss", 0),
        cache_bytes=stat.get("total_cache", 0),
        mapped_bytes=stat.get("total_mapped_file", 0),
        most_bytes=number(memory / "memory.max_usage_in_bytes"),
        limit_hits=number(memory / "memory.failcnt"),
        oom_kills=pairs(memory / "memory.oom_control").get("oom_kill", 0),
        page_faults=stat.get("total_pgfault", 0),
        major_page_faults=stat.get("total_pgmajfault", 0),
        pids=number(pids / "pids.current"),
        swap_bytes=stat.get("total_swap", 0),
        transfers=_transfers_split(
            blocks / "blkio.throttle.io_serviced_recursive", blocks / "blkio.throttle.io_service_bytes_recursive"
        ),
    )


def brief_unified(at: Path) -> Usage:
    """Processor time, memory and swap of a group of version 2."""
    return _brief(
        _field(at / "cpu.stat", "usage_usec") / 1e6,
        number(at / "memory.current"),
        _field(at / "memory.stat", "inactive_file"),
        number(at / "memory.swap.current"),
    )


def brief_split(account: Path, memory: Path) -> Usage:
    """Processor time, memory and swap of a group of version 1."""
    text = _text(memory / "memory.stat")
    inactive, swapped = _number_in(text, "total_inactive_file"), _number_in(text, "total_swap")
    used = number(memory / "memory.usage_in_bytes")
    return _brief(number(account / "cpuacct.usage") / 1e9, used, inactive, swapped)


def _brief(seconds: float, used: int, inactive: int, swapped: int) -> Usage:
    working = max(0, used - inactive)
    return Usage(cpu_seconds=seconds, memory_bytes=used, working_set_bytes=working, swap_bytes=swapped)


def stalls(files: Mapping[str, Path]) -> dict[str, Stall]:
    """How long tasks had to wait for each resource, where the kernel says so."""
    found = {}
    for name, path in files.items():
        shares = dict(map(_share, _lines(path)))
        if "some" in shares:
            found[name] = Stall(shares["some"], shares.get("full", Share()))
    return found


def _share(line: str) -> tuple[str, Share]:
    kind, *fields = line.split()
    told = dict(field.split("=") for field in fields)
    average = (float(told["avg10"]), float(told["avg60"]), float(told["avg300"]))
    return kind, Share(int(told["total"]) / 1e6, *average)


def _transfers_unified(path: Path) -> dict[str, Transfers]:
    found = {}
    for line in _lines(path):
        device, *fields = line.split()
        told = {key: int(value) for key, _, value in (field.partition("=") for field in fields) if value.isdigit()}
        if told:
            found[_device(device)] = Transfers(*(told.get(key, 0) for key in ("rios", "wios", "rbytes", "wbytes")))
    return found


def _transfers_split(counts: Path, amounts: Path) -> dict[str, Transfers]:
    told: dict[str, dict[str, int]] = {}
    for suffix, path in (("", counts), ("bytes", amounts)):
        for line in _lines(path):
            device, *fields = line.split()
            if len(fields) == 2:  # the last line is a total of all devices
                told.setdefault(device, {})[fields[0] + suffix] = int(fields[1])
    keys = ("Read", "Write", "Readbytes", "Writebytes")
    return {_device(device): Transfers(*(seen.get(key, 0) for key in keys)) for device, seen in told.items()}


@cache
def _device(number_of: str) -> str:
    """`/dev/sda` for `8:0`."""
    named = dict(line.partition("=")[::2] for line in _lines(Path("/sys/dev/block") / number_of / "uevent"))
    return f"/dev/{named['DEVNAME']}" if "DEVNAME" in named else number_of


def number(path: Path) -> int:
    """The number in a file; 0 when there is none."""
    try:
        return int(_text(path))
    except ValueError:
        return 0


def pairs(path: Path) -> dict[str, int]:
    """The numbers in a file by name."""
    return {key: int(value) for key, _, value in (line.partition(" ") for line in _lines(path))}


def _field(path: Path, name: str) -> int:
    return _number_in(_text(path), name)


def _number_in(text: str, name: str) -> int:
    """The number of one name in the text of such a file."""
    _, found, after = f"\n{text}".partition(f"\n{name} ")
    return int(after.partition("\n")[0]) if found else 0


def _lines(path: Path) -> Iterable[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    """What a file holds; nothing when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(fd, _CHUNK), b"")).decode()
    except OSError:
        return ""
    finally:
        os.close(fd)
