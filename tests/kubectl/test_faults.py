"""What survives: kill -9 of the control plane and of an agent, the loss of a node, and down followed by up."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.kubectl.conftest import BUSYBOX, Cluster, Kubectl, eventually
from tests.kubectl.test_acceptance import CLAIM, sleeper, with_claim


def test_kill_9_of_the_control_plane_loses_no_acknowledged_write(cluster: Cluster, kubectl: Kubectl) -> None:
    written: list[str] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            manifest = f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "w{number}"}}}}'
            if kubectl.run("create", "-f", "-", stdin=manifest).returncode == 0:
                written.append(f"w{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: len(written) >= 10)
        os.kill(cluster.pid("server"), signal.SIGKILL)
        known = len(written)
        eventually(lambda: len(written) >= known + 10)  # it is there again by itself
    finally:
        stop.set()
        writer.join()
    present = set(kubectl("get", "configmaps", "-o", "jsonpath={.items[*].metadata.name}").split())
    assert set(written) <= present


def test_kill_9_of_an_agent_restarts_no_container(cluster: Cluster, kubectl: Kubectl) -> None:
    node = kubectl.json("nodes")["items"][0]["metadata"]["name"]
    kubectl.apply(sleeper("steady", node))
    kubectl.ready("steady")
    before = kubectl.json("pod", "steady")["status"]["containerStatuses"][0]
    killed = cluster.pid(node)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: cluster.pid(node) != killed)
    eventually(lambda: kubectl.in_pod("steady", "hostname").strip() == "steady")
    after = kubectl.json("pod", "steady")["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], before["restartCount"])


def test_a_lost_node_is_noticed_and_its_pods_reappear_elsewhere(cluster: Cluster, kubectl: Kubectl) -> None:
    node = kubectl.json("nodes")["items"][1]["metadata"]["name"]
    tolerations = "".join(
        f"{{key: node.kubernetes.io/{key}, operator: Exists, effect: NoExecute, tolerationSeconds: 1}}, "
        for key in ("unreachable", "not-ready")
    )
    kubectl.apply(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: moving}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: moving}}}}
  template:
    metadata: {{labels: {{app: moving}}}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{tolerations}]
      topologySpreadConstraints:
      - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
          labelSelector: {{matchLabels: {{app: moving}}}}}}
      containers: [{{name: c, image: {BUSYBOX}, command: [sleep, "3600"]}}]
""")
    kubectl.rolled_out("deployment/moving")
    lost = cluster.pid(node)
    os.kill(lost, signal.SIGSTOP)
    try:
        eventually(lambda: " NotReady " in kubectl("get", "node", node), 90)

        def elsewhere() -> bool:
            pods = kubectl.json("pods", "-l", "app=moving")["items"]
            ready = [
                pod
                for pod in pods
                if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("nodeName") != node
            ]
            return len(ready) == 2 and all(pod["status"]["phase"] == "Running" for pod in ready)

        eventually(elsewhere, 60)
    finally:
        os.kill(lost, signal.SIGCONT)
    eventually(lambda: " Ready " in kubectl("get", "node", node), 30)


def test_everything_survives_down_and_up(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(CLAIM.format(name="data", mode="ReadWriteOnce"))
    kubectl.apply(with_claim("keeper", "data"))
    kubectl.ready("keeper")
    kubectl.in_pod("keeper", "sh", "-c", "echo kept > /data/file")
    uid = kubectl.json("pod", "keeper")["metadata"]["uid"]
    cluster.mizzen("down")
    assert not [
        line
        for line in subprocess.run(
            ["ps", "-eo", "args"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        if str(cluster.data_dir) in line
    ]
    started = time.monotonic()
    cluster.mizzen("up")
    assert time.monotonic() - started < 30
    assert kubectl.json("pod", "keeper")["metadata"]["uid"] == uid
    eventually(lambda: kubectl.in_pod("keeper", "cat", "/data/file") == "kept\n")


def test_a_node_whose_machine_goes_off_ends_its_pods_in_order_first(cluster: Cluster, kubectl: Kubectl) -> None:
    node = kubectl.json("nodes")["items"][1]["metadata"]["name"]
    settings = cluster.data_dir / "kubelet.yaml"
    settings.write_text(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 33\nshutdownGracePeriod: 10s\n"
    )
    try:
        os.kill(cluster.pid(node), signal.SIGKILL)
        cluster.mizzen("up")
        eventually(lambda: kubectl.json("node", node)["status"]["allocatable"]["pods"] == "33")
        kubectl.apply(sleeper("leaving", node))
        kubectl.ready("leaving")
        os.kill(cluster.pid(node), signal.SIGPWR)
        ended = eventually(lambda: kubectl.json("pod", "leaving")["status"].get("reason"))
        assert ended == "Terminated"
    finally:
        settings.unlink()
        eventually(lambda: not Path(f"/proc/{cluster.pid(node)}").exists())
        cluster.mizzen("up")


def test_a_cluster_that_is_down_can_be_ended_once_more_in_silence(tmp_path: Path) -> None:
    where = ("--name", "twice", "--data-dir", str(tmp_path / "twice"))
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")}

    def mizzen(*arguments: str) -> str:
        command = [sys.executable, "-m", "mizzen", *arguments, *where]
        done = subprocess.run(command, text=True, capture_output=True, timeout=60, check=True, env=environment)
        return done.stderr

    mizzen("up", "--nodes", "1")
    mizzen("down")
    assert "mizzen:" not in mizzen("down", "--delete-data")
