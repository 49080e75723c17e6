"""Run a short program and collect what it says, without a thread and without SIGCHLD: posix_spawn and a pidfd."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended; negative codes are signals."""

    code: int
    output: bytes


def start(
    argv: Sequence[str],
    *,
    descriptors: Mapping[int, int],
    env: Mapping[str, str] = PATH,
    session: bool = False,
) -> int:
    """Start a program with exactly these descriptors (child's number → ours); answers its pid. Raises OSError.

    It starts in the working directory of the calling thread.
    """
    actions: list[tuple[int, ...]] = []
    # Targets may collide with sources: move every source above the targets first.
    high = max([*descriptors.values(), *descriptors.keys(), 9]) + 1
    for offset, source in enumerate(descriptors.values()):
        actions.append((os.POSIX_SPAWN_DUP2, source, high + offset))
    for offset, target in enumerate(descriptors):
        actions.append((os.POSIX_SPAWN_DUP2, high + offset, target))
    actions += [(os.POSIX_SPAWN_CLOSE, high + offset) for offset in range(len(descriptors))]
    return os.posix_spawn(
        argv[0], list(argv), dict(env), file_actions=actions, setsid=session, setsigmask=(), setsigdef=(signal.SIGPIPE,)
    )


def resolve(waiter: "asyncio.Future[None]") -> None:
    """Let go whoever waits; calling it again changes nothing."""
    if not waiter.done():
        waiter.set_result(None)


async def exit_of(pid: int) -> int:
    """Wait for a child to end; answers its exit code, or minus the signal."""
    await _end_behind(os.pidfd_open(pid))
    return _reaped(pid)


async def end_of_stranger(pid: int) -> None:
    """Return when a process that is not ours has ended."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        await asyncio.sleep(1.0)  # not of this process namespace: the caller looks again
        return
    await _end_behind(fd)


async def _end_behind(fd: int) -> None:
    """Return when the process behind a descriptor has ended, which is closed then."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, resolve, ended)
    try:
        await ended
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def descendants(pid: int) -> tuple[int, ...]:
    """The processes that descend from one, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name in parentheses may hold anything; the parent is the second field behind it.
            parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, ())
    return tuple(found[1:])


def _reaped(pid: int) -> int:
    """The exit code of a child that has ended already."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


async def read_all(fd: int, limit: int = 1 << 20) -> bytes:
    """Everything up to the end of a pipe, of which `limit` bytes are kept; closes the descriptor."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    kept = bytearray()
    done: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            chunk = os.read(fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            kept.extend(chunk[: max(0, limit - len(kept))])
        elif not done.done():
            done.set_result(None)

    loop.add_reader(fd, readable)
    try:
        await done
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return bytes(kept)


async def run(argv: Sequence[str], *, env: Mapping[str, str] = PATH, timeout: float | None = None) -> Finished:
    """Run a program to its end, standard output and error together. Raises OSError, TimeoutError (it is killed)."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        pid = start(argv, descriptors={0: null, 1: theirs, 2: theirs}, env=env)
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(null)
        os.close(theirs)
    reading = asyncio.ensure_future(read_all(ours))
    waiting = asyncio.ensure_future(exit_of(pid))
    try:
        code = await asyncio.wait_for(asyncio.shield(waiting), timeout)
        output = await asyncio.wait_for(reading, 2.0 if timeout is None else timeout)
    except (TimeoutError, asyncio.CancelledError):
        reading.cancel()
        if not waiting.done():
            os.kill(pid, signal.SIGKILL)
            await waiting
        raise
    return Finished(code, output)
