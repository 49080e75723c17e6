"""The standard streams of commands and containers: pipes, terminals, and the monitor's attach socket."""

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import struct
import tempfile
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from mizzen.agent.runtime import conmon, spawn
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.agent.runtime.exits import Exits

_CHUNK = 65536
_STDERR = 3
_PACKETS = 64
"""How many packets of an attached container wait for a slow reader before the container does."""
_PROCESS_FD = 3


async def execute(argv: Sequence[str], container: str, process: Mapping[str, Any], *, stdin: bool) -> "PipedExec":
    """Start `process` (an OCI process) in a container through the OCI runtime's `exec`."""
    written = os.memfd_create("process", os.MFD_CLOEXEC)
    try:
        os.write(written, orjson.dumps(process))
        command = [*argv, "--process", f"/proc/self/fd/{_PROCESS_FD}"]
        if process.get("terminal"):
            return await _with_terminal(command, container, written)
        ours_in, theirs_in = _input_pipe(stdin)
        ours_out, theirs_out = os.pipe2(os.O_CLOEXEC)
        ours_err, theirs_err = os.pipe2(os.O_CLOEXEC)
        handed = {0: theirs_in, 1: theirs_out, 2: theirs_err, _PROCESS_FD: written}
        try:
            pid = spawn.start([*command, container], descriptors=handed)
        finally:
            for fd in (theirs_in, theirs_out, theirs_err):
                os.close(fd)
    finally:
        os.close(written)
    return PipedExec(pid, ours_in, {"stdout": ours_out, "stderr": ours_err}, terminal=None)


def _input_pipe(wanted: bool) -> tuple[int | None, int]:
    if not wanted:
        return None, os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    theirs, ours = os.pipe2(os.O_CLOEXEC)
    return ours, theirs


async def _with_terminal(command: Sequence[str], container: str, written: int) -> "PipedExec":
    """Run with a terminal: the OCI runtime hands over the pty's master through a socket."""
    loop = asyncio.get_running_loop()
    with (
        tempfile.TemporaryDirectory(prefix="mz-") as scratch,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
    ):
        listener.bind(f"{scratch}/c")
        listener.listen(1)
        listener.setblocking(False)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        argv = [*command, "--console-socket", f"{scratch}/c", container]
        try:
            pid = spawn.start(argv, descriptors={0: null, 1: null, 2: theirs, _PROCESS_FD: written})
        finally:
            os.close(null)
            os.close(theirs)
        complaint = asyncio.ensure_future(spawn.read_all(ours))
        accepting = asyncio.ensure_future(loop.sock_accept(listener))
        ending = asyncio.ensure_future(spawn.exit_of(pid))
        await asyncio.wait({accepting, ending}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        if not accepting.done():
            accepting.cancel()
            text = (await complaint).decode("utf-8", "replace").strip()
            raise RuntimeFailure("ExecFailed", text or "no terminal")
        complaint.cancel()
        connection, _ = accepting.result()
        with connection:
            connection.settimeout(10)
            master = await asyncio.to_thread(_received_descriptor, connection)
    return PipedExec(pid, None, {}, terminal=master, ending=ending)


def _received_descriptor(connection: socket.socket) -> int:
    _, ancillary, _, _ = connection.recvmsg(256, socket.CMSG_SPACE(4))
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(data[:4])
            os.set_inheritable(received[0], False)
            return received[0]
    raise RuntimeFailure("ExecFailed", "the runtime sent no terminal")


class PipedExec:
    """A command in a container, on pipes or on a terminal."""

    def __init__(
        self,
        pid: int,
        stdin: int | None,
        outputs: Mapping[str, int],
        *,
        terminal: int | None,
        ending: "asyncio.Future[int] | None" = None,
    ) -> None:
        self._pid = pid
        self._stdin = terminal if terminal is not None else stdin
        self._terminal = terminal
        self._outputs = dict(outputs) if terminal is None else {"stdout": terminal}
        for fd in {*self._outputs.values(), *([self._stdin] if self._stdin is not None else [])}:
            os.set_blocking(fd, False)
        self._ending = ending if ending is not None else asyncio.ensure_future(spawn.exit_of(pid))

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        fd = self._outputs.get(stream)
        if fd is None:
            return b""
        while True:
            try:
                return os.read(fd, _CHUNK)
            except BlockingIOError:
                await _readable(fd)
            except OSError:
                return b""  # EIO: the last process has left the terminal

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and self._stdin is not None:
            try:
                rest = rest[os.write(self._stdin, rest) :]
            except BlockingIOError:
                await _writable(self._stdin)

    def close_stdin(self) -> None:
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                os.write(self._terminal, b"\x04")
        elif self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def resize(self, columns: int, rows: int) -> None:
        if self._terminal is not None:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    async def close(self) -> None:
        if not self._ending.done():
            # The OCI runtime only watches over the command: killed alone, it would leave the command behind.
            for pid in (*spawn.descendants(self._pid), self._pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await asyncio.wait({self._ending}, timeout=5)
        if self._terminal is None and self._stdin is not None:
            os.close(self._stdin)
        for fd in self._outputs.values():
            os.close(fd)
        self._outputs, self._stdin, self._terminal = {}, None, None


def attach_to(home: Path, exits: Exits, container: str, *, stdin_once: bool) -> "Attachment":
    """Join a container's streams through its monitor. Raises RuntimeFailure."""
    where = os.open(home, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(f"/proc/self/fd/{where}/attach")
    except OSError as error:
        connection.close()
        raise RuntimeFailure("AttachFailed", f"cannot attach to {container}: {error}") from error
    finally:
        os.close(where)
    connection.setblocking(False)
    return Attachment(connection, home, exits, container, stdin_once=stdin_once)


class Attachment:
    """The streams of a running container; several may be attached at once.

    The end of what a client sends is the container's, too, if it reads once; else it ends the attachment alone.
    """

    def __init__(
        self, connection: socket.socket, home: Path, exits: Exits, container: str, *, stdin_once: bool
    ) -> None:
        self._connection = connection
        self._stdin_once = stdin_once
        self._home = home
        self._exits = exits
        self._container = container
        self._queues: dict[str, asyncio.Queue[bytes]] = {"stdout": asyncio.Queue(), "stderr": asyncio.Queue()}
        self._room = {name: asyncio.Semaphore(_PACKETS) for name in self._queues}
        self._pump = asyncio.ensure_future(self._receive())

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        packet = await self._queues[stream].get()
        self._room[stream].release()
        return packet

    async def write(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), 8192):
            await loop.sock_sendall(self._connection, data[start : start + 8192])

    def close_stdin(self) -> None:
        if not self._stdin_once:
            self._pump.cancel()
            return
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def resize(self, columns: int, rows: int) -> None:
        conmon.resize(self._home, columns, rows)

    async def wait(self) -> int:
        await asyncio.wait({self._pump})
        return 0

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.wait({self._pump})
        self._connection.close()

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while packet := await loop.sock_recv(self._connection, _CHUNK):
                stream = "stderr" if packet[0] == _STDERR else "stdout"
                if len(packet) > 1:
                    await self._room[stream].acquire()
                    self._queues[stream].put_nowait(packet[1:])
        except OSError:
            return  # the container has ended
        finally:
            for queue in self._queues.values():
                queue.put_nowait(b"")


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, spawn.resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, spawn.resolve, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)
