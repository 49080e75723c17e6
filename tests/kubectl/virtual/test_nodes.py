"""Nodes that are drained, cordoned, tainted, or fall silent."""

from collections.abc import Iterator

import pytest
import yaml
from tests.kubectl.virtual.conftest import Console
from tests.kubectl.virtual.manifests import template, workload


def placed(console: Console) -> dict[str, str]:
    """The node of every pod that is not being deleted."""
    pods = console.json("pods")["items"]
    return {
        one["metadata"]["name"]: one["spec"].get("nodeName", "")
        for one in pods
        if "deletionTimestamp" not in one["metadata"]
    }


@pytest.fixture(autouse=True)
def healed(console: Console) -> Iterator[None]:
    """Nodes are as they were for whoever comes next."""
    yield
    console("uncordon", "node-1")
    console.kubectl.run("taint", "nodes", "node-1", "broken-")
    console.cluster.advance(200)


def test_drain_moves_pods_as_far_as_their_budget_allows(console: Console) -> None:
    console.apply(workload("Deployment", replicas=6))
    console("create", "pdb", "web", "--selector=app=web", "--min-available=5")
    console.cluster.advance(10)
    drained = console.watching("drain", "node-1", "--ignore-daemonsets", "--timeout=60s")
    assert "node/node-1 drained" in drained
    console.cluster.advance(10)
    where = placed(console)
    assert len(where) == 6 and "node-1" not in where.values()
    assert "SchedulingDisabled" in console("get", "node", "node-1")
    assert console.field(".spec.taints[*].key", "node", "node-1") == "node.kubernetes.io/unschedulable"
    console("uncordon", "node-1")
    console.cluster.advance(1)
    assert console.field(".spec.taints", "node", "node-1") == ""


def test_a_taint_evicts_at_once_later_or_never_as_pods_tolerate_it(console: Console) -> None:
    on_first = {"kubernetes.io/hostname": "node-1"}
    tolerates = {"key": "broken", "operator": "Exists", "effect": "NoExecute"}
    patience = {"none": [], "some": [{**tolerates, "tolerationSeconds": 90}], "endless": [tolerates]}
    for name, tolerations in patience.items():
        body = template(labels={"app": name}, nodeSelector=on_first, tolerations=tolerations)
        console.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **body, "metadata": {"name": name}}))
    console.cluster.advance(5)
    assert set(placed(console).values()) == {"node-1"}
    console("taint", "nodes", "node-1", "broken=yes:NoExecute")
    console.cluster.advance(5)
    assert sorted(placed(console)) == ["endless", "some"]
    console.cluster.advance(80)
    assert sorted(placed(console)) == ["endless", "some"]
    console.cluster.advance(10)
    assert sorted(placed(console)) == ["endless"]
    namespace = console.kubectl.namespace
    assert ("TaintManagerEviction", f"Marking for deletion Pod {namespace}/some") in console.events("some")


def test_an_eviction_that_is_not_due_any_more_is_called_off(console: Console) -> None:
    spec = {"key": "broken", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
    body = template(nodeSelector={"kubernetes.io/hostname": "node-1"}, tolerations=[spec])
    console.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **body, "metadata": {"name": "spared"}}))
    console.cluster.advance(5)
    console("taint", "nodes", "node-1", "broken=yes:NoExecute")
    console.cluster.advance(30)
    console("taint", "nodes", "node-1", "broken-")
    console.cluster.advance(120)
    assert sorted(placed(console)) == ["spared"]


def test_a_silent_node_is_not_ready_after_its_grace_and_loses_its_pods_after_five_minutes(console: Console) -> None:
    console.apply(workload("Deployment", replicas=3))
    console.apply(workload("DaemonSet", "agent", selector={"matchLabels": {"app": "agent"}},
                           template=template(labels={"app": "agent"})))  # fmt: skip
    console.cluster.advance(10)
    console.cluster.lose("node-1", 600)
    console.cluster.advance(30)
    assert console.field(".status.conditions[?(@.type=='Ready')].status", "node", "node-1") == "True"
    console.cluster.advance(30)
    node = console.json("node", "node-1")
    ready = next(one for one in node["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert ready["message"] == "Kubelet stopped posting node status."
    taints = {(one["key"], one["effect"]) for one in node["spec"]["taints"]}
    assert taints == {("node.kubernetes.io/unreachable", effect) for effect in ("NoSchedule", "NoExecute")}
    assert "node-1" in placed(console).values()
    silent = [one for one in console.json("pods")["items"] if one["spec"]["nodeName"] == "node-1"]
    states = [next(c["status"] for c in one["status"]["conditions"] if c["type"] == "Ready") for one in silent]
    assert set(states) == {"False"}
    console.cluster.advance(310)
    where = placed(console)
    assert [name for name in where if where[name] == "node-1" and name.startswith("web")] == []
    assert [name for name in where if where[name] == "node-1"] != [], "daemon pods stay"
    assert len([name for name in where if name.startswith("web")]) == 3
    console.cluster.advance(300)
    assert console.field(".status.conditions[?(@.type=='Ready')].status", "node", "node-1") == "True"
    assert console.field(".spec.taints", "node", "node-1") == ""


def test_pods_of_a_node_that_is_gone_are_garbage(console: Console) -> None:
    body = template(nodeName="node-9")
    console("create", "-f", "-", stdin=yaml.safe_dump(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-9"}}))  # fmt: skip
    console.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **body, "metadata": {"name": "lost"}}))
    console.cluster.advance(5)
    console("delete", "node", "node-9")
    console.cluster.advance(30)
    assert placed(console) != {}, "it may come back"
    console.cluster.advance(35)
    assert placed(console) == {}
