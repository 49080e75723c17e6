"""The server under test as a process, and the commands that are run against it."""

import base64
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent.parent
CACHE = ROOT / ".cache"
KUBECTLS = ("v37", "v32", "v28")
NOT_OURS = {501, 503, 504}
"""Answers past 500 that Kubernetes documents: not implemented, try later, a version from the future."""


class Failed(AssertionError):
    """A command that should have worked did not."""


@dataclass
class Server:
    """The running server; `lines` grows with its log, one event a line."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    lines: list[str] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "admin.kubeconfig"

    @property
    def url(self) -> str:
        return str(yaml.safe_load(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """As `new_tls`, for all who do not change it."""
        return self.new_tls()

    def new_tls(self) -> ssl.SSLContext:
        """The administrator's certificate, and trust in the cluster's own authority."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        pair = self.data_dir.parent / "admin.pem"
        pair.write_bytes(b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
        context = ssl.create_default_context(cadata=authority)
        context.load_cert_chain(pair)
        return context

    def connect(self, timeout: float = 20) -> http.client.HTTPSConnection:
        """A connection of the administrator's, for what is about bytes on the wire."""
        host, port = self.url.removeprefix("https://").split(":")
        return http.client.HTTPSConnection(host, int(port), timeout=timeout, context=self.tls)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and decoded answer of one request; header names take underscores."""
        connection = self.connect()
        try:
            content = {"content-type": "application/json"} | {
                key.replace("_", "-"): value for key, value in headers.items()
            }
            connection.request(method, path, json.dumps(body) if body is not None else None, content)
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if data[:1] in (b"{", b"[") else data.decode()
        finally:
            connection.close()

    def wait_for(self, collection: str) -> dict[str, Any]:
        """The first object that a watch of a collection tells of, from what is there on."""
        connection = self.connect()
        try:
            connection.request("GET", f"{collection}{'&' if '?' in collection else '?'}watch=1&timeoutSeconds=15")
            line = connection.getresponse().readline()
            assert line, f"nothing appeared in {collection}"
            found: dict[str, Any] = json.loads(line)["object"]
            return found
        finally:
            connection.close()

    def follow(self) -> None:
        """Read the log until the process ends."""
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            self.lines.append(raw.decode(errors="replace").rstrip())
            if '"event":"ready"' in self.lines[-1]:
                self.ready.set()
        self.ready.set()

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """What was logged after line `since`, as fields; lines that are none come as {"event": line}."""
        return [_event(line) for line in self.lines[since:]]

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The requests that clients made until now."""
        mark = f"mark={len(self.lines)}-{time.monotonic_ns()}"  # the log is read behind the server's back
        self.request("GET", f"/livez?{mark}")
        query = mark.split("=")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            seen = [one for one in self.events(since) if one["event"] == "request"]
            if query in [pair for one in seen[-20:] for pair in one["query"]]:
                return [one for one in seen if query not in one["query"]]
            time.sleep(0.01)
        raise Failed("the server's log does not come")

    def complaints(self, since: int = 0) -> list[str]:
        """Errors of the server's own: failures it logged, and answers that blame itself."""
        return [
            json.dumps(one)
            for one in self.events(since)
            if one.get("level") == "error" or (one.get("status", 0) >= 500 and one["status"] not in NOT_OURS)
        ]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {"event": line}
    return event if isinstance(event, dict) and "event" in event else {"event": line}


@contextmanager
def started(data: Path, *flags: str) -> Iterator[Server]:
    """A server on a free port of loopback while the block runs; its log stays beside its data."""
    command = [sys.executable, "-m", "mizzen", "server", "--data-dir", str(data), "--port", "0", "--log-level", "debug"]
    process = subprocess.Popen(
        [*command, *flags],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        cwd=data.parent,
    )
    running = Server(process, data)
    reader = threading.Thread(target=running.follow, daemon=True)
    reader.start()
    try:
        assert running.ready.wait(20), "the server is not ready after 20 s"
        assert process.poll() is None, "the server ended at once:\n" + "\n".join(running.lines)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()
            reader.join(10)
            (data.parent / "server.log").write_text("\n".join(running.lines))


def binary(version: str, name: str) -> Path:
    """A client's program; a test without it fails and says what to do."""
    path = CACHE / "clients" / version / name
    if not path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} is missing: run `make test` once, it fetches the clients", pytrace=False)
    return path


def run(
    command: list[str],
    *,
    stdin: str | None = None,
    timeout: float = 60,
    env: dict[str, str] | None = None,
    ok: bool = True,
) -> subprocess.CompletedProcess[str]:
    """A finished command. Raises Failed when it was to work and did not."""
    done = subprocess.run(
        command,
        input=stdin,
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(env or {})},
    )
    if ok and done.returncode:
        raise Failed(f"{' '.join(command[3:])}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@dataclass
class Kubectl:
    """One version of kubectl in one namespace; a call answers what it printed. Raises Failed."""

    version: str
    kubeconfig: Path
    namespace: str
    cache: Path

    def __call__(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        return self.run(*arguments, stdin=stdin, env=env).stdout

    def run(
        self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None, ok: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The finished command."""
        return run(self.command(*arguments), stdin=stdin, env=env, ok=ok)

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """What a command complained about that has to fail."""
        done = self.run(*arguments, stdin=stdin, ok=False)
        assert done.returncode, f"kubectl {' '.join(arguments)} should have failed: {done.stdout}"
        return done.stderr

    def command(self, *arguments: str) -> list[str]:
        """The command line, for whoever runs it in a way of his own."""
        flags = (f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", f"--cache-dir={self.cache}")
        # Plugins and completion come before flags, everything else takes them first.
        if arguments[0] == "__complete":
            return [str(binary(self.version, "kubectl")), "__complete", *flags, *arguments[1:]]
        return [str(binary(self.version, "kubectl")), *flags, *arguments]

    def json(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, manifest: str, *flags: str) -> str:
        return self("apply", "-f", "-", *flags, stdin=manifest)
