"""The scheduler against the real API server: what it writes about pods, and what wakes those that wait."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.cluster.inprocess import ADMIN, Api, running

from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.informer import follow
from mizzen.client.inprocess import InProcessTransport
from mizzen.machinery.errors import Errors
from mizzen.scheduler import config, shell
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.framework import NodeFilter, Plugin, Reject
from mizzen.scheduler.shell import Scheduler
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from mizzen.wire.message import Handle, Request, Response

PODS = "/api/v1/namespaces/default/pods"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
MERGE = "application/merge-patch+json"


def only_even_nodes(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    def verdict(node: NodeInfo) -> Reject | None:
        return None if int(node.name[1:]) % 2 == 0 else Reject("node(s) had an odd number")

    return verdict


EVEN = Plugin("Even", filter=only_even_nodes)


def breaks(pod: PodInfo, snapshot: Snapshot) -> NodeFilter | None:
    raise KeyError("colour")


BROKEN = Plugin("Broken", filter=breaks)


def last_by_name(pod: PodInfo, snapshot: Snapshot) -> Placed | Unschedulable:
    return Placed(max(snapshot.nodes))


CONFIGURATION = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "podInitialBackoffSeconds": 0.01,
    "podMaxBackoffSeconds": 0.02,
    "profiles": [
        {"schedulerName": "default-scheduler"},
        {
            "schedulerName": "even",
            "plugins": {"multiPoint": {"enabled": [{"name": "Even", "mizzen.dev/python": f"{__name__}:EVEN"}]}},
        },
        {
            "schedulerName": "broken",
            "plugins": {"multiPoint": {"enabled": [{"name": "Broken", "mizzen.dev/python": f"{__name__}:BROKEN"}]}},
        },
        {"schedulerName": "last", "mizzen.dev/python": f"{__name__}:last_by_name"},
    ],
}


@dataclass
class Wire:
    """The scheduler's way to the server; `absent`: a path whose next write finds nothing there."""

    server: Handle
    absent: str = ""

    async def handle(self, request: Request) -> Response:
        if self.absent and request.method != "GET" and request.path == self.absent:
            self.absent = ""
            return Response(404, body=orjson.dumps(Errors.not_found("", "persistentvolumeclaims", "data").status()))
        return await self.server(request)


class Cluster:
    """An API server with a scheduler and hand-made nodes."""

    def __init__(self, api: Api, scheduler: Scheduler, wire: "Wire") -> None:
        self.api = api
        self.scheduler = scheduler
        self.wire = wire

    async def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        status, answer = await self.api.call(method, path, body, **headers)
        assert status < 300, answer
        return answer

    async def node(self, name: str, cpu: str = "2", taints: tuple[dict[str, str], ...] = (), **labels: str) -> None:
        """A node, once the scheduler knows of it."""
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
        status = {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "10"}}
        await self.ok("POST", "/api/v1/nodes", {"metadata": meta, "spec": {"unschedulable": True}, "status": status})
        ready = {"spec": {"taints": list(taints), "unschedulable": None}}
        await self.ok("PATCH", f"/api/v1/nodes/{name}", ready, content_type=MERGE)
        seen = self.scheduler.state.snapshot.nodes
        for _ in range(2000):
            if name in seen and not seen[name].node.spec.unschedulable:
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the scheduler does not see the node")

    async def pod(self, name: str, cpu: str = "100m", labels: dict[str, str] | None = None, **spec: Any) -> None:
        container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
        body = {"metadata": {"name": name, "labels": labels or {}}, "spec": {"containers": [container], **spec}}
        await self.ok("POST", PODS, body)

    async def until(self, name: str, claim: Callable[[Any], Any]) -> Any:
        """The pod, once the claim holds of it."""
        return await self.until_at(f"{PODS}/{name}", claim)

    async def until_at(self, path: str, claim: Callable[[Any], Any]) -> Any:
        """What is at a path, once the claim holds of it."""
        for _ in range(2000):
            found = await self.ok("GET", path)
            if claim(found):
                return found
            await asyncio.sleep(0.005)
        raise AssertionError(f"never came true: {found}")

    async def bound(self, name: str) -> str:
        return str((await self.until(name, lambda pod: pod["spec"].get("nodeName")))["spec"]["nodeName"])

    async def refused(self, name: str, saying: str = "") -> Any:
        """The condition that tells why a pod waits, once it says this; what is not seen yet makes others at first."""

        def told(pod: Any) -> bool:
            found = condition(pod, "PodScheduled")
            return found is not None and saying in found.get("message", "")

        return condition(await self.until(name, told), "PodScheduled")

    async def event(self, name: str, reason: str, saying: str = "") -> Any:
        path = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={name},reason={reason}"
        for _ in range(2000):
            found = [one for one in (await self.ok("GET", path))["items"] if saying in one["message"]]
            if found:
                return found[0]
            await asyncio.sleep(0.005)
        raise AssertionError(f"no event {reason} of {name}")


