"""Real kubectl against a whole control plane in this process, whose hours pass in a moment."""

import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.kubectl.conftest import Kubectl

from mizzen.api.views.meta import LabelSelector
from mizzen.cluster.stages import Stage
from mizzen.cluster.virtual import Shape, VirtualCluster


def stages() -> tuple[Stage, ...]:
    """How pods behave here, by their label `does`."""
    rules: dict[str, dict[str, Any]] = {
        "sleeps": {"runs": "100000h"},
        "fails": {"runs": "2s", "exitCode": 1},
        "hangs": {"startup": "100000h"},
        "idles": {"cpu": "10m", "memory": "64Mi"},
        "works": {"cpu": "250m", "memory": "64Mi"},
        "works-hard": {"cpu": "1", "memory": "64Mi"},
    }
    return tuple(
        Stage(selector=LabelSelector(matchLabels={"does": does}), jitter=0.0, **rule) for does, rule in rules.items()
    )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualCluster]:
    """Three simulated nodes under a control plane that listens on loopback."""
    with VirtualCluster(Shape(tmp_path_factory.mktemp("virtual"), stages=stages())) as running:
        yield running


@dataclass
class Console:
    """kubectl in one namespace, and the cluster's time."""

    kubectl: Kubectl
    cluster: VirtualCluster

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        return self.kubectl(*arguments, stdin=stdin)

    def apply(self, manifest: str) -> str:
        return self.kubectl.apply(manifest)

    def json(self, *arguments: str) -> Any:
        return self.kubectl.json(*arguments)

    def field(self, path: str, *what: str) -> str:
        """One jsonpath of an object."""
        return self.kubectl("get", *what, "-o", f"jsonpath={{{path}}}")

    def names(self, *what: str) -> list[str]:
        return sorted(self.kubectl("get", *what, "-o", "jsonpath={.items[*].metadata.name}").split())

    def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of what was told about an object, oldest first."""
        found = self.json("events", f"--field-selector=involvedObject.name={name}")["items"]
        found.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
        return [(one["reason"], one["message"]) for one in found]

    def watching(self, *arguments: str, within: int = 600) -> str:
        """What a command prints that waits for something, while the cluster's time goes on; so many seconds at most."""
        process = subprocess.Popen(
            self.kubectl.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        select.select([process.stdout], [], [])  # it has seen how things stand once it says its first word, or ends
        for _ in range(within):
            self.cluster.advance(1)
            try:
                process.wait(0.05)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            process.kill()
        out, _ = process.communicate()
        return out


@pytest.fixture
def console(cluster: VirtualCluster, request: pytest.FixtureRequest) -> Iterator[Console]:
    """kubectl in a namespace of the test's own."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:50].rstrip("-")
    kubectl = Kubectl(Path(cluster.kubeconfig), name)
    kubectl("create", "namespace", name)
    cluster.advance(1)
    yield Console(kubectl, cluster)
    kubectl("delete", "namespace", name, "--wait=false")
    cluster.advance(60)
