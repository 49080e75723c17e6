"""Rollouts, scaling and history of workloads, with real kubectl."""

import yaml
from tests.kubectl.virtual.conftest import Console
from tests.kubectl.virtual.manifests import template, workload


def hash_of(console: Console, image: str) -> str:
    """The name of the ReplicaSet with this image."""
    for one in console.json("replicasets")["items"]:
        if one["spec"]["template"]["spec"]["containers"][0]["image"] == image:
            return str(one["metadata"]["name"])
    raise AssertionError(f"no ReplicaSet runs {image}")


def sizes(console: Console) -> dict[str, int]:
    """Wanted replicas by image."""
    found = console.json("replicasets")["items"]
    return {one["spec"]["template"]["spec"]["containers"][0]["image"]: one["spec"]["replicas"] for one in found}


def test_a_rollout_is_followed_undone_paused_and_resumed(console: Console) -> None:
    console.apply(workload("Deployment", replicas=3))
    assert 'deployment "web" successfully rolled out' in console.watching("rollout", "status", "deploy/web")
    console("set", "image", "deploy/web", "c=web:2")
    console("annotate", "deploy/web", "kubernetes.io/change-cause=two")
    followed = console.watching("rollout", "status", "deploy/web")
    assert "Waiting for deployment" in followed and "successfully rolled out" in followed
    history = console("rollout", "history", "deploy/web").split("\n")
    assert [line.split() for line in history[2:4]] == [["1", "<none>"], ["2", "two"]]
    console("rollout", "undo", "deploy/web", "--to-revision=1")
    console.cluster.advance(30)
    assert sizes(console) == {"web:1": 3, "web:2": 0}
    assert [line.split()[0] for line in console("rollout", "history", "deploy/web").split("\n")[2:4]] == ["2", "3"]
    console("rollout", "pause", "deploy/web")
    console("set", "image", "deploy/web", "c=web:3")
    console.cluster.advance(30)
    assert "web:3" not in sizes(console)
    assert console.field(".status.conditions[?(@.type=='Progressing')].reason", "deploy", "web") == "DeploymentPaused"
    console("rollout", "resume", "deploy/web")
    console.cluster.advance(30)
    assert sizes(console) == {"web:1": 0, "web:2": 0, "web:3": 3}
    described = console("describe", "deploy", "web")
    assert f"NewReplicaSet:   {hash_of(console, 'web:3')} (3/3 replicas created)" in described
    assert f"Scaled up replica set {hash_of(console, 'web:3')} from 0 to 1" in described


