"""The scheduler on the field's own cases, decisions with binds through the API: `python bench/scheduler.py`.

Server, store (on disk, durable), informers and scheduler share one process and one core. The pods of a case wait in
the API before the scheduler starts; with `--concurrent` they are created while it works, which is also timed. On a
machine that does other work, too, judge by the processor's time for each pod.
"""

import argparse
import asyncio
import contextlib
import functools
import gc
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from mizzen.api.views.core import Pod
from mizzen.base import log
from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.informer import follow, synced
from mizzen.client.resources import NAMESPACES, NODES, PODS, PRIORITY_CLASSES
from mizzen.cluster.config import ClusterConfig
from mizzen.cluster.control import ControlPlane, Options
from mizzen.machinery.errors import ApiError
from mizzen.scheduler.shell import Scheduler

Object = dict[str, Any]
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
ZONES = 3


@dataclass(frozen=True)
class Case:
    """Pods to place, those placed before, and what the original keeps at 5,000 nodes on large machines (pods/s)."""

    name: str
    pods: Callable[[int], Object]
    before: Callable[[int], Object] | None = None
    before_per_node: float = 0.2
    threshold: float = 0.0
    target: float = 300.0
    churn: bool = False
    per_node: float = 0.0


def pod(number: int, app: str = "web", cpu: str = "100m", **spec: Any) -> Object:
    resources = {"requests": {"cpu": cpu, "memory": "50Mi"}}
    container = {"name": "c", "image": "registry.example/pause:1", "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{app}-{number}", "labels": {"app": app}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def near(kind: str, app: str, key: str, *, required: bool) -> Object:
    term: Object = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    if required:
        return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}}