def condition(pod: Any, kind: str) -> Any:
    return next((one for one in pod["status"].get("conditions") or () if one["type"] == kind), None)


@asynccontextmanager
async def scheduling(api: Api, name: str = "") -> AsyncIterator[Cluster]:
    """A cluster whose pods are scheduled; with `name`, by one more scheduler of that name."""
    chosen = config.Configuration((config.Profile(name),)) if name else config.parse(CONFIGURATION)
    clock, rng, cache = SystemClock(), random.Random(1), Cache()
    wire = Wire(api.server.handle)
    client = Client(InProcessTransport(wire.handle, ADMIN), user_agent="kube-scheduler")
    scheduler = Scheduler(client, cache, clock, rng, chosen)
    tasks = [asyncio.create_task(follow(client, cache, clock, rng)), asyncio.create_task(scheduler.run())]
    try:
        yield Cluster(api, scheduler, wire)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running(tmp_path) as api, scheduling(api) as made:
        await made.ok("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        for name, value in (("low", 1), ("high", 10)):
            body = {"metadata": {"name": name}, "value": value}
            await made.ok("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body)
        yield made


async def test_a_pod_that_fits_nowhere_tells_why_in_the_words_that_kubectl_users_know(cluster: Cluster) -> None:
    await cluster.node("n1", cpu="1")
    await cluster.node("n2", taints=({"key": "k", "value": "v", "effect": "NoSchedule"},))
    await cluster.pod("big", cpu="1500m")
    text = (
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). "
        "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )
    found = await cluster.refused("big", text)
    assert (found["status"], found["reason"], found["message"]) == ("False", "Unschedulable", text)
    assert found["observedGeneration"] == 1
    event = await cluster.event("big", "FailedScheduling", text)
    assert (event["type"], event["message"]) == ("Warning", text)
    assert event["reportingComponent"] == "default-scheduler"


async def test_a_scheduler_and_a_plugin_in_python_place_pods_under_their_own_names(cluster: Cluster) -> None:
    for name in ("n1", "n2", "n3"):
        await cluster.node(name)
    await cluster.pod("one", schedulerName="even")
    await cluster.pod("two", schedulerName="last")
    assert await cluster.bound("one") == "n2"
    assert await cluster.bound("two") == "n3"
    event = await cluster.event("two", "Scheduled")
    assert (event["reportingComponent"], event["message"]) == ("last", "Successfully assigned default/two to n3")


async def test_a_plugin_that_fails_stops_its_own_pods_alone(cluster: Cluster) -> None:
    await cluster.node("n1")
    await cluster.pod("stuck", schedulerName="broken")
    await cluster.refused("stuck", "0/1 nodes are available: scheduler failed: KeyError('colour').")
    await cluster.pod("fine")
    assert await cluster.bound("fine") == "n1"


async def test_a_more_important_pod_takes_the_place_of_another(cluster: Cluster) -> None:
    await cluster.node("n1", cpu="1")
    await cluster.pod("victim", cpu="900m", priorityClassName="low", terminationGracePeriodSeconds=5)
    await cluster.bound("victim")
    running = {"status": {"phase": "Running"}}
    await cluster.ok("PATCH", f"{PODS}/victim/status", running, content_type=MERGE)
    await cluster.pod("urgent", cpu="500m", priorityClassName="high")
    leaving = await cluster.until("victim", lambda pod: pod["metadata"].get("deletionTimestamp"))
    target = condition(leaving, "DisruptionTarget")
    assert (target["status"], target["reason"]) == ("True", "PreemptionByScheduler")
    assert target["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == 5
    waiting = await cluster.until("urgent", lambda pod: pod["status"].get("nominatedNodeName"))
    assert waiting["status"]["nominatedNodeName"] == "n1"
    event = await cluster.event("victim", "Preempted")
    assert event["message"] == f"Preempted by pod {waiting['metadata']['uid']} on node n1"
    await cluster.ok("DELETE", f"{PODS}/victim?gracePeriodSeconds=0")
    bound = await cluster.until("urgent", lambda pod: pod["spec"].get("nodeName"))
    assert "nominatedNodeName" not in bound["status"]


async def test_a_gated_pod_waits_in_silence_until_its_gates_are_gone(cluster: Cluster) -> None:
    await cluster.node("n1")
    await cluster.pod("gated", schedulingGates=[{"name": "example.com/wait"}])
    found = await cluster.refused("gated")
    assert (found["reason"], found["message"]) == (
        "SchedulingGated",
        "Scheduling is blocked due to non-empty scheduling gates",
    )
    await cluster.ok("PATCH", f"{PODS}/gated", {"spec": {"schedulingGates": None}}, content_type=MERGE)
    assert await cluster.bound("gated") == "n1"


async def test_a_pod_is_woken_when_another_is_resized_to_less(cluster: Cluster) -> None:
    await cluster.node("n1", cpu="1")
    await cluster.pod("large", cpu="900m")
    await cluster.bound("large")
    held = {"name": "c", "image": "i", "imageID": "", "ready": True, "restartCount": 0}
    before = {"allocatedResources": {"cpu": "900m"}, "resources": {"requests": {"cpu": "900m"}}}
    status = {"status": {"phase": "Running", "containerStatuses": [{**held, **before}]}}
    await cluster.ok("PATCH", f"{PODS}/large/status", status, content_type=MERGE)
    await cluster.pod("next", cpu="500m")
    await cluster.refused("next", "Insufficient cpu")
    wanted = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]}}
    strategic = "application/strategic-merge-patch+json"
    await cluster.ok("PATCH", f"{PODS}/large/resize", wanted, content_type=strategic)
    after = {"allocatedResources": {"cpu": "100m"}, "resources": {"requests": {"cpu": "100m"}}}
    status = {"status": {"containerStatuses": [{**held, **after}]}}
    await cluster.ok("PATCH", f"{PODS}/large/status", status, content_type=MERGE)
    assert await cluster.bound("next") == "n1"


