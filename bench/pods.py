"""Pods of a real cluster from `create` to Running and Ready, and back: `python bench/pods.py [--runtime cri]`.

Needs root, what the runtime needs, and a static busybox (`--busybox PATH`). The whole chain takes part: TLS, API
server, scheduler, agent, containers, status. The cluster of one node is one's own, and ends with the benchmark.
"""

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import uvloop

import process
from mizzen.client.client import Client
from mizzen.client.resources import PODS
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.tls import client_context

IMAGE = "bench/busybox:1"
SINGLES, SETTLE_SECONDS, IDLE_SECONDS, MOST = 30, 10, 10, 110
TARGETS = {
    "crun": {"one": 0.120, "30": 1.5, "100": 5.0},
    "cri": {"one": 0.400},
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster that is measured, and its processes."""

    client: Client
    directory: Path
    runtime: str

    def pids(self) -> dict[str, int]:
        """The server's, the agent's and, if there is one, containerd's."""
        found = {path.stem: json.loads(path.read_text())["pid"] for path in (self.directory / "run").glob("*.json")}
        agent = next(pid for name, pid in found.items() if name != "server")
        daemon = list(self.directory.glob("nodes/*.containerd/process.json"))
        more = {"containerd": json.loads(daemon[0].read_text())["pid"]} if daemon else {}
        return {"server": found["server"], "agent": agent, **more}

    def cpu(self) -> dict[str, float]:
        return {name: process.cpu_seconds(pid) for name, pid in self.pids().items()}


def archive(busybox: Path, target: Path) -> None:
    """A docker-archive with nothing but busybox."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in ("bin/sh", "bin/sleep"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    diff_id = "sha256:" + sha256(layer.getvalue()).hexdigest()
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer.getvalue(),
        "config.json": orjson.dumps(config),
        "manifest.json": orjson.dumps(manifest),
    }
    with tarfile.open(target, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def pod(name: str) -> dict[str, Any]:
    """A pod that ends at once when it is asked to, as a program should."""
    script = "trap 'exit 0' TERM; sleep 100000 & wait"
    container = {"name": "c", "image": IMAGE, "imagePullPolicy": "Never", "command": ["/bin/sh", "-c", script]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


async def until(client: Client, names: Iterable[str], began: float, *, gone: bool) -> list[float]:
    """Seconds after which each pod was Ready, or gone."""
    left, took = set(names), []
    async for event in client.watch(PODS, "default", view=dict, initial=True):
        seen = event.object
        if seen is None or seen["metadata"].get("name") not in left:
            continue
        conditions = (seen.get("status") or {}).get("conditions") or ()
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        if (event.type == "DELETED") if gone else ready:
            left.discard(seen["metadata"]["name"])
            took.append(time.perf_counter() - began)
            if not left:
                break
    return took


async def burst(cluster: Cluster, names: list[str]) -> list[float]:
    """Create pods at once; seconds to Ready for each."""
    client = cluster.client
    began = time.perf_counter()
    waiting = asyncio.create_task(until(client, names, began, gone=False))
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(client.create(PODS, pod(name), "default"))
    return await waiting


async def clear(cluster: Cluster, names: list[str]) -> list[float]:
    """Delete pods; seconds until each is gone."""
    client = cluster.client
    began = time.perf_counter()
    waiting = asyncio.create_task(until(client, names, began, gone=True))
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(client.delete(PODS, name, "default"))
    return await waiting


def spread(times: Iterable[float]) -> str:
    ordered = sorted(times)
    return f"p50 {statistics.median(ordered) * 1e3:.0f} ms, p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.0f} ms"


def against(runtime: str, what: str, seconds: float) -> str:
    target = TARGETS[runtime].get(what)
    return f"  (target {target:g} s: ×{seconds / target:.2f})" if target is not None else ""


async def measure(cluster: Cluster) -> None:
    agent = cluster.pids()["agent"]
    empty = process.resident_bytes(agent)
    print(f"agent without pods: {empty / 1e6:.0f} MB")
    singles, ends = [], []
    before = cluster.cpu()
    for number in range(SINGLES):
        singles += await burst(cluster, [f"one-{number}"])
        ends += await clear(cluster, [f"one-{number}"])
    used = {name: (seconds - before[name]) / SINGLES * 1e3 for name, seconds in cluster.cpu().items()}
    print(f"one pod, create to Ready: {spread(singles)}{against(cluster.runtime, 'one', statistics.median(singles))}")
    print(f"one pod, delete to gone: {spread(ends)}")
    print("processor time of one pod's life: " + ", ".join(f"{name} {one:.0f} ms" for name, one in used.items()))
    for count in (30, 100, MOST):
        names = [f"many-{count}-{number}" for number in range(count)]
        took = await burst(cluster, names)
        print(f"{count} at once, all Ready: {took[-1]:.2f} s{against(cluster.runtime, str(count), took[-1])}")
        if count == MOST:
            size = process.resident_bytes(agent)
            print(f"agent with {count} pods: {size / 1e6:.0f} MB, {(size - empty) / count / 1e6:.2f} MB a pod")
            await asyncio.sleep(SETTLE_SECONDS)
            before = cluster.cpu()
            await asyncio.sleep(IDLE_SECONDS)
            idle = {name: (seconds - before[name]) / IDLE_SECONDS for name, seconds in cluster.cpu().items()}
            print(
                f"idle with {count} pods: "
                + ", ".join(f"{name} {one:.2%}" for name, one in idle.items())
                + " of a core"
            )
        print(f"{count} deleted, all gone: {(await clear(cluster, names))[-1]:.2f} s")


def mizzen(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "mizzen", *arguments], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busybox", type=Path, default=Path("/bin/busybox"), help="a static busybox")
    parser.add_argument("--runtime", choices=sorted(TARGETS), default="crun", help="what runs the containers")
    options = parser.parse_args()
    if os.getuid() != 0 or not options.busybox.exists() or b"/ld-" in options.busybox.read_bytes()[:4096]:
        parser.error("run as root, with a static busybox")
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as scratch:
        base = Path(scratch)
        os.environ["KUBECONFIG"] = str(base / "kubeconfig")
        archive(options.busybox, base / "busybox.tar")
        mizzen("image", "import", "--images-dir", str(base / "images"), str(base / "busybox.tar"))
        where = ("--name", "bench", "--data-dir", str(base / "bench"))
        try:
            mizzen("up", *where, "--nodes", "1", "--runtime", options.runtime)
            config, pki = json.loads((base / "bench" / "cluster.json").read_text()), base / "bench" / "pki"
            tls = client_context(pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
            endpoint = Endpoint.parse(f"https://127.0.0.1:{config['api_port']}", tls)
            uvloop.run(measure(Cluster(Client(SocketTransport(endpoint)), base / "bench", options.runtime)))
        finally:
            mizzen("down", *where)


if __name__ == "__main__":
    main()