def in_zones(*zones: str) -> Object:
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def spread(app: str, key: str) -> list[Object]:
    selector = {"matchLabels": {"app": app}}
    return [{"maxSkew": 5, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]


def affine(number: int, app: str, affinity: Object) -> Object:
    return pod(number, app, affinity=affinity)


def mixed(number: int) -> Object:
    kinds = (
        {},
        {"affinity": in_zones("zone-0", "zone-1")},
        {"affinity": near("podAffinity", "mixed", ZONE, required=True)},
        {"affinity": near("podAffinity", "mixed", HOST, required=False)},
        {"affinity": near("podAntiAffinity", "mixed", HOST, required=False)},
        {"topologySpreadConstraints": spread("mixed", ZONE)},
    )
    return pod(number, "mixed", **kinds[number % len(kinds)])


CASES = (
    Case("basic", pod, threshold=680, target=1500),
    Case("node affinity", lambda n: affine(n, "na", in_zones("zone-1")), threshold=220),
    Case(
        "required pod affinity",
        lambda n: affine(n, "blue", near("podAffinity", "blue", ZONE, required=True)),
        threshold=35,
    ),
    Case(
        "required pod anti-affinity",
        lambda n: affine(n, "green", near("podAntiAffinity", "green", HOST, required=True)),
        threshold=60,
        before_per_node=0.1,
        per_node=0.4,
    ),
    Case(
        "preferred pod affinity",
        lambda n: affine(n, "red", near("podAffinity", "red", HOST, required=False)),
        threshold=90,
    ),
    Case(
        "preferred pod anti-affinity",
        lambda n: affine(n, "yellow", near("podAntiAffinity", "yellow", HOST, required=False)),
        threshold=90,
    ),
    Case("topology spread", lambda n: pod(n, "spread", topologySpreadConstraints=spread("spread", ZONE)), threshold=85),
    Case(
        "preemption",
        lambda n: pod(n, "urgent", cpu="3", priorityClassName="urgent"),
        before=lambda n: pod(n, "idle", cpu="900m"),
        before_per_node=4,
        threshold=18,
        target=18,
        per_node=0.1,
    ),
    Case("unschedulable churn", pod, churn=True, threshold=550),
    Case("mixed", mixed, threshold=140),
)


def node(number: int) -> Object:
    name = f"node-{number}"
    labels = {HOST: name, ZONE: f"zone-{number % ZONES}"}
    capacity = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


async def create_all(client: Client, bodies: Iterator[Object], namespace: str = "default", writers: int = 64) -> None:
    async def writer() -> None:
        for body in bodies:
            if body["kind"] == "Pod":
                await client.create(PODS, body, namespace)
                continue
            await client.create(NODES, body)
            # New nodes are tainted until the node lifecycle controller, which does not run here, sees them Ready.
            await client.patch(NODES, body["metadata"]["name"], {"spec": {"taints": None}})

    async with asyncio.TaskGroup() as tasks:
        for _ in range(writers):
            tasks.create_task(writer())


class Watcher:
    """Tells when the wanted number of pods of an app are bound."""

    def __init__(self, cache: Cache) -> None:
        self._left: dict[str, int] = {}
        self._done = asyncio.Event()
        cache.of(PODS, Pod).subscribe(self._changed)

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None or not new.spec.nodeName or (old is not None and old.spec.nodeName):
            return
        app = new.metadata.labels.get("app", "")
        if app in self._left:
            self._left[app] -= 1
            if not self._left[app]:
                self._done.set()

    def expect(self, app: str, number: int) -> None:
        self._left = {app: number}
        self._done.clear()

    async def all_bound(self) -> None:
        await self._done.wait()


async def churn(client: Client) -> None:
    """Pods that fit nowhere come and go."""
    number = 0
    while True:
        await create_all(client, iter([pod(number, "huge", cpu="900")]))
        await asyncio.sleep(0.2)
        await client.delete(PODS, f"huge-{number}", "default")
        number += 1


@dataclass(frozen=True)
class Measured:
    """How many pods were placed, in how many seconds by the clock and of the processors' time."""

    pods: int
    seconds: float
    processor: float


async def measure(case: Case, nodes: int, pods: int, concurrent: bool, directory: Path) -> Measured:
    """From the start of the scheduler (or the first create) to the last bind."""
    options = Options(ClusterConfig("bench", directory, nodes=0), port=6443, bind=(), controllers=False)
    clock, rng = SystemClock(), random.Random(1)
    plane = ControlPlane(options, clock, rng)
    await plane.start()
    client = plane.client("system:bench", "bench")
    await prepare(client, nodes)
    cache = Cache()
    watcher = Watcher(cache)
    scheduler = Scheduler(plane.client("system:kube-scheduler", "kube-scheduler"), cache, clock, rng)
    following = asyncio.create_task(follow(client, cache, clock, rng))
    await synced(cache)
    tasks = [following]
    try:
        before = int(nodes * case.before_per_node)
        make = case.before or case.pods
        first = make(0)["metadata"]["labels"]["app"]
        watcher.expect(first, before)
        running = asyncio.create_task(scheduler.run())
        tasks.append(running)
        await create_all(client, (make(10_000_000 + n) for n in range(before)))
        await watcher.all_bound()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return await _timed(case, plane, client, int(nodes * case.per_node) or pods, concurrent, tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await plane.close()


async def _timed(
    case: Case, plane: ControlPlane, client: Client, pods: int, concurrent: bool, tasks: list[asyncio.Task[None]]
) -> Measured:
    clock, rng = SystemClock(), random.Random(2)
    cache = Cache()
    watcher = Watcher(cache)
    scheduler = Scheduler(plane.client("system:kube-scheduler", "kube-scheduler"), cache, clock, rng)
    watcher.expect(case.pods(0)["metadata"]["labels"]["app"], pods)
    bodies = (case.pods(n) for n in range(pods))
    if not concurrent:
        await create_all(client, bodies)
    tasks.append(asyncio.create_task(follow(client, cache, clock, rng)))
    await synced(cache)
    if case.before is None:  # the pods placed before are of the same app
        watcher.expect(case.pods(0)["metadata"]["labels"]["app"], pods)
    gc.collect()
    gc.freeze()
    began, used = time.perf_counter(), time.process_time()
    tasks.append(asyncio.create_task(scheduler.run()))
    if case.churn:
        tasks.append(asyncio.create_task(churn(client)))
    if concurrent:
        await create_all(client, bodies)
    await watcher.all_bound()
    return Measured(pods, time.perf_counter() - began, time.process_time() - used)


async def prepare(client: Client, nodes: int) -> None:
    meta = {"name": "default"}
    with contextlib.suppress(ApiError):
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await client.raw("POST", "/api/v1/namespaces/default/serviceaccounts", (), account)
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}}
    await client.create(PRIORITY_CLASSES, {**urgent, "value": 1000})
    await create_all(client, (node(n) for n in range(nodes)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[500, 5000])
    parser.add_argument("--pods", type=int, default=2000, help="pods to place in each case")
    parser.add_argument("--case", help="only cases whose name contains this")
    parser.add_argument("--concurrent", action="store_true", help="create the pods while the scheduler works")
    chosen = parser.parse_args()
    log.set_level("warning")
    print(f"{'case':30}{'nodes':>7}{'pods':>7}{'pods/s':>9}{'ms/pod':>8}{'original':>10}{'ratio':>8}{'target':>8}  met")
    for nodes in chosen.nodes:
        for case in CASES:
            if chosen.case and chosen.case not in case.name:
                continue
            with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
                work = functools.partial(measure, case, nodes, chosen.pods, chosen.concurrent, Path(directory))
                found = uvloop.run(work())
            gc.unfreeze()
            rate, spent = found.pods / found.seconds, 1000 * found.processor / found.pods
            ratio = f"{rate / case.threshold:.1f}x" if case.threshold else ""
            met = "yes" if rate >= case.target else "no"
            print(
                f"{case.name:30}{nodes:7}{found.pods:7}{rate:9.0f}{spent:8.2f}"
                f"{case.threshold:10.0f}{ratio:>8}{case.target:8.0f}  {met}",
                flush=True,
            )


if __name__ == "__main__":
    main()