async def test_a_pod_is_woken_when_a_placed_one_gets_the_label_it_looks_for(cluster: Cluster) -> None:
    await cluster.node("n1")
    await cluster.pod("friend")
    await cluster.bound("friend")
    term = {"labelSelector": {"matchLabels": {"app": "friend"}}, "topologyKey": "kubernetes.io/hostname"}
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await cluster.pod("lonely", affinity=near)
    await cluster.refused("lonely", "didn't match pod affinity rules")
    await cluster.ok("PATCH", f"{PODS}/friend", {"metadata": {"labels": {"app": "friend"}}}, content_type=MERGE)
    assert await cluster.bound("lonely") == "n1"


async def test_a_pod_is_woken_when_a_namespace_gets_the_label_it_looks_for(cluster: Cluster) -> None:
    await cluster.node("n1")
    await cluster.pod("friend", labels={"app": "friend"})
    await cluster.bound("friend")
    term = {
        "labelSelector": {"matchLabels": {"app": "friend"}},
        "namespaceSelector": {"matchLabels": {"team": "x"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    await cluster.pod("lonely", affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    await cluster.refused("lonely", "didn't match pod affinity rules")
    team = {"metadata": {"labels": {"team": "x"}}}
    await cluster.ok("PATCH", "/api/v1/namespaces/default", team, content_type=MERGE)
    assert await cluster.bound("lonely") == "n1"


async def test_a_pod_is_woken_when_an_empty_domain_is_gone(cluster: Cluster) -> None:
    zone = "topology.kubernetes.io/zone"
    await cluster.node("n1", **{zone: "a"})
    await cluster.node("n2", cpu="50m", **{zone: "b"})
    selector = {"matchLabels": {"app": "web"}}
    rule = {"maxSkew": 1, "topologyKey": zone, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    for name in ("one", "two"):
        await cluster.pod(name, labels={"app": "web"}, topologySpreadConstraints=[rule])
    await cluster.refused("two", "topology spread")
    await cluster.ok("DELETE", "/api/v1/nodes/n2")
    assert await cluster.bound("two") == "n1"


async def late_claim(cluster: Cluster, name: str) -> None:
    """A claim that is provided once its pod has a node, by somebody who is not there yet."""
    kind = {
        "metadata": {"name": "late"},
        "provisioner": "disk.example.com",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    await cluster.api.call("POST", "/apis/storage.k8s.io/v1/storageclasses", kind)
    size = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "late", "resources": size}
    await cluster.ok("POST", CLAIMS, {"metadata": {"name": name}, "spec": spec})


async def selected_node(cluster: Cluster, name: str, without: str = "") -> str:
    for _ in range(2000):
        found = await cluster.ok("GET", f"{CLAIMS}/{name}")
        selected = (found["metadata"].get("annotations") or {}).get(SELECTED_NODE, "")
        if selected not in ("", without):
            return str(selected)
        await asyncio.sleep(0.005)
    raise AssertionError("no node was selected")


async def test_who_waits_for_a_provisioner_keeps_nobody_from_being_bound(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "BINDINGS", 1)
    async with scheduling(cluster.api, "patient"):
        await cluster.node("n1")
        await late_claim(cluster, "data")
        mounted = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
        await cluster.pod("slow", volumes=mounted, schedulerName="patient")
        assert await selected_node(cluster, "data") == "n1"
        await cluster.pod("quick", schedulerName="patient")
        assert await cluster.bound("quick") == "n1"


async def test_a_pod_whose_claim_vanishes_while_it_is_bound_is_not_forgotten(cluster: Cluster) -> None:
    await cluster.node("n1")
    await late_claim(cluster, "data")
    cluster.wire.absent = f"{CLAIMS}/data"
    await cluster.pod("db", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    assert await selected_node(cluster, "data") == "n1"
    assert not cluster.wire.absent


async def test_a_node_that_a_provisioner_cannot_serve_is_given_up(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        await cluster.node(name)
    await late_claim(cluster, "data")
    await cluster.pod("db", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
    first = await selected_node(cluster, "data")
    await cluster.until("db", lambda pod: pod["status"].get("nominatedNodeName") == first)
    await cluster.ok("PATCH", f"/api/v1/nodes/{first}", {"spec": {"unschedulable": True}}, content_type=MERGE)
    declined = {"metadata": {"annotations": {SELECTED_NODE: None}}}
    await cluster.ok("PATCH", f"{CLAIMS}/data", declined, content_type=MERGE)
    told = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"'
    await cluster.event("db", "FailedScheduling", told)
    second = await selected_node(cluster, "data", without=first)
    assert {first, second} == {"n1", "n2"}
    await cluster.until("db", lambda pod: pod["status"].get("nominatedNodeName") == second)


async def test_a_pod_gets_the_devices_that_its_claim_asks_for(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        await cluster.node(name)
    dra = "/apis/resource.k8s.io/v1"
    await cluster.ok("POST", f"{dra}/deviceclasses", {"metadata": {"name": "gpu"}, "spec": {}})
    pool = {"name": "n2", "generation": 1, "resourceSliceCount": 1}
    offer = {"driver": "gpu.example.com", "nodeName": "n2", "pool": pool, "devices": [{"name": "gpu-0"}]}
    await cluster.ok("POST", f"{dra}/resourceslices", {"metadata": {"name": "s"}, "spec": offer})
    spec = {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "gpu"}}]}}
    for name in ("first", "second"):
        await cluster.ok("POST", f"{dra}/namespaces/default/resourceclaims", {"metadata": {"name": name}, "spec": spec})
        await cluster.pod(name, resourceClaims=[{"name": "device", "resourceClaimName": name}])
        if name == "first":
            assert await cluster.bound(name) == "n2"
    claim = await cluster.ok("GET", f"{dra}/namespaces/default/resourceclaims/first")
    assert claim["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
    result = {"request": "one", "driver": "gpu.example.com", "pool": "n2", "device": "gpu-0"}
    assert claim["status"]["allocation"]["devices"]["results"] == [result]
    assert claim["status"]["reservedFor"][0]["name"] == "first"
    await cluster.refused("second", "0/2 nodes are available: 2 cannot allocate all claims.")


async def test_schedulers_count_what_they_do(cluster: Cluster) -> None:
    await cluster.node("n1")
    await cluster.pod("small")
    await cluster.pod("big", cpu="64")
    attempts = "scheduler_schedule_attempts_total"
    expected = {
        f'{attempts}{{profile="default-scheduler",result="scheduled"}} 1',
        'scheduler_pending_pods{queue="unschedulable"} 1',
        "scheduler_pod_scheduling_attempts_count{} 1",
    }
    for _ in range(2000):
        told = list(cluster.scheduler.metrics())
        if expected <= set(told):
            break
        await asyncio.sleep(0.005)
    assert expected <= set(told)
    assert any(line.startswith(f'{attempts}{{profile="default-scheduler",result="unschedulable"}}') for line in told)
