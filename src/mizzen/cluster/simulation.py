"""Simulated nodes: Nodes with heartbeats and pods as state machines, thousands of them in one task.

Everything goes through the API as with real nodes: registration, Leases, pod status, deletion, and load. What there is
no machine for (logs, exec) is answered with an error that says so.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Final

from mizzen import KUBERNETES_VERSION
from mizzen.api.views.core import Pod
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import BY_NODE, Cache
from mizzen.client.client import STRATEGIC, Client
from mizzen.client.resources import LEASES, NODES, PODS
from mizzen.cluster.stages import Move, Stage, Step, is_over, next_step, status_after
from mizzen.cluster.usage import Meter
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.wire.message import Request, Response

LEASE_NAMESPACE: Final = "kube-node-lease"
HEARTBEAT_SECONDS: Final = 10.0
LEASE_SECONDS: Final = 40
FEW: Final = 8
"""So many nodes are worth waking up for."""
WRITERS: Final = 64
"""Requests under way at once."""
ZONES: Final = 3
ANSWERING: Final = 64
"""So many nodes answer on a port of their own; the load of more of them is not known."""
HOST_IP: Final = "127.0.0.1"
_KILLED: Final = 137
_log = log.get("simulation")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is simulated. `node_loss`: the chance of each node to fall silent in a minute, for `outage` seconds."""

    nodes: tuple[str, ...]
    stages: tuple[Stage, ...] = ()
    node_loss: float = 0.0
    outage: float = 120.0
    cpu: str = "32"
    memory: str = "256Gi"
    pods: str = "110"
    ports: Mapping[str, int] = field(default_factory=dict)
    """Where each node answers; a node without a port answers nobody."""


@dataclass(order=True, slots=True)
class _Due:
    when: float
    sequence: int
    key: tuple[str, str] = field(compare=False)
    uid: str = field(compare=False)
    step: Step = field(compare=False)


