"""What controllers make of work that comes and goes, and whether twice as much costs twice as much.

`python bench/churn.py [--only deployment] [--objects 500] [--nodes 100]`: `mizzen simulate` in a process of its own;
for so many objects and for twice as many, the processor time of the whole control plane for each, and the ratio.
"""

import argparse
import base64
import contextlib
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import yaml

import process

DEFAULT = "/api/v1/namespaces/default"
WAIT_SECONDS, LOOK_SECONDS = 300.0, 0.5
WORKLOADS = {"deployment": "apps", "statefulset": "apps", "job": "batch", "daemonset": "apps"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A simulated cluster, and a connection as its administrator."""

    pid: int
    connection: HTTPSConnection

    def ask(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> tuple[int, Any]:
        """The status and the answer of one request."""
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, body=data, headers={"content-type": content_type})
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def has(self, plural: str, label: str) -> bool:
        """Whether any object of the default namespace carries a label."""
        return bool(self.ask("GET", f"{DEFAULT}/{plural}?labelSelector={label}&limit=1")[1]["items"])

    def cost(self, act: Callable[[], Any], done: Callable[[], bool]) -> float:
        """Seconds of processor time until what an act began is done."""
        before, until = process.cpu_seconds(self.pid), time.monotonic() + WAIT_SECONDS
        act()
        while not done():
            if time.monotonic() > until:
                raise TimeoutError(f"not done after {WAIT_SECONDS} s")
            time.sleep(LOOK_SECONDS)
        return process.cpu_seconds(self.pid) - before


@contextlib.contextmanager
def simulated(nodes: int) -> Iterator[Cluster]:
    """A simulated cluster for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="mizzen-churn-") as directory:
        argv = [sys.executable, "-m", "mizzen", "simulate", "--nodes", str(nodes), "--stay", "--data-dir", directory]
        argv += ["--port", str(port := process.free_port()), "--startup", "0.1s", "--output", "json"]
        running = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert running.stdout is not None
            running.stdout.readline()  # it reports once all nodes are there
            yield Cluster(running.pid, _connect(Path(directory) / "admin.kubeconfig", port))
        finally:
            running.terminate()
            running.wait()


def _connect(config: Path, port: int) -> HTTPSConnection:
    context: ssl.SSLContext = process.unverified()
    user = yaml.safe_load(config.read_text())["users"][0]["user"]
    with tempfile.NamedTemporaryFile() as pair:
        for part in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(user[part]))
        pair.flush()
        context.load_cert_chain(pair.name)
    return HTTPSConnection("127.0.0.1", port, timeout=WAIT_SECONDS, context=context)


def workload(cluster: Cluster, kind: str, count: int, nodes: int) -> Iterator[tuple[str, int, float]]:
    """Pods of one workload: all of them up, half of them gone, none left; each with how many that concerned."""
    name, group = f"{kind}-{count}", WORKLOADS[kind]
    path = f"/apis/{group}/v1/namespaces/default/{kind}s"
    container = {"name": "a", "image": "registry.example/a:1", "resources": {"requests": {"cpu": "1m"}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec: dict[str, Any] = {"template": template, "selector": {"matchLabels": {"app": name}}}
    if kind == "job":
        template["spec"]["restartPolicy"] = "Never"
        spec = {"template": template, "completions": count, "parallelism": count}
    elif kind == "daemonset":
        count = nodes
    else:
        spec |= {"replicas": count, "serviceName": name, "podManagementPolicy": "Parallel"}
    if kind == "deployment":
        del spec["serviceName"], spec["podManagementPolicy"]
    ready = {"job": "succeeded", "daemonset": "numberReady"}.get(kind, "readyReplicas")
    service = {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
    cluster.ask("POST", f"{DEFAULT}/services", service)
    label = f"app%3D{name}"

    def status(field: str) -> int:
        return cluster.ask("GET", f"{path}/{name}")[1]["status"].get(field) or 0

    whole = {"metadata": {"name": name}, "spec": spec}
    yield "up", count, cluster.cost(lambda: cluster.ask("POST", path, whole), lambda: status(ready) >= count)
    left = count
    if "replicas" in spec:
        half = {"spec": {"replicas": count // 2}}
        act = lambda: cluster.ask("PATCH", f"{path}/{name}", half, "application/merge-patch+json")  # noqa: E731
        yield "half", count // 2, cluster.cost(act, lambda: status("replicas") == count // 2)
        left = count // 2
    gone = {"propagationPolicy": "Background"}
    act = lambda: cluster.ask("DELETE", f"{path}/{name}", gone)  # noqa: E731
    yield "delete", left, cluster.cost(act, lambda: not cluster.has("pods", label))


def namespace(cluster: Cluster, count: int) -> Iterator[tuple[str, int, float]]:
    """A namespace with so many ConfigMaps is deleted."""
    path = f"/api/v1/namespaces/full-{count}"
    cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": f"full-{count}"}})
    for number in range(count):
        cluster.ask("POST", f"{path}/configmaps", {"metadata": {"name": f"c-{number}"}})
    yield "delete", count, cluster.cost(lambda: cluster.ask("DELETE", path), lambda: cluster.ask("GET", path)[0] == 404)


def owned(cluster: Cluster, count: int) -> Iterator[tuple[str, int, float]]:
    """An owner of so many Secrets is deleted."""
    name = f"owner-{count}"
    _, owner = cluster.ask("POST", f"{DEFAULT}/configmaps", {"metadata": {"name": name}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": owner["metadata"]["uid"]}
    for number in range(count):
        meta = {"name": f"{name}-{number}", "labels": {"of": name}, "ownerReferences": [reference]}
        cluster.ask("POST", f"{DEFAULT}/secrets", {"metadata": meta})
    act = lambda: cluster.ask("DELETE", f"{DEFAULT}/configmaps/{name}")  # noqa: E731
    yield "delete", count, cluster.cost(act, lambda: not cluster.has("secrets", f"of%3D{name}"))


def main() -> None:
    """Print a line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="deployment, statefulset, job, daemonset, namespace or owned")
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--nodes", type=int, default=100)
    asked = parser.parse_args()
    for what in (*WORKLOADS, "namespace", "owned"):
        if asked.only not in what:
            continue
        once: dict[str, float] = {}
        with simulated(asked.nodes) as cluster:
            for count in (asked.objects, 2 * asked.objects):
                steps = {"namespace": namespace, "owned": owned}.get(what)
                found = steps(cluster, count) if steps else workload(cluster, what, count, asked.nodes)
                for step, number, seconds in found:
                    each = seconds / number * 1000
                    ratio = f"×{each / once[step]:.2f}" if once.get(step) else ""
                    once.setdefault(step, each)
                    print(f"{what} {step}".ljust(24), f"{number:7,}  {each:6.2f} ms each  {ratio}", flush=True)


if __name__ == "__main__":
    main()
