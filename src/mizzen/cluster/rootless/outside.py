"""Connections to what is outside, for those inside: the keeper dials in the machine's network and hands them over.

One question a connection on a unix socket: HOST and PORT on a line; the answer is a descriptor, or what went wrong.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mizzen.agent.http import Dial

_QUESTION: Final = 4096
_SECONDS: Final = 30.0
_MADE: Final = b"ok"


def serve(path: Path) -> None:
    """Answer on this socket in the background, for as long as this process lives."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _short(path) as name:
        listener.bind(name)
    path.chmod(0o600)
    listener.listen(64)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()


def dialer(path: Path) -> Dial:
    """Opens connections by asking at this socket."""
    threads = ThreadPoolExecutor(4, "outside")

    async def dial(host: str, port: int) -> socket.socket:
        return await asyncio.get_running_loop().run_in_executor(threads, connect, path, host, port)

    return dial


def connect(path: Path, host: str, port: int) -> socket.socket:
    """A connection to a host outside. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(_SECONDS + 5)
        with _short(path) as name:
            asked.connect(name)
        asked.sendall(f"{host} {port}\n".encode())
        answer, descriptors, _, _ = socket.recv_fds(asked, _QUESTION, 1)
    if answer != _MADE or not descriptors:
        raise ConnectionError(answer.decode(errors="replace") or f"no connection to {host}:{port}")
    made = socket.socket(fileno=descriptors[0])
    made.setblocking(False)
    return made


def _accept(listener: socket.socket) -> None:
    while True:
        asking, _ = listener.accept()
        threading.Thread(target=_answer, args=(asking,), daemon=True).start()


def _answer(asking: socket.socket) -> None:
    with asking, contextlib.suppress(OSError):
        asking.settimeout(_SECONDS)
        host, _, port = asking.recv(_QUESTION).decode().strip().rpartition(" ")
        try:
            made = socket.create_connection((host, int(port)), _SECONDS)
        except (OSError, ValueError) as error:
            asking.sendall(str(error).encode() or b"refused")
            return
        with made:
            socket.send_fds(asking, [_MADE], [made.fileno()])


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket's file that fits into the 108 bytes there are for it."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
