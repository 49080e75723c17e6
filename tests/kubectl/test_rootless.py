"""A cluster of an ordinary user, made for the test: `mizzen up` without root, pods by crun, an end without traces."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.kubectl.conftest import BUSYBOX, Cluster, Failed, Kubectl, build_busybox, eventually

USER = "mizzen-test"
WEB = f"""
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: {BUSYBOX}
    imagePullPolicy: Never
    command: [sh, -c, "mkdir /www; echo hello >/www/index.html; echo started; exec httpd -f -p 8080 -h /www"]
    resources: {{limits: {{cpu: 100m, memory: 64Mi}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client}}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {{runAsUser: 1000, fsGroup: 2000}}
  containers:
  - name: c
    image: {BUSYBOX}
    imagePullPolicy: Never
    command: [sh, -c, "exec sleep 1000"]
    volumeMounts: [{{name: shared, mountPath: /shared}}]
  volumes: [{{name: shared, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}
"""


@dataclass
class UsersCluster(Cluster):
    """A cluster whose commands are an ordinary user's."""

    def mizzen(self, *arguments: str, timeout: float = 120) -> str:
        verb, *rest = arguments
        where = ["--name", self.name, "--data-dir", str(self.data_dir)] if verb != "image" else []
        user = pwd.getpwnam(USER)
        done = subprocess.run(
            [sys.executable, "-m", "mizzen", verb, *where, *rest],
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
            cwd=self.data_dir.parent,
            env={"PATH": os.environ["PATH"], "HOME": user.pw_dir, **self.environment},
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
        )
        if done.returncode:
            logs = "\n".join(f"{p.name}: {p.read_text()[-1500:]}" for p in (self.data_dir / "logs").glob("*.log"))
            raise Failed(f"mizzen {' '.join(arguments)}: {done.stdout}{done.stderr}\n{logs}")
        return done.stdout


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The home of an ordinary user, who is gone afterwards, whatever became of the test."""
    directory = Path(tempfile.mkdtemp(prefix="mizzen-"))
    directory.chmod(0o755)
    made = directory / "home"
    subprocess.run(["useradd", "--create-home", "--home-dir", str(made), USER], check=True, capture_output=True)
    try:
        yield made
    finally:
        for pid in processes_of(pwd.getpwnam(USER).pw_uid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["userdel", "--force", USER], check=True, capture_output=True)
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def users(home: Path) -> Iterator[UsersCluster]:
    base = home / "clusters"
    base.mkdir()
    os.chown(base, pwd.getpwnam(USER).pw_uid, -1)
    made = UsersCluster(base / "mine", Kubectl(base / "mine" / "admin.kubeconfig"), name="mine")
    made.environment["KUBECONFIG"] = str(base / "kubeconfig")
    build_busybox(made, base / "images")
    try:
        made.mizzen("up", "--nodes", "2")
        yield made
    finally:
        made.mizzen("down", "--delete-data")
    assert processes_of(pwd.getpwnam(USER).pw_uid) == {}
    assert not made.data_dir.exists()


def processes_of(user: int) -> dict[int, str]:
    """The command lines of what a user runs, by process."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if entry.stat().st_uid == user and (line := (entry / "cmdline").read_bytes()):
                found[int(entry.name)] = line.replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def keeper(cluster: UsersCluster) -> int:
    record = json.loads((cluster.data_dir / "run" / "rootless" / "keeper.json").read_text())
    return int(record["pid"])


def containers(kubectl: Kubectl) -> list[Any]:
    pods = kubectl.json("pods")["items"]
    return [pod["status"]["containerStatuses"][0]["containerID"] for pod in pods]


def test_pods_of_an_ordinary_user_run_log_execute_and_find_services_by_name(users: UsersCluster) -> None:
    kubectl = users.kubectl
    kubectl.apply(WEB)
    kubectl.ready("web", "client")
    assert kubectl("logs", "web") == "started\n"
    assert eventually(lambda: kubectl.in_pod("client", "wget", "-qO-", "http://web/")) == "hello\n"
    shown = kubectl.in_pod("client", "sh", "-c", "touch /shared/file; stat -c '%u %g' /shared/file")
    assert shown == "1000 2000\n"
    port = json.loads(users.mizzen("status", "-o", "json"))["ingress"]["http"]
    assert port > 1024
    answer = eventually(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read())
    assert answer == b"hello\n"


def test_what_is_killed_comes_back_and_no_container_restarts(users: UsersCluster) -> None:
    kubectl = users.kubectl
    kubectl.apply(WEB)
    kubectl.ready("web", "client")
    before = containers(kubectl)
    for pid in (users.pid("server"), users.pid("mine-1"), keeper(users)):
        os.kill(pid, signal.SIGKILL)
    users.mizzen("up")
    kubectl.ready("web", "client")
    assert containers(kubectl) == before
    assert eventually(lambda: kubectl.in_pod("client", "wget", "-qO-", "http://web/")) == "hello\n"


def test_containerd_is_refused_with_the_reason(users: UsersCluster) -> None:
    other = UsersCluster(users.data_dir.parent / "other", users.kubectl, name="other", environment=users.environment)
    with pytest.raises(Failed, match="--runtime cri needs root"):
        other.mizzen("up", "--runtime", "cri")


def test_a_pod_that_wants_users_of_its_own_is_told_what_is_missing(users: UsersCluster) -> None:
    spec = {
        "hostUsers": False, "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "c", "image": BUSYBOX, "imagePullPolicy": "Never"}],
    }  # fmt: skip
    users.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "own"}, "spec": spec}))

    def told() -> str:
        about = "involvedObject.name=own,reason=FailedCreatePodSandBox"
        return users.kubectl("get", "events", "--field-selector", about, "-o", "jsonpath={.items[0].message}")

    assert "the pod's own users need ids 65536 and 65536 more" in eventually(told)
    users.kubectl("delete", "pod", "own")
