"""The newest kubectl, which sends and asks for protobuf, against a real server: what it makes is what JSON makes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = ROOT / ".cache" / "clients" / "v37" / "kubectl"
PROTOBUF = "application/vnd.kubernetes.protobuf"
CREATES = (
    "create deployment web --image=nginx --replicas=2 --port=80",
    "run pod --image=busybox --env=A=1 --labels=a=b --port=80 --restart=Never -- sleep 1",
    "create configmap settings --from-literal=a=b --from-literal=empty=",
    "create secret generic login --from-literal=password=geheim",
    "create secret docker-registry pull --docker-username=u --docker-password=p --docker-server=x.example",
    "create job once --image=busybox -- echo hi",
    "create cronjob often --image=busybox --schedule=*/5_*_*_*_* -- echo hi",
    "create role reader --verb=get,list --resource=pods,deployments.apps --resource-name=x",
    "create rolebinding reader --role=reader --user=me --serviceaccount=default:default",
    "create serviceaccount robot",
    "create quota small --hard=configmaps=50,requests.cpu=100m",
    "create poddisruptionbudget careful --selector=app=web --min-available=50%",
    "create ingress front --rule=a.example/*=web:80 --annotation=a=b --class=x",
    "create service externalname far --external-name=far.example",
    "create service clusterip headless --tcp=80:http --clusterip=None",
    "autoscale deployment web --min=1 --max=5 --cpu-percent=70",
)
CHOSEN_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace")


class Cluster:
    """A server in a process of its own."""

    def __init__(self, kubeconfig: Path, cache: Path) -> None:
        self._base = [str(KUBECTL), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}"]

    def command(self, *arguments: str) -> list[str]:
        return [*self._base, *arguments]

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done

    def get(self, namespace: str, *what: str) -> Any:
        return json.loads(self.kubectl("get", "-n", namespace, *what, "-o", "json").stdout)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    data = tmp_path_factory.mktemp("protobuf") / "data"
    command = [sys.executable, "-m", "mizzen", "server", "--data-dir", str(data), "--port", "0", "--no-controllers"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stderr is not None
        try:
            assert any('"event":"ready"' in line for line in process.stderr)
            found = Cluster(data / "admin.kubeconfig", data.parent / "cache")
            for namespace in ("binary", "text"):
                found.kubectl("create", "namespace", namespace)
                found.kubectl("create", "-n", namespace, "serviceaccount", "default")
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            process.stderr.close()


def test_kubectl_sends_and_receives_protobuf(cluster: Cluster) -> None:
    log = cluster.kubectl("-v=8", "create", "-n", "binary", "configmap", "seen", "--from-literal=a=b").stderr
    assert f"Accept: {PROTOBUF},application/json" in log
    assert log.count(f"Content-Type: {PROTOBUF}") >= 2


@pytest.mark.parametrize("line", CREATES, ids=lambda line: "-".join(line.split()[:3]))
def test_what_protobuf_makes_is_what_json_makes(cluster: Cluster, line: str) -> None:
    arguments = [part.replace("_", " ") for part in line.split()]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:split], arguments[split:]
    if options[0] == "autoscale":
        manifest = cluster.get("binary", "deployment", "web")
        del manifest["metadata"]["namespace"], manifest["metadata"]["resourceVersion"], manifest["metadata"]["uid"]
        cluster.kubectl("apply", "-n", "text", "-f", "-", stdin=json.dumps(manifest))
    text = cluster.kubectl(*options, "-n", "text", "--dry-run=client", "-o", "json", *rest).stdout
    cluster.kubectl(*options, "-n", "binary", *rest)
    cluster.kubectl("create", "-n", "text", "-f", "-", stdin=text)
    made = json.loads(text)
    what = (made["kind"], made["metadata"]["name"])
    assert _settled(cluster.get("binary", *what)) == _settled(cluster.get("text", *what))


def _settled(obj: Any) -> Any:
    """An object without what differs each time."""
    text = json.dumps({**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in CHOSEN_BY_SERVER}})
    for name in (obj["metadata"]["uid"], *(volume["name"] for volume in obj.get("spec", {}).get("volumes", ()))):
        text = text.replace(name, "unique")
    return json.loads(text)


def test_failures_reach_kubectl_with_their_reason(cluster: Cluster) -> None:
    command = cluster.command("create", "-n", "binary", "deployment", "Wrong", "--image=x")
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert 'Deployment.apps "Wrong" is invalid: ' in done.stderr
    assert "metadata.name: Invalid value" in done.stderr


def test_a_token_and_a_review_come_back(cluster: Cluster) -> None:
    cluster.kubectl("create", "-n", "binary", "serviceaccount", "token-owner")
    assert cluster.kubectl("create", "-n", "binary", "token", "token-owner").stdout.count(".") == 2
    assert cluster.kubectl("auth", "can-i", "create", "pods").stdout == "yes\n"


def test_a_typed_watch_of_kubectl_sees_events_as_they_come(cluster: Cluster) -> None:
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "first", "namespace": "text"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "text"},
        "reason": "Testing",
        "message": "seen over the watch",
        "type": "Normal",
        "lastTimestamp": "2026-11-22T22:00:00Z",
    }
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(event))
    watching = cluster.command("events", "-n", "text", "--watch", "-v=8")
    with subprocess.Popen(watching, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as watcher:
        assert watcher.stdout is not None
        try:
            seen = []
            for line in watcher.stdout:
                seen.append(line)
                if "seen over the watch" in line and "Normal" in line:
                    break
        finally:
            watcher.kill()
    assert any(f"Content-Type: {PROTOBUF};stream=watch" in line for line in seen)
