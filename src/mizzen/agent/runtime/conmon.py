"""One monitor process per container (conmon): it writes the log in CRI format and the exit code to a file.

The monitor leaves the agent's process tree at once, so containers, logs and exit codes survive the agent.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from mizzen.agent.runtime import machine, records, spawn, syscalls
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.agent.runtime.machine import Programs
from mizzen.agent.runtime.namespaces import in_thread


@dataclass(frozen=True, slots=True)
class Monitor:
    """Where the programs and the shared directories are."""

    programs: Programs
    state: Path
    exits: Path

    async def create(self, container: str, bundle: Path, log: str, flags: Sequence[str]) -> int:
        """Start a monitor, which creates the container; answers the process id of the container's first process."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        argv = [
            self.programs.conmon, "--api-version", "1", "-c", container, "-u", container, "-n", container,
            "-r", self.programs.oci_runtime, "-b", str(bundle), "--persist-dir", str(bundle), "--full-attach",
            "-p", str(bundle / "pid"), "-P", str(bundle / "conmon.pid"), "--exit-dir", str(self.exits),
            "-l", f"k8s-file:{log}", "--log-level", "error", "--no-sync-log",
            *(f"--runtime-arg={flag}" for flag in (*self.programs.flags, f"--root={self.state}")), *flags,
        ]  # fmt: skip
        try:
            pid = _start_in(bundle, argv, {0: null, 1: null, 2: null, 3: theirs})
        except OSError as error:
            os.close(ours)
            raise RuntimeFailure("CreateContainerError", f"cannot start {self.programs.conmon}: {error}") from error
        finally:
            os.close(null)
            os.close(theirs)
        # conmon keeps its end of the pipe open until the container ends: one line is all there will be.
        try:
            code, line = await asyncio.gather(spawn.exit_of(pid), _line(ours))
        finally:
            os.close(ours)
        answer: dict[str, Any] = (
            orjson.loads(line) if line else {"data": -1, "message": f"conmon ended with code {code}"}
        )
        created = int(answer.get("data", answer.get("pid", -1)))
        if created <= 0:
            raise RuntimeFailure("RunContainerError", _readable(answer.get("message") or "container creation failed"))
        return created


def _start_in(directory: Path, argv: Sequence[str], descriptors: Mapping[int, int]) -> int:
    """Start in a directory, where the monitor leaves a file when the container runs out of memory."""

    def body() -> int:
        syscalls.unshare(syscalls.CLONE_FS)
        os.chdir(directory)
        return spawn.start(argv, descriptors=descriptors, env={**spawn.PATH, "_OCI_SYNCPIPE": "3"})

    return in_thread(body)


def _monitor_of(bundle: Path, container: str) -> int:
    """The process id of a container's monitor; 0 when it has ended, and another process may have its number."""
    try:
        pid = int((bundle / "conmon.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if container.encode() in words else 0


async def end(bundle: Path, container: str) -> None:
    """End a container's monitor, and the creation it may be about; nothing is written of the container any more."""
    pid = _monitor_of(bundle, container)
    if not pid:
        return
    for process in (pid, *await asyncio.to_thread(spawn.descendants, pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    await machine.gone(pid)


def is_watching(bundle: Path) -> bool:
    """Whether a container's monitor is there, which will tell of its end."""
    pid = records.read_pid(bundle / "conmon.pid")
    try:  # what has ended and was not waited for has no command line any more
        return bundle.name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def reopen_log(bundle: Path) -> None:
    """Tell a monitor to open its log file anew, after rotation. Raises OSError when it is gone."""
    fd = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(fd, b"2 0 0\n")
    finally:
        os.close(fd)


def resize(bundle: Path, columns: int, rows: int) -> None:
    """Tell the container's terminal its size. Raises OSError when the monitor is gone."""
    fd = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(fd, b"1 %d %d\n" % (rows, columns))
    finally:
        os.close(fd)


async def _line(fd: int) -> bytes:
    """The first line of a pipe, or what there is of it at its end."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    seen = bytearray()
    done: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        chunk = os.read(fd, 65536)
        seen.extend(chunk)
        if (not chunk or b"\n" in chunk) and not done.done():
            done.set_result(None)

    loop.add_reader(fd, readable)
    try:
        await done
    finally:
        loop.remove_reader(fd)
    return bytes(seen.split(b"\n", 1)[0])


def _readable(message: str) -> str:
    """The OCI runtime's complaint without its time stamp."""
    text = message.strip()
    try:
        return str(orjson.loads(text.splitlines()[-1]).get("msg", text))
    except (orjson.JSONDecodeError, IndexError, AttributeError):
        return text