def test_a_rollout_that_makes_no_progress_is_told_of_after_its_deadline(console: Console) -> None:
    console.apply(workload("Deployment", replicas=2, progressDeadlineSeconds=90))
    console.cluster.advance(10)
    console.apply(workload("Deployment", replicas=2, progressDeadlineSeconds=90, template=template("hangs", "web:2")))
    console.cluster.advance(80)
    assert console.field(".status.conditions[?(@.type=='Progressing')].reason", "deploy", "web") == "ReplicaSetUpdated"
    console.cluster.advance(20)
    [progress] = [one for one in console.json("deploy", "web")["status"]["conditions"] if one["type"] == "Progressing"]
    assert (progress["status"], progress["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert progress["message"] == f'ReplicaSet "{hash_of(console, "web:2")}" has timed out progressing.'
    stuck = console.watching("rollout", "status", "deploy/web")
    assert 'error: deployment "web" exceeded its progress deadline' in stuck
    console("rollout", "undo", "deploy/web")
    assert "successfully rolled out" in console.watching("rollout", "status", "deploy/web")


def test_a_deployment_that_grows_while_it_rolls_shares_the_new_pods_out(console: Console) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    console.apply(workload("Deployment", replicas=10, strategy=strategy))
    console.cluster.advance(10)
    console.apply(workload("Deployment", replicas=10, strategy=strategy, template=template("hangs", "web:404")))
    console.cluster.advance(10)
    assert sizes(console) == {"web:1": 8, "web:404": 5}
    console("scale", "deploy/web", "--replicas=30")
    console.cluster.advance(10)
    assert sizes(console) == {"web:1": 20, "web:404": 13}


def test_recreate_starts_new_pods_only_when_the_old_ones_are_gone(console: Console) -> None:
    console.apply(workload("Deployment", replicas=2, strategy={"type": "Recreate"}))
    console.cluster.advance(10)
    console.apply(workload("Deployment", replicas=2, strategy={"type": "Recreate"}, template=template("", "web:2")))
    console.cluster.advance(30)
    told = [message.split(" ")[1] for reason, message in console.events("web") if reason == "ScalingReplicaSet"]
    assert told == ["up", "down", "up"]
    assert sizes(console) == {"web:1": 0, "web:2": 2}


def test_a_quota_that_is_used_up_is_a_condition_until_there_is_room(console: Console) -> None:
    console("create", "quota", "few", "--hard=pods=2")
    console.cluster.advance(1)
    console.apply(workload("ReplicaSet", replicas=3))
    console.cluster.advance(5)
    [failure] = console.json("rs", "web")["status"]["conditions"]
    assert (failure["type"], failure["status"], failure["reason"]) == ("ReplicaFailure", "True", "FailedCreate")
    assert "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2" in failure["message"]
    console("scale", "rs/web", "--replicas=2")
    console.cluster.advance(30)
    assert "conditions" not in console.json("rs", "web")["status"]


def test_a_stateful_set_goes_up_and_down_in_order_and_halts_at_a_sick_pod(console: Console) -> None:
    console.apply(workload("StatefulSet", "db", replicas=3, serviceName="db"))
    console.cluster.advance(10)
    made = [message for reason, message in console.events("db") if reason == "SuccessfulCreate"]
    assert made == [f"create Pod db-{number} in StatefulSet db successful" for number in range(3)]
    for number in range(3):
        sicken(console, f"db-{number}")
    console("scale", "sts/db", "--replicas=0")
    console.cluster.advance(30)
    assert console.names("pods") == ["db-0", "db-1", "db-2"]
    for number in (2, 1):
        console("delete", "pod", f"db-{number}", "--wait=false")
        console.cluster.advance(5)
    console.cluster.advance(30)
    assert console.names("pods") == [], "the lowest sick one is in nobody's way"


def sicken(console: Console, name: str) -> None:
    """Let a pod be not ready, for good: a readiness gate that nobody opens."""
    condition = '{"status":{"conditions":[{"type":"Ready","status":"False"}]}}'
    console("label", "pod", name, "does=hangs")
    console("patch", "pod", name, "--subresource=status", "-p", condition)


def test_a_stateful_set_updates_down_to_its_partition_and_back(console: Console) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    console.apply(workload("StatefulSet", "db", replicas=3, serviceName="db", updateStrategy=rolling))
    console.cluster.advance(10)
    console("set", "image", "sts/db", "c=web:2")
    assert "partitioned roll out complete: 1 new pods have been updated" in console.watching(
        "rollout", "status", "sts/db"
    )
    images = "jsonpath={.items[*].spec.containers[0].image}"
    assert console("get", "pods", "-o", images) == "web:1 web:1 web:2"
    status = console.json("sts", "db")["status"]
    assert (status["currentReplicas"], status["updatedReplicas"]) == (2, 1)
    console("patch", "sts", "db", "-p", '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}')
    assert "partitioned roll out complete: 3 new pods" in console.watching("rollout", "status", "sts/db")
    assert console("get", "pods", "-o", images) == "web:2 web:2 web:2"
    console("rollout", "undo", "sts/db")
    console.cluster.advance(30)
    assert console("get", "pods", "-o", images) == "web:1 web:1 web:1"
    assert len(console("rollout", "history", "sts/db").strip().split("\n")) == 4


def test_a_daemon_set_rolls_node_by_node_and_back(console: Console) -> None:
    console.apply(workload("DaemonSet", "agent"))
    assert 'daemon set "agent" successfully rolled out' in console.watching("rollout", "status", "ds/agent")
    console("set", "image", "ds/agent", "c=web:2")
    assert "out of 3 new pods have been updated" in console.watching("rollout", "status", "ds/agent")
    assert [line.split()[0] for line in console("rollout", "history", "ds/agent").split("\n")[2:4]] == ["1", "2"]
    before = console.names("pods")
    console("label", "node", "node-2", "web-out=yes")
    affinity = yaml.safe_load(
        "nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
        "[{matchExpressions: [{key: web-out, operator: DoesNotExist}]}]}}"
    )
    console.apply(workload("DaemonSet", "agent", template=template("", "web:2", affinity=affinity)))
    console.cluster.advance(30)
    status = console.json("ds", "agent")["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"], status.get("numberMisscheduled", 0)) == (2, 2, 0)
    assert not set(before) & set(console.names("pods"))
    console("label", "node", "node-2", "web-out-")
    console.cluster.advance(10)
    assert len(console.names("pods")) == 3


def test_pods_that_fail_are_made_again(console: Console) -> None:
    console.apply(workload("DaemonSet", "agent"))
    console.apply(workload("StatefulSet", "db", replicas=1, serviceName="db"))
    console.cluster.advance(10)
    uids = console("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").split()
    for name in console.names("pods"):
        console("patch", "pod", name, "--subresource=status", "-p", '{"status":{"phase":"Failed"}}')
    console.cluster.advance(60)
    found = console.json("pods")["items"]
    assert len(found) == 4 and not {one["metadata"]["uid"] for one in found} & set(uids)
    assert {one["status"]["phase"] for one in found} == {"Running"}


def test_a_replica_set_adopts_what_matches_and_lets_go_of_what_does_not(console: Console) -> None:
    console("run", "stray", "--image=web:1", "--labels=app=web")
    console.cluster.advance(2)
    console.apply(workload("ReplicaSet", replicas=2))
    console.cluster.advance(5)
    assert "stray" in console.names("pods") and len(console.names("pods")) == 2
    assert console.field(".metadata.ownerReferences[0].kind", "pod", "stray") == "ReplicaSet"
    console("label", "pod", "stray", "app=other", "--overwrite")
    console.cluster.advance(5)
    assert console.field(".metadata.ownerReferences", "pod", "stray") == ""
    assert len(console.names("pods", "-l", "app=web")) == 2
    console("delete", "rs", "web", "--cascade=orphan")
    console.cluster.advance(5)
    assert len(console.names("pods", "-l", "app=web")) == 2