class Simulator:
    """The nodes of a cluster and the pods on them; `run` until cancelled. `registered` is set when all nodes are in."""

    def __init__(self, client: Client, cache: Cache, clock: Clock, rng: random.Random, settings: Settings) -> None:
        self._client = client
        self._pods = cache.of(PODS, Pod)
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._numbers = {name: number for number, name in enumerate(settings.nodes)}
        self._lost: dict[str, float] = {}
        self._due: list[_Due] = []
        self._planned: dict[str, tuple[str, Move]] = {}
        self._sequence = itertools.count(1)
        self._last_address = int(IPv4Address("10.128.0.0"))
        self._woken = asyncio.Event()
        self.registered = asyncio.Event()

    async def run(self) -> None:
        """Register the nodes, keep them alive, and move their pods on."""
        self._pods.subscribe(self._changed)
        try:
            await _in_parallel(self._register(name) for name in self._settings.nodes)
            self.registered.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._heartbeats())
                tasks.create_task(self._move_pods())
        finally:
            self._pods.unsubscribe(self._changed)

    # --- nodes

    async def _register(self, name: str) -> None:
        body = self._node(name)
        try:
            await self._client.create(NODES, body)
        except ApiError as error:
            if error.code != 409:
                raise
            await self._report_node(name)
        meta = {"name": name, "namespace": LEASE_NAMESPACE}
        spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": self._now()}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        try:
            await self._client.create(LEASES, lease, LEASE_NAMESPACE)
        except ApiError as error:
            if error.code != 409:
                raise
            await self._renew(name)

    async def _report_node(self, name: str) -> None:
        await self._client.patch(NODES, name, {"status": self._node(name)["status"]}, subresource="status")

    async def _renew(self, name: str) -> None:
        try:
            await self._client.patch(LEASES, name, {"spec": {"renewTime": self._now()}}, LEASE_NAMESPACE)
        except (ApiError, ConnectionError) as error:
            _log.warning("heartbeat lost", node=name, error=str(error))

    def _now(self) -> str:
        return times.format_micro(self._clock.now())

    async def _heartbeats(self) -> None:
        """Renew a share of the Leases every second or less often; nodes that are lost stay silent."""
        names = self._settings.nodes
        shares = max(1, min(int(HEARTBEAT_SECONDS), len(names) // FEW))
        turn = 0
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS / shares)
            turn += 1
            group = names[turn % shares :: shares]
            await self._lose_and_recover(HEARTBEAT_SECONDS / shares)
            await _in_parallel(self._renew(name) for name in group if name not in self._lost)

    async def _lose_and_recover(self, seconds: float) -> None:
        now = self._clock.monotonic()
        back = [name for name, until in self._lost.items() if until <= now]
        for name in back:
            del self._lost[name]
            _log.info("node is back", node=name)
            await self._renew(name)
            await self._report_node(name)
        if not self._settings.node_loss:
            return
        chance = self._settings.node_loss * seconds / 60
        for name in self._settings.nodes:
            if name not in self._lost and self._rng.random() < chance:
                self.lose(name)

    def lose(self, name: str, seconds: float | None = None) -> None:
        """Let a node fall silent, its pods with it; None: for as long as outages last here."""
        _log.info("node is lost", node=name)
        self._lost[name] = self._clock.monotonic() + (self._settings.outage if seconds is None else seconds)

    def _node(self, name: str) -> Object:
        zone = f"zone-{self._numbers[name] % ZONES + 1}"
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "topology.kubernetes.io/zone": zone,
            "mizzen.dev/simulated": "true",
        }
        capacity = {"cpu": self._settings.cpu, "memory": self._settings.memory, "pods": self._settings.pods}
        stamp = times.format(self._clock.now())
        fine = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
        conditions = [
            {
                "type": kind,
                "status": status,
                "reason": "KubeletReady" if kind == "Ready" else f"KubeletHasNo{kind}",
                "message": "the node is simulated",
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp,
            }
            for kind, status in fine.items()
        ]
        status: Object = {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._settings.ports.get(name, 0)}},
            "nodeInfo": _node_info(name),
        }
        meta = {"name": name, "labels": labels}
        return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}, "status": status}

    # --- pods

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._planned.pop(old.metadata.uid, None)
            return
        if new.spec.nodeName not in self._numbers:
            return
        if new.status.podIP and not new.spec.hostNetwork:
            # A process that comes after another one goes on where that stopped.
            self._last_address = max(self._last_address, int(IPv4Address(new.status.podIP)))
        self._plan(new)

    def _plan(self, pod: Pod) -> None:
        """Set the alarm for a pod's next step, unless it is set."""
        meta = pod.metadata
        stage = f"{pod.status.phase} {meta.deleting} {len(pod.status.conditions)} {_readiness(pod)}"
        known = self._planned.get(meta.uid)
        if known is not None and known[0] == stage:
            return
        step = next_step(pod, self._settings.stages, self._rng)
        if step is None:
            self._planned.pop(meta.uid, None)
            return
        self._planned[meta.uid] = (stage, step.move)
        when = self._clock.monotonic() + step.after
        due = _Due(when, next(self._sequence), (meta.namespace, meta.name), meta.uid, step)
        heapq.heappush(self._due, due)
        if self._due[0] is due:
            self._woken.set()

    async def _move_pods(self) -> None:
        while True:
            ripe = self._ripe()
            if ripe:
                await _in_parallel(self._move(one) for one in ripe)
                continue
            self._woken.clear()
            pause = self._due[0].when - self._clock.monotonic() if self._due else None
            await self._wait(pause)

    async def _wait(self, pause: float | None) -> None:
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._woken.wait())]
        if pause is not None:
            waiting.append(asyncio.ensure_future(self._clock.sleep(max(0.005, pause))))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    def _ripe(self) -> list[_Due]:
        now = self._clock.monotonic()
        ripe: list[_Due] = []
        while self._due and self._due[0].when <= now and len(ripe) < 1024:
            ripe.append(heapq.heappop(self._due))
        return ripe

    async def _move(self, due: _Due) -> None:
        pod = self._pods.get(*due.key)
        planned = self._planned.get(due.uid)
        if pod is None or pod.metadata.uid != due.uid or planned is None or planned[1] != due.step.move:
            return
        lost_until = self._lost.get(pod.spec.nodeName, 0.0)
        if lost_until > self._clock.monotonic():
            due.when = lost_until
            heapq.heappush(self._due, due)
            return
        try:
            await self._carry_out(pod, due.step)
        except (ApiError, ConnectionError) as error:
            gone = isinstance(error, ApiError) and error.code in (404, 409)
            if not gone:
                _log.warning("pod did not move", pod=due.key, move=due.step.move, error=str(error))
                due.when = self._clock.monotonic() + 1.0
                heapq.heappush(self._due, due)

    async def _carry_out(self, pod: Pod, step: Step) -> None:
        meta = pod.metadata
        if step.move == "remove":
            if meta.finalizers and not is_over(pod):
                await self._report(pod, Step("fail", 0.0, _KILLED))  # whoever holds on to it may wait to hear that
            await self._client.delete(PODS, meta.name, meta.namespace, uid=meta.uid, grace_seconds=0)
            return
        await self._report(pod, step)

    async def _report(self, pod: Pod, step: Step) -> None:
        meta = pod.metadata
        self._last_address += 1
        ip = str(IPv4Address(self._last_address))
        status = status_after(pod, step, ip, HOST_IP, self._clock.now())
        patch = {"metadata": {"uid": meta.uid}, "status": status}
        await self._client.patch(PODS, meta.name, patch, meta.namespace, type=STRATEGIC, subresource="status")


class Answers:
    """What a simulated node says: its load, and to whoever asks for logs or a command, that there are none."""

    def __init__(self, cache: Cache, stages: Sequence[Stage], clock: Clock, name: str) -> None:
        self._pods = cache.of(PODS, Pod)
        self._meter = Meter(stages)
        self._clock = clock
        self._name = name

    def __call__(self, request: Request) -> Response:
        if request.path == "/metrics/resource":
            text = self._meter.read(self._pods.by(BY_NODE, self._name), self._clock.now())
            return Response(200, {"content-type": "text/plain"}, text.encode())
        what = "runs its pods as state machines only: there are no containers, no logs, and nothing to run commands in"
        return Response(405, {"content-type": "text/plain"}, f"the simulated node {what}".encode())


def _readiness(pod: Pod) -> str:
    return "".join(f"{one.type}{one.status}" for one in pod.status.conditions)


def _node_info(name: str) -> Object:
    return {
        "machineID": name,
        "systemUUID": name,
        "bootID": name,
        "kernelVersion": "simulated",
        "osImage": "simulated",
        "containerRuntimeVersion": "simulated://1",
        "kubeletVersion": f"v{KUBERNETES_VERSION}",
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }


async def _in_parallel(work: Iterable[Awaitable[None]]) -> None:
    """Await all of it, so many at a time."""
    pending = list(work)
    left = iter(pending)

    async def worker() -> None:
        for one in left:
            await one

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(WRITERS, len(pending))):
            tasks.create_task(worker())
