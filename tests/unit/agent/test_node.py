"""What a node tells the API of itself, and what it makes of what others say of it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mizzen.agent.config import AgentConfig
from mizzen.agent.images.policy import Listed
from mizzen.agent.measures import requests
from mizzen.agent.node import Health, NodeReporter, conditions, status_of
from mizzen.agent.runtime.base import Abilities
from mizzen.base.clock import VirtualClock
from mizzen.client.client import STRATEGIC, Client
from mizzen.client.inprocess import InProcessTransport
from mizzen.client.resources import NAMESPACES, NODES
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

CONFIG = AgentConfig(node_name="n", root=Path("/nowhere"), images_root=Path("/nowhere"), node_ips=("192.0.2.1",))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    server = Server(MemoryStore(), VirtualClock())
    await server.start()
    made = Client(InProcessTransport(server.handle, Identity("node", groups=(MASTERS,))))
    lease = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-node-lease"}}
    await made.create(NAMESPACES, lease)
    yield made
    await server.close()


async def registered(
    client: Client, clock: VirtualClock, config: AgentConfig, told: list[str] | None = None
) -> NodeReporter:
    def status(before: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "nodeInfo": {"bootID": "b"},
            "conditions": conditions(Health(), before, clock.now()),
            "capacity": {"cpu": "2", "plugin.test/own": "0"},
            "allocatable": {"cpu": "1500m", "plugin.test/own": "0"},
        }

    def tell(_kind: str, reason: str, _message: str) -> None:
        if told is not None:
            told.append(reason)

    reporter = NodeReporter(config, client, clock, status=status, hostname="n", tell=tell)
    await reporter.register()
    return reporter


async def held(client: Client) -> dict[str, str]:
    node = await client.get(NODES, "n", view=dict)
    return {one["type"]: one["status"] for one in node["status"]["conditions"]}


async def test_a_node_that_was_given_up_for_lost_says_that_it_is_ready_with_its_next_heartbeat(
    client: Client,
) -> None:
    clock, config = VirtualClock(), CONFIG
    reporter = await registered(client, clock, config)
    before = await held(client)
    lost = [{"type": kind, "status": "Unknown", "reason": "NodeStatusUnknown"} for kind in reversed(before)]
    others = {"type": "KernelDeadlock", "status": "False"}
    await client.patch(NODES, "n", {"status": {"conditions": [others, *lost]}}, type=STRATEGIC, subresource="status")
    await clock.advance(config.heartbeat)
    await reporter.report()
    assert await held(client) == {**before, "KernelDeadlock": "False"}


async def test_a_node_of_which_nothing_changed_is_not_written(client: Client) -> None:
    clock, config = VirtualClock(), CONFIG
    reporter = await registered(client, clock, config)
    others = {"type": "KernelDeadlock", "status": "False"}
    await client.patch(NODES, "n", {"status": {"conditions": [others]}}, type=STRATEGIC, subresource="status")
    before = await client.get(NODES, "n", view=dict)
    await clock.advance(config.heartbeat)
    await reporter.report()
    assert await client.get(NODES, "n", view=dict) == before


async def test_a_node_tells_when_it_is_cordoned_and_when_no_more(client: Client) -> None:
    clock, told = VirtualClock(), list[str]()
    reporter = await registered(client, clock, CONFIG, told)
    told.clear()
    for unschedulable in (True, True, None, None):
        await client.patch(NODES, "n", {"spec": {"unschedulable": unschedulable}})
        await reporter.report()
    assert told == ["NodeNotSchedulable", "NodeSchedulable"]


async def test_a_node_that_brings_its_pods_range_along_registers_with_it(client: Client) -> None:
    await registered(client, VirtualClock(), replace(CONFIG, pod_cidrs=("192.0.2.128/25",)))
    node = await client.get(NODES, "n", view=dict)
    assert node["spec"] == {"podCIDR": "192.0.2.128/25", "podCIDRs": ["192.0.2.128/25"]}


async def test_what_others_say_a_node_has_can_be_allocated_until_they_take_it_back(client: Client) -> None:
    reporter = await registered(client, VirtualClock(), CONFIG)
    own = {"cpu": "1500m", "plugin.test/own": "0"}

    async def allocatable(capacity: dict[str, str | None]) -> dict[str, str]:
        await client.patch(NODES, "n", {"status": {"capacity": capacity}}, subresource="status")
        await reporter.report()
        written = await client.get(NODES, "n", view=dict)
        await reporter.report()
        assert await client.get(NODES, "n", view=dict) == written
        return dict(written["status"]["allocatable"])

    assert await allocatable({"example.com/dongle": "4"}) == {**own, "example.com/dongle": "4"}
    assert await allocatable({"example.com/dongle": "5"}) == {**own, "example.com/dongle": "5"}
    assert await allocatable({"example.com/dongle": None}) == own


@pytest.mark.parametrize(("runtime", "own_users"), [("crun", True), ("cri", False)])
def test_a_node_says_what_its_runtime_can_do_for_pods(tmp_path: Path, runtime: str, own_users: bool) -> None:
    config = replace(CONFIG, root=tmp_path, runtime=runtime, runtime_handlers=("other",))
    able = Abilities(strict_groups=own_users, recursive_read_only=own_users)
    body = status_of(config, {}, (), health=Health(), before=(), hostname="n", now=0.0, able=able)
    features = {"recursiveReadOnlyMounts": own_users, "userNamespaces": own_users}
    assert body["features"] == {"supplementalGroupsPolicy": own_users}
    assert body["runtimeHandlers"] == [{"name": name, "features": features} for name in ("", "other")]
    assert "RestartAllContainersOnContainerExits" in body["declaredFeatures"]
    assert body["declaredFeatures"] == sorted(body["declaredFeatures"])


async def test_a_client_counts_what_it_was_answered(client: Client) -> None:
    await registered(client, VirtualClock(), CONFIG)
    before = client.answers.copy()
    with pytest.raises(ApiError):
        await client.get(NODES, "another", view=dict)
    await client.get(NODES, "n", view=dict)
    assert client.answers - before == {("GET", "404"): 1, ("GET", "200"): 1}
    lines = list(requests({("GET", "404"): 1, ("PATCH", "<error>"): 2}))
    assert lines[2:] == [
        'rest_client_requests_total{code="404",method="GET"} 1',
        'rest_client_requests_total{code="<error>",method="PATCH"} 2',
    ]


@pytest.mark.parametrize(("most", "shown"), [(2, ["c", "b"]), (0, []), (-1, ["c", "b", "a"])])
def test_the_largest_images_are_named_as_many_as_a_node_is_to_name(tmp_path: Path, most: int, shown: list[str]) -> None:
    images = [Listed("sha256:1", (name,), size) for name, size in (("a", 1), ("b", 2), ("c", 3))]
    config = replace(CONFIG, root=tmp_path, images_shown=most)
    body = status_of(config, {}, images, health=Health(), before=(), hostname="n", now=0.0)
    assert [one["names"] for one in body["images"]] == [[name] for name in shown]
