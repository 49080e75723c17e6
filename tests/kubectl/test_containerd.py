"""A cluster whose pods are containerd's: `mizzen up --runtime cri`, faults, and an end that leaves nothing."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kubectl.conftest import BUSYBOX, Cluster, Kubectl, build_busybox, eventually, leftovers

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: %s
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: %s, imagePullPolicy: Never, command: [sh, -c, "hostname; exec sleep 1000"]}
"""


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node with a containerd of its own."""
    base = tmp_path_factory.mktemp("cri")
    made = Cluster(base / "cri", Kubectl(base / "cri" / "admin.kubeconfig"), name="cri")
    made.environment["KUBECONFIG"] = str(base / "kubeconfig")
    build_busybox(made, base / "images")
    try:
        made.mizzen("up", "--nodes", "1", "--runtime", "cri")
        yield made
    finally:
        made.mizzen("down")
    assert leftovers(made) == []
    assert not list(Path("/sys/fs/cgroup/unified").glob("mizzen-*-cri-1"))


def daemon_pid(cluster: Cluster) -> int:
    record = cluster.data_dir / "nodes" / "cri-1.containerd" / "process.json"
    return int(json.loads(record.read_text())["pid"])


def test_pods_run_and_outlive_the_agent_and_containerd(contained: Cluster) -> None:
    kubectl = contained.kubectl
    kubectl.apply(POD % ("own", "false", BUSYBOX))
    kubectl.ready("own")
    assert kubectl("logs", "own").strip() == "own"
    assert kubectl.in_pod("own", "echo", "hello").strip() == "hello"
    before = kubectl.json("pod", "own")["status"]["containerStatuses"]
    os.kill(daemon_pid(contained), signal.SIGKILL)
    os.kill(contained.pid("cri-1"), signal.SIGKILL)
    contained.mizzen("up")
    assert eventually(lambda: kubectl.in_pod("own", "echo", "again").strip()) == "again"
    assert kubectl.json("pod", "own")["status"]["containerStatuses"] == before


def test_containerd_is_started_again_when_it_ends(contained: Cluster) -> None:
    kubectl = contained.kubectl
    ended = daemon_pid(contained)
    os.kill(ended, signal.SIGKILL)
    kubectl.apply(POD % ("later", "false", BUSYBOX))
    kubectl.ready("later")
    assert daemon_pid(contained) != ended


def test_what_a_killed_containerd_was_making_is_made_again(contained: Cluster) -> None:
    kubectl = contained.kubectl
    names = [f"many-{number}" for number in range(6)]
    kubectl.apply("---".join(POD % (name, "false", BUSYBOX) for name in names))
    eventually(lambda: "Running" in kubectl("get", "pods", *names))
    os.kill(daemon_pid(contained), signal.SIGKILL)
    kubectl.ready(*names)


def test_a_pod_on_the_hosts_network_is_on_its_nodes(contained: Cluster) -> None:
    kubectl = contained.kubectl
    kubectl.apply(POD % ("host", "true", BUSYBOX))
    kubectl.ready("host")
    shown = kubectl.json("pod", "host")["status"]
    routes = kubectl.in_pod("host", "cat", "/proc/net/fib_trie")
    assert shown["podIP"] == shown["hostIP"] and shown["hostIP"] in routes
