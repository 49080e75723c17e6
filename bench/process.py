"""A server to measure: `mizzen server` in a directory of its own on a loopback port, with a bearer token."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

TOKEN = "benchmark-token"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready: where it is, and how long it took from the start of its process."""

    port: int
    pid: int
    ready_seconds: float
    data_dir: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One request as the administrator. Raises HTTPException for an answer that is no success."""
        with contextlib.closing(connect(self.port)) as connection:
            return ask(connection, method, path, body)


@contextlib.contextmanager
def server(*flags: str) -> Iterator[Running]:
    """Run a server for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as scratch:
        directory = Path(scratch)
        tokens = directory / "tokens"
        tokens.write_text(f'{TOKEN},benchmark,1,"system:masters"\n')
        port = free_port()
        argv = [sys.executable, "-m", "mizzen", "server", "--data-dir", scratch, "--port", str(port)]
        with (directory / "log").open("wb") as log:
            started = time.monotonic()
            process = subprocess.Popen([*argv, "--token-file", str(tokens), *flags], stdout=log, stderr=log)
            try:
                wait_until_ready(port, process)
                yield Running(port, process.pid, time.monotonic() - started, directory)
            finally:
                process.terminate()
                process.wait()


def wait_until_ready(port: int, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    """Return when /readyz answers 200. Raises TimeoutError, RuntimeError when the process has ended."""
    deadline = time.monotonic() + seconds
    while not is_ready(port):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server is not ready after {seconds} s")
        time.sleep(0.005)


def is_ready(port: int) -> bool:
    """Whether /readyz answers 200."""
    try:
        with contextlib.closing(connect(port)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def connect(port: int) -> HTTPSConnection:
    """A connection that does not ask who answers."""
    return HTTPSConnection("127.0.0.1", port, timeout=30, context=unverified())


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def ask(connection: HTTPSConnection, method: str, path: str, body: Any = None) -> Any:
    """One request on an open connection. Raises HTTPException for an answer that is no success."""
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
    response = connection.getresponse()
    answered = response.read()
    if response.status >= 300:
        raise HTTPException(f"{method} {path}: {response.status} {answered[:300]!r}")
    return json.loads(answered) if answered.startswith(b"{") else answered


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def resident_bytes(pid: int) -> int:
    """The resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
