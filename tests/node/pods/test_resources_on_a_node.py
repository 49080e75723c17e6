"""Resources of running pods: changed in place, taken back when the node runs short, given up at its shutdown."""

import asyncio
from dataclasses import replace
from typing import Any

from tests.node.pods.conftest import Node, container, phase, shell

from mizzen.agent.eviction import Guard
from mizzen.agent.runtime.cgroups import find
from mizzen.agent.thresholds import Bound, Thresholds
from mizzen.client.resources import NODES, PODS


def condition(pod: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition of the pod; empty when it has none of that type."""
    return next((one for one in (pod.get("status") or {}).get("conditions") or () if one["type"] == kind), {})


async def resize(node: Node, name: str, cpu: str, memory: str) -> None:
    amounts = {"cpu": cpu, "memory": memory}
    patch = {"spec": {"containers": [{"name": "c", "resources": {"requests": amounts, "limits": amounts}}]}}
    await node.client.patch(PODS, name, patch, "default", subresource="resize")


def sized(cpu: str, memory: str, **more: Any) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": memory}
    return {"script": "exec sleep 1000", "resources": {"requests": amounts, "limits": amounts}, **more}


async def test_resources_change_in_place_or_by_a_restart_as_the_policy_says(node: Node) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    await node.create("elastic", sized("100m", "32Mi", resizePolicy=policy))
    before = container(await node.running_pod("elastic"))
    assert before["resources"]["limits"] == {"cpu": "100m", "memory": "32Mi"}
    await resize(node, "elastic", "200m", "32Mi")
    grown = container(
        await node.until(
            "elastic", lambda pod: container(pod).get("resources", {}).get("limits", {}).get("cpu") == "200m"
        )
    )
    assert (grown["restartCount"], grown["containerID"]) == (0, before["containerID"])
    assert grown["allocatedResources"] == {"cpu": "200m", "memory": "32Mi"}
    assert node.running is not None
    limits = await node.run("elastic", "cat", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max")
    assert "20000" in limits
    await resize(node, "elastic", "200m", "48Mi")
    again = await node.until("elastic", lambda pod: container(pod).get("restartCount") == 1 and container(pod)["ready"])
    assert container(again)["resources"]["limits"]["memory"] == "48Mi"
    assert not condition(again, "PodResizeInProgress")
    await resize(node, "elastic", "300m", "64Mi")  # more than the pod as a whole had so far
    await node.until("elastic", lambda pod: container(pod).get("restartCount") == 2 and container(pod)["ready"])
    limits = await node.run("elastic", "cat", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max")
    assert "30000" in limits


async def test_a_pod_is_held_to_what_its_containers_have_after_restarts_that_resize_them(crun_node: Node) -> None:
    node = crun_node
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    made = await node.create("elastic", sized("200m", "32Mi", resizePolicy=policy))
    await node.running_pod("elastic")
    assert node.running is not None
    groups = find(node.running.tools.config.cgroup_parent)
    pod = groups.pod("Guaranteed", made["metadata"]["uid"])
    file = groups.path(pod) / "cpu.max" if groups.unified else groups.path(pod, "cpu") / "cpu.cfs_quota_us"
    for restarts, (cpu, quota) in enumerate((("300m", "30000"), ("100m", "10000")), 1):
        await resize(node, "elastic", cpu, "32Mi")
        await node.until(
            "elastic", lambda seen, n=restarts: container(seen).get("restartCount") == n and container(seen)["ready"]
        )
        assert file.read_text().split()[0] == quota


async def test_a_resize_waits_for_room_or_is_refused_for_ever(node: Node) -> None:
    assert node.running is not None
    cores = node.running.tools.resources.allocatable["cpu"] // 10**9
    await node.create("big", sized(f"{cores * 1000 - 300}m", "32Mi"))
    await node.create("small", sized("100m", "32Mi"))
    await node.running_pod("big")
    await node.running_pod("small")
    await resize(node, "small", "1000", "32Mi")
    refused = await node.until("small", lambda pod: condition(pod, "PodResizePending").get("reason") == "Infeasible")
    assert (
        "Node didn't have enough capacity: cpu, requested: 1000000" in condition(refused, "PodResizePending")["message"]
    )
    asked = '{"containers":[{"name":"c","resources":{"limits":{"cpu":"1k","memory":"32Mi"}'
    told = dict(await node.events("small"))["ResizeInfeasible"]
    assert told.startswith(f"Pod resize Infeasible: {asked}") and '"error":"Node didn\'t have enough capacity' in told
    await resize(node, "small", "900m", "32Mi")
    await node.until("small", lambda pod: condition(pod, "PodResizePending").get("reason") == "Deferred")
    await node.delete("big", grace=0)
    done = await node.until(
        "small", lambda pod: container(pod).get("resources", {}).get("limits", {}).get("cpu") == "900m"
    )
    assert not condition(
        await node.until("small", lambda pod: not condition(pod, "PodResizePending")), "PodResizePending"
    )
    assert container(done)["restartCount"] == 0


async def test_a_node_short_of_memory_ends_the_pod_that_asked_for_nothing(node: Node) -> None:
    await node.create("modest", sized("10m", "64Mi"))
    await node.create("greedy", {"script": "exec sleep 1000"})
    await node.running_pod("modest")
    await node.running_pod("greedy")
    assert node.running is not None
    tools = node.running.tools
    thresholds = Thresholds({"memory.available": Bound(1 << 60)})
    guard = Guard(replace(tools, config=replace(tools.config, thresholds=thresholds)), node.running.pods)
    await guard.look()
    assert guard.health.memory_pressure and not guard.health.disk_pressure
    evicted = await node.until("greedy", phase("Failed"))
    assert evicted["status"]["reason"] == "Evicted"
    assert 'kubelet_evictions{eviction_signal="memory.available"} 1' in node.running.pods.measures.lines()
    text = "The node was low on resource: memory. Threshold quantity: 1Ei, available: "
    assert evicted["status"]["message"].startswith(text)
    assert "Container c was using " in evicted["status"]["message"]
    await node.create("late", {})
    refused = await node.until("late", phase("Failed"))
    assert refused["status"]["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
    assert refused["status"]["reason"] == "Evicted"
    assert condition(evicted, "DisruptionTarget")["reason"] == "TerminationByKubelet"
    assert any(reason == "Evicted" for reason, _ in await node.events("greedy"))
    assert node.running.pods.find("default", "modest").over == ""  # type: ignore[union-attr]


async def test_a_volume_over_its_size_limit_ends_its_pod(node: Node) -> None:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]
    one = {"script": "dd if=/dev/zero of=/v/x bs=1024 count=3000; exec sleep 1000"}
    pod = await node.create("full", {**one, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=volumes)
    await node.logged(pod, "records out")
    assert node.running is not None
    await Guard(node.running.tools, node.running.pods).look()
    seen = await node.until("full", phase("Failed"))
    assert seen["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '


async def test_at_shutdown_ordinary_pods_end_first_and_new_ones_are_refused(node: Node) -> None:
    await node.create("ordinary", {"script": "trap 'exit 0' TERM; while true; do sleep 0.05; done"})
    await node.running_pod("ordinary")
    assert node.running is not None
    leaving = asyncio.create_task(node.running.shut_down())
    ended = await node.until("ordinary", phase("Failed"))
    assert ended["status"]["reason"] == "Terminated"
    assert ended["status"]["message"] == "Pod was terminated in response to imminent node shutdown."
    await leaving
    await node.create("late", {})
    refused = await node.until("late", phase("Failed"))
    assert refused["status"]["reason"] == "NodeShutdown"
    seen = await node.client.get(NODES, "node-1", view=dict)
    ready = condition(seen, "Ready")
    assert (ready["status"], ready["message"]) == ("False", "node is shutting down")


async def test_a_rule_restarts_all_containers_of_the_pod_at_once(node: Node) -> None:
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/v"}]
    init = {"script": "echo >> /v/inits", "volumeMounts": mounts, "name": "init"}
    worker = {
        "script": "sleep 0.3; test $(wc -l < /v/inits) = 2 || exit 42; exec sleep 1000",
        "volumeMounts": mounts,
        "restartPolicy": "Never",
        "restartPolicyRules": [rule],
    }
    pod = await node.create(
        "team", worker, shell("exec sleep 1000", name="other"), volumes=volumes, initContainers=[shell(**init)]
    )
    seen = await node.until(
        "team", lambda pod: container(pod, "other").get("restartCount") == 1 and container(pod)["ready"]
    )
    assert seen["metadata"]["uid"] == pod["metadata"]["uid"]
    assert container(seen)["restartCount"] == 1 and container(seen)["lastState"]["terminated"]["exitCode"] == 42


async def test_a_critical_pod_finds_room_where_others_must_go_for_it(crun_node: Node) -> None:
    node = crun_node
    assert node.running is not None
    cores = node.running.tools.resources.allocatable["cpu"] // 10**9
    await node.create("large", sized(f"{cores * 1000 - 500}m", "32Mi"))
    await node.create("small", sized("100m", "32Mi"))
    await node.running_pod("large")
    await node.running_pod("small")
    await node.create("refused", sized("600m", "32Mi"))
    await node.until("refused", lambda pod: (pod.get("status") or {}).get("reason") == "OutOfcpu")
    await node.create("vital", sized("600m", "32Mi"), priority=2_000_001_000)
    await node.running_pod("vital")
    ended = await node.until("large", phase("Failed"))
    told = "Preempted in order to admit critical pod"
    assert (ended["status"]["reason"], ended["status"]["message"]) == ("Preempting", told)
    assert condition(ended, "DisruptionTarget")["reason"] == "TerminationByKubelet"
    assert ("Preempting", told) in await node.events("large")
    assert node.running.pods.find("default", "small").over == ""  # type: ignore[union-attr]
    await node.create("endless", sized("900", "32Mi"), priority=2_000_001_000)
    never = await node.until("endless", phase("Failed"))
    assert never["status"]["reason"] == "UnexpectedAdmissionError"
