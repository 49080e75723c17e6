"""Extenders over HTTP: they filter, prioritize, preempt and bind; one that fails stops its pods or is ignored."""

import base64
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from tests.sim import test_devices, test_scheduler
from tests.sim.api import FakeApi
from tests.unit.scheduler.world import World, node, pod

from mizzen.api.views.core import Pod
from mizzen.client.client import Client
from mizzen.cluster.pki import Pki
from mizzen.net.server import Listener
from mizzen.net.tls import server_context
from mizzen.scheduler import config
from mizzen.scheduler.config import Extender
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.extenders import ExtenderError, Extenders
from mizzen.scheduler.framework import Reject
from mizzen.scheduler.preemption import Eviction
from mizzen.scheduler.shell import Scheduler
from mizzen.scheduler.snapshot import Snapshot, pod_info
from mizzen.wire.message import Request, Response

Answers = Callable[[Request], Response]


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, dict[str, Any], list[Any]]]:
    """An extender: its URL, what it answers by path, and what it was asked."""
    answers: dict[str, Any] = {}
    asked: list[Any] = []

    def dispatch(request: Request) -> Response:
        asked.append(orjson.loads(request.body))
        return Response(200, body=orjson.dumps(answers[request.path]))

    listener = Listener(dispatch)
    port = await listener.listen("127.0.0.1", 0, None)
    yield f"http://127.0.0.1:{port}", answers, asked
    await listener.close()


def extenders(extender: Extender) -> Extenders:
    api = FakeApi(lambda: 0.0, random.Random(1))
    api.create(("", "pods"), {"metadata": {"name": "p"}, "spec": {}}, "default")
    return Extenders(Client(api), (extender,))


async def test_an_extender_filters_and_prioritizes(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, asked = served
    answers["/filter"] = {"nodenames": ["a", "b"], "failedNodes": {"c": "too far"}}
    answers["/score"] = [{"host": "a", "score": 0}, {"host": "b", "score": 10}]
    chosen = extenders(Extender(url, filter="filter", prioritize="score", weight=1.0, knows_nodes=True))
    verdict = await chosen.choose(pod("p"), {"a": 50.0, "b": 10.0, "c": 90.0}, 3)
    assert verdict == Placed("b")
    assert asked[0]["NodeNames"] == ["a", "b", "c"]
    assert asked[0]["Pod"]["metadata"]["name"] == "p"
    await chosen.close()


async def test_it_may_answer_in_the_names_of_the_original(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, _ = served
    answers["/filter"] = {"Nodes": None, "NodeNames": ["a", "b"], "FailedNodes": {"c": "too far"}, "Error": ""}
    answers["/score"] = [{"Host": "a", "Score": 9}, {"Host": "b", "Score": 1}]
    chosen = extenders(Extender(url, filter="filter", prioritize="score", knows_nodes=True))
    assert await chosen.choose(pod("p"), {"a": 50.0, "b": 60.0, "c": 90.0}, 3) == Placed("a")
    answers["/filter"] = {"Error": "no idea"}
    with pytest.raises(ExtenderError, match="no idea"):
        await chosen.choose(pod("p"), {"a": 50.0}, 1)
    await chosen.close()


async def test_when_it_leaves_no_node_its_reasons_are_told(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, _ = served
    answers["/filter"] = {"nodenames": [], "failedNodes": {"a": "too far"}}
    chosen = extenders(Extender(url, filter="filter", knows_nodes=True))
    full = Reject("Insufficient cpu")
    verdict = await chosen.choose(pod("p"), {"a": 1.0}, 2, {"b": full})
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == "0/2 nodes are available: 1 Insufficient cpu, 1 too far."
    assert not verdict.reasons["a"].resolvable, "nobody need leave a node that all plugins agree with"
    await chosen.close()


async def test_one_that_does_not_answer_stops_the_pod_unless_it_is_ignorable() -> None:
    with pytest.raises(ExtenderError):
        await extenders(Extender("http://127.0.0.1:9", filter="f", knows_nodes=True)).choose(pod("p"), {"a": 1.0}, 1)
    patient = extenders(Extender("http://127.0.0.1:9", filter="f", knows_nodes=True, ignorable=True))
    assert await patient.choose(pod("p"), {"a": 1.0}, 1) == Placed("a")


def crowded(api: FakeApi) -> tuple[Snapshot, tuple[Eviction, ...]]:
    """Two nodes with two pods each, of which one would have to go."""
    world = World(node("a"), node("b"))
    ways = []
    for where in "ab":
        for number in "12":
            name = where + number
            body = {"metadata": {"name": name, "namespace": "default", "uid": f"u-{name}"}, "spec": {}}
            api.create(("", "pods"), body, "default")
            stored = api.objects["", "pods"]["default", name]
            world.place(pod_info(msgspec.convert(stored, Pod)), where)
        ways.append(Eviction(where, (world.snapshot.nodes[where].pods[f"default/{where}1"],), 0))
    return world.snapshot, tuple(ways)


async def test_it_chooses_nodes_and_victims_of_preemption(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, asked = served
    api = FakeApi(lambda: 0.0, random.Random(1))
    api.create(("", "pods"), {"metadata": {"name": "p"}, "spec": {}}, "default")
    snapshot, ways = crowded(api)
    uid = {name: snapshot.nodes[name[0]].pods[f"default/{name}"].pod.metadata.uid for name in ("a1", "b1", "b2")}
    answers["/preempt"] = {"NodeNameToMetaVictims": {"b": {"Pods": [{"UID": uid["b2"]}], "NumPDBViolations": 1}}}
    chosen = Extenders(Client(api), (Extender(url, preempt="preempt", knows_nodes=True),))
    (agreed,) = await chosen.preempt(pod("p"), ways, snapshot)
    assert (agreed.node, [one.pod.metadata.name for one in agreed.victims], agreed.violations) == ("b", ["b2"], 1)
    assert asked[0]["NodeNameToMetaVictims"]["a"] == {"Pods": [{"UID": uid["a1"]}], "NumPDBViolations": 0}
    assert asked[0]["NodeNameToVictims"] is None

    whole = Extenders(Client(api), (Extender(url, preempt="preempt"),))
    await whole.preempt(pod("p"), ways, snapshot)
    assert asked[1]["NodeNameToVictims"]["b"]["Pods"][0]["metadata"]["name"] == "b1"
    assert asked[1]["NodeNameToMetaVictims"] is None

    answers["/preempt"] = {"NodeNameToMetaVictims": {"b": {"Pods": [{"UID": uid["a1"]}]}}}
    with pytest.raises(ExtenderError, match="not on node b"):
        await chosen.preempt(pod("p"), ways, snapshot)
    patient = Extenders(Client(api), (replace(whole.chosen[0], ignorable=True),))
    assert await patient.preempt(pod("p"), ways, snapshot) == ways, "what it cannot tell does not count"
    for one in (chosen, whole, patient):
        await one.close()


async def test_the_scheduler_removes_whom_it_names(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, _ = served
    world = test_scheduler.World(1)
    world.line.faulty = False
    for number in range(4):
        spec = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "4"}}}], "nodeName": f"n{number}"}
        world.api.create(
            ("", "pods"), {"metadata": {"name": f"low{number}"}, "spec": {**spec, "priority": 0}}, "default"
        )
    urgent = {"containers": [{"name": "c", "resources": {"requests": {"cpu": "3000m"}}}], "priority": 10}
    world.api.create(("", "pods"), {"metadata": {"name": "urgent"}, "spec": urgent}, "default")
    victim = world.api.objects["", "pods"]["default", "low2"]["metadata"]["uid"]
    answers["/preempt"] = {"NodeNameToMetaVictims": {"n2": {"Pods": [{"UID": victim}]}}}
    chosen = config.Configuration(extenders=(Extender(url, preempt="preempt", knows_nodes=True),))
    world.scheduler = Scheduler(Client(world.line), world.cache, world.clock, random.Random(1), chosen)
    world.scheduler.state.subscribe()
    await world.settle()
    assert world.api.objects["", "pods"]["default", "urgent"]["spec"]["nodeName"] == "n2"
    assert ("default", "low2") not in world.api.objects["", "pods"]
    assert len(world.api.objects["", "pods"]) == 4


