"""One trial of a simulated cluster: bring nodes up, apply pods, watch them run, and report how fast that was."""

import asyncio
import random
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import Partial
from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache, Table
from mizzen.client.client import Client
from mizzen.client.informer import follow, synced
from mizzen.client.resources import DEPLOYMENTS, NODES, PODS
from mizzen.cluster.config import ClusterConfig
from mizzen.cluster.control import SWITCH_SECONDS, ControlPlane, Options, settle
from mizzen.cluster.simulation import Settings
from mizzen.cluster.stages import Stage
from mizzen.machinery.errors import ApiError, Object

POD_CIDR: Final = "10.128.0.0/9"
PER_DEPLOYMENT: Final = 1000
PROBE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try."""

    directory: Path
    nodes: int
    pods: int
    port: int = 0
    stages: tuple[Stage, ...] = ()
    node_loss: float = 0.0
    stay: bool = False


def run(trial: Trial, report: Callable[[dict[str, Any]], None]) -> None:
    """Run a trial until its report, or with `stay` until SIGINT or SIGTERM."""
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(_run(trial, report))


async def _run(trial: Trial, report: Callable[[dict[str, Any]], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    names = tuple(f"sim-{number:05}" for number in range(trial.nodes))
    cluster = ClusterConfig("sim", trial.directory, nodes=0, runtime="simulated", pod_cidr=POD_CIDR)
    port = trial.port or _free_port()
    settings = Settings(names, trial.stages, trial.node_loss)
    options = Options(cluster, port, ("127.0.0.1",), simulated=settings)
    plane = ControlPlane(options, SystemClock(), random.Random())
    began = time.perf_counter()
    await plane.start()
    settle()
    working = asyncio.create_task(_measured(plane, trial, began))
    ending = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            report({**working.result(), "kubeconfig": str(trial.directory / "admin.kubeconfig")})
            if trial.stay:
                await stopped.wait()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)
        await plane.close()


async def _measured(plane: ControlPlane, trial: Trial, began: float) -> dict[str, Any]:
    client = plane.client("system:mizzen:trial", "mizzen-trial")
    cache = Cache()
    pods, nodes = cache.of(PODS, Pod), cache.of(NODES, Partial)
    following = asyncio.create_task(follow(client, cache, SystemClock(), random.Random()))
    latencies: list[float] = []
    probing = asyncio.create_task(_probe(client, latencies))
    try:
        await synced(cache)
        await _until(nodes, lambda: len(nodes) >= trial.nodes)
        registered = time.perf_counter() - began
        found: dict[str, Any] = {
            "nodes": trial.nodes,
            "nodes/s": round(trial.nodes / registered, 1),
            "all nodes after s": round(registered, 2),
        }
        if trial.pods:
            latencies.clear()
            found |= await _burst(client, pods, trial.pods)
        return found | _costs(latencies)
    finally:
        for task in (following, probing):
            task.cancel()
        await asyncio.gather(following, probing, return_exceptions=True)


async def _until(table: Table[Any], reached: Callable[[], bool]) -> None:
    """Return once a table has come so far."""
    woken = asyncio.Event()

    def changed(old: Any, new: Any) -> None:
        if reached():
            woken.set()

    table.subscribe(changed)
    try:
        if not reached():
            await woken.wait()
    finally:
        table.unsubscribe(changed)


async def _burst(client: Client, table: Table[Pod], pods: int) -> dict[str, Any]:
    """Apply Deployments of so many pods and wait until all are Running."""
    running: set[str] = set()

    def note(old: Pod | None, new: Pod | None) -> None:
        if new is not None and new.status.phase == "Running":
            running.add(new.metadata.uid)

    table.subscribe(note)
    began = time.perf_counter()
    before = len(running)
    sizes = [PER_DEPLOYMENT] * (pods // PER_DEPLOYMENT) + ([pods % PER_DEPLOYMENT] if pods % PER_DEPLOYMENT else [])
    for number, size in enumerate(sizes):
        try:
            await client.create(DEPLOYMENTS, _deployment(f"burst-{number}", size), "default")
        except ApiError as error:
            if error.code != 409:
                raise
    await _until(table, lambda: len(running) - before >= pods)
    table.unsubscribe(note)
    took = time.perf_counter() - began
    return {"pods": pods, "pods/s to Running": round(pods / took, 1), "all pods Running after s": round(took, 2)}


def _deployment(name: str, replicas: int) -> Object:
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    container = {"name": "main", "image": "registry.example/app:1", "resources": resources}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def _probe(client: Client, latencies: list[float]) -> None:
    """Ask the API for one object again and again, and note how long each answer took."""
    while True:
        due = time.perf_counter() + PROBE_SECONDS
        await asyncio.sleep(PROBE_SECONDS)
        await client.raw("GET", "/api/v1/namespaces/default")
        # From when it was due: what waits for a busy process counts.
        latencies.append(time.perf_counter() - due)


def _costs(latencies: list[float]) -> dict[str, Any]:
    points = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    status = Path("/proc/self/status").read_text()
    resident = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return {
        "API p50 ms": round(points[49] * 1000, 1),
        "API p99 ms": round(points[98] * 1000, 1),
        "memory MiB": resident // 1024,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
