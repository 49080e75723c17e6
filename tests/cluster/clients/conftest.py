"""A real `mizzen server` process that unmodified clients talk to over TLS; what it logged is shown on failure.

A test during which the server answers 5xx or logs an error fails, whatever the client made of it.
"""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cluster.clients.harness import KUBECTLS, Kubectl, Server, started

SERVER = pytest.StashKey[Server]()
TAIL = 40
RELIVED = 1_100
CONFIGS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The control plane, controllers and scheduler included, on a free port of loopback."""
    data = tmp_path_factory.mktemp("server") / "data"
    tokens = data.parent / "tokens.csv"
    tokens.write_text('token-of-alice,alice,1,"devs"\n')
    with started(data, "--token-file", str(tokens)) as running:
        request.config.stash[SERVER] = running
        yield running


@pytest.fixture(scope="session")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that began anew on its data, and a resourceVersion that its history no longer reaches back to."""
    data = tmp_path_factory.mktemp("restarted") / "data"
    with started(data, "--no-controllers") as first:
        status, made = first.request("POST", CONFIGS, {"metadata": {"name": "a", "labels": {"app": "web"}}})
        assert status == 201, made
        connection = first.connect()
        for number in range(RELIVED):  # a restarted server knows about this many revisions of before
            body = {"data": {"number": str(number)}}
            connection.request("PATCH", f"{CONFIGS}/a", json.dumps(body), {"content-type": MERGE})
            assert connection.getresponse().read()
        connection.close()
    with started(data, "--no-controllers") as second:
        yield second, made["metadata"]["resourceVersion"]


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