async def test_what_a_pod_needs_is_bound_before_it_binds_the_pod(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, asked = served
    answers["/bind"] = {"Error": ""}
    world = test_devices.World(1)
    world.line.faulty = False
    request = {"name": "r", "exactly": {"deviceClassName": "gpu"}}
    world.api.create(
        test_devices.CLAIMS, {"metadata": {"name": "c"}, "spec": {"devices": {"requests": [request]}}}, "default"
    )
    containers = [{"name": "c", "resources": {"requests": {"cpu": "1m"}}}]
    spec = {"containers": containers, "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}
    world.api.create(("", "pods"), {"metadata": {"name": "p"}, "spec": spec}, "default")
    chosen = config.Configuration(extenders=(Extender(url, bind="bind"),))
    world.scheduler = Scheduler(Client(world.line), world.cache, world.clock, random.Random(1), chosen)
    world.scheduler.state.subscribe()
    await world.settle()
    [bound] = asked
    assert bound["PodName"] == "p"
    held = world.api.objects[test_devices.CLAIMS]["default", "c"]
    assert held["status"]["reservedFor"][0]["name"] == "p"
    [device] = test_devices.devices_of(held)
    assert device["pool"] == bound["Node"]


async def test_it_is_reached_by_https_as_the_configuration_says(tmp_path: Path) -> None:
    pki = Pki(tmp_path, time.time())
    pair, shown = pki.serving(("extender.example",)), pki.front_proxy_client()
    listener = Listener(lambda request: Response(200, body=orjson.dumps({"NodeNames": ["a"]})))
    tls = server_context(pair.certificate, pair.key, pki.front_proxy_ca().certificate)
    port = await listener.listen("127.0.0.1", 0, tls)

    def encoded(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    async def asked(**more: Any) -> Placed | Unschedulable:
        one = {"urlPrefix": f"https://127.0.0.1:{port}", "filterVerb": "filter", "nodeCacheCapable": True, **more}
        head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
        (extender,) = config.parse({**head, "extenders": [one]}).extenders
        chosen = extenders(extender)
        try:
            return await chosen.choose(pod("p"), {"a": 1.0}, 1)
        finally:
            await chosen.close()

    known = {"caData": encoded(pki.ca().certificate), "serverName": "extender.example"}
    proof = {"certFile": str(shown.certificate), "keyData": encoded(shown.key)}
    assert await asked(tlsConfig={**known, **proof}) == Placed("a")
    assert await asked(enableHTTPS=True) == Placed("a"), "without an authority nobody is checked, as in the original"
    assert await asked(tlsConfig={"insecure": True}) == Placed("a")
    for wrong in ({**known, "serverName": "other.example"}, {"certFile": str(shown.certificate), **proof}):
        with pytest.raises(ExtenderError):
            await asked(tlsConfig=wrong)
    for wrong in ({**known, "insecure": True}, {"caData": "AAAA"}, {"certFile": str(tmp_path / "none")}):
        with pytest.raises(ValueError, match=r"extenders\[0\].tlsConfig: "):
            await asked(tlsConfig=wrong)
    await listener.close()
