"""A real `mizzen server` process that unmodified clients talk to over TLS; what it logged is shown on failure.

A test during which the server answers 5xx or logs an error fails, whatever the client made of it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster.clients.harness import KUBECTLS, ROOT, Kubectl, Server

SERVER = pytest.StashKey[Server]()
TAIL = 40


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The control plane, controllers and scheduler included, on a free port of loopback."""
    data = tmp_path_factory.mktemp("server") / "data"
    tokens = data.parent / "tokens.csv"
    tokens.write_text('token-of-alice,alice,1,"devs"\n')
    command = [sys.executable, "-m", "mizzen", "server", "--data-dir", str(data), "--port", "0"]
    command += ["--token-file", str(tokens), "--log-level", "debug"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=data.parent
    )
    running = Server(process, data)
    reader = threading.Thread(target=running.follow, daemon=True)
    reader.start()
    try:
        assert running.ready.wait(20), "the server is not ready after 20 s"
        assert process.poll() is None, "the server ended at once:\n" + "\n".join(running.lines)
        request.config.stash[SERVER] = running
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        finally:
            process.kill()
            reader.join(10)
            (data.parent / "server.log").write_text("\n".join(running.lines))


@pytest.fixture(autouse=True)
def no_complaint(server: Server) -> Iterator[None]:
    """No test passes when the server failed during it."""
    since = len(server.lines)
    yield
    assert server.process.poll() is None, "the server ended"
    assert not server.complaints(since)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the server did last below a failure."""
    report = yield
    running = item.config.stash.get(SERVER, None)
    if report.failed and running is not None:
        shown = [_shown(one) for one in running.events(-400) if not one.get("user", "").startswith("system:kube-")]
        report.sections.append(("server log", "\n".join(shown[-TAIL:])))
    return report


def _shown(event: dict[str, Any]) -> str:
    if event["event"] != "request":
        return json.dumps(event)
    query = "&".join(f"{key}={value}" for key, value in event["query"])
    return f"{event['status']} {event['method']} {event['path']}?{query} accept={event['accept'][:60]}"


@pytest.fixture(scope="session")
def kubectls(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Kubectl]:
    """A kubectl by version and namespace, each version with a discovery cache of its own."""
    caches = {version: tmp_path_factory.mktemp(f"discovery-{version}") for version in KUBECTLS}

    def kubectl(version: str, namespace: str) -> Kubectl:
        return Kubectl(version, server.kubeconfig, namespace, caches[version])

    return kubectl


@pytest.fixture
def namespace(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, settled: its ServiceAccount and trust bundle are there."""
    name = f"t{len(server.lines)}-{request.node.originalname.removeprefix('test_').replace('_', '-')[:40].rstrip('-')}"
    with made(server, name):
        yield name


@contextmanager
def made(server: Server, name: str) -> Iterator[str]:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    assert server.request("POST", "/api/v1/namespaces", body)[0] == 201
    for kind, awaited in (("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")):
        server.wait_for(f"/api/v1/namespaces/{name}/{kind}?fieldSelector=metadata.name={awaited}")
    yield name
    assert server.request("DELETE", f"/api/v1/namespaces/{name}")[0] == 200


@pytest.fixture
def admin(kubectls: Callable[[str, str], Kubectl], namespace: str) -> Kubectl:
    """The newest kubectl, for tests of something else."""
    return kubectls("v37", namespace)


@pytest.fixture(params=KUBECTLS)
def kubectl(kubectls: Callable[[str, str], Kubectl], namespace: str, request: pytest.FixtureRequest) -> Kubectl:
    """Every supported version of kubectl in turn."""
    return kubectls(request.param, namespace)
