"""Pods on real containers: from creation to the end."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from tests.node.pods.conftest import (
    NODE_IP,
    Node,
    container,
    eventually,
    is_ready,
    phase,
    running_node,
    shell,
    waiting,
)

from mizzen.client.resources import CONFIG_MAPS, NODES, PODS, SECRETS


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_a_pod_runs_with_its_environment_files_and_address(node: Node) -> None:
    await node.client.create(CONFIG_MAPS, config_map("settings", colour="green"), "default")
    env = [
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "BOTH", "value": "$(COLOUR)-$(IP)"},
    ]
    script = "echo $BOTH $FROM_IMAGE; cat /settings/colour; echo; cat /etc/hostname; exec sleep 1000"
    mounts = [{"name": "settings", "mountPath": "/settings"}]
    volumes = [{"name": "settings", "configMap": {"name": "settings"}}]
    await node.create("web", {"script": script, "env": env, "volumeMounts": mounts}, volumes=volumes)
    pod = await node.running_pod("web")
    ip = pod["status"]["podIP"]
    seen = await node.logged(pod, "web")
    assert seen.splitlines() == [f"green-{ip} yes", "green", "web"]
    status = container(pod)
    assert status["ready"] and status["started"] and status["restartCount"] == 0
    assert "://" in status["containerID"] and status["state"]["running"]["startedAt"]
    assert pod["status"]["qosClass"] == "BestEffort" and pod["status"]["hostIP"] == NODE_IP
    ready = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")
    assert ready["status"] == "True" and not ready.get("reason")
    assert [reason for reason, _ in await node.events("web")] == ["Pulled", "Created", "Started"]
    await node.delete("web")


async def test_init_containers_run_in_order_beside_their_side_car_which_ends_last(node: Node) -> None:
    share = [{"name": "work", "mountPath": "/work"}]
    trap = "trap 'echo side >> /work/order; exit 0' TERM; touch /work/up; while true; do sleep 0.05; done"
    inits = [
        shell("echo first >> /work/order", name="first", volumeMounts=share),
        shell(trap, name="side", restartPolicy="Always", volumeMounts=share),
        shell(
            "while [ ! -f /work/up ]; do sleep 0.01; done; echo second >> /work/order",
            name="second",
            volumeMounts=share,
        ),
    ]
    main = {
        "script": "trap 'echo main >> /work/order; exit 0' TERM; while true; do sleep 0.05; done",
        "volumeMounts": share,
    }
    directory = node.config.root.parent / "shared"
    directory.mkdir()
    volumes = [{"name": "work", "hostPath": {"path": str(directory)}}]
    await node.create("ordered", main, initContainers=inits, volumes=volumes, terminationGracePeriodSeconds=10)
    pod = await node.running_pod("ordered")
    assert container(pod, "first", "initContainerStatuses")["state"]["terminated"]["reason"] == "Completed"
    assert container(pod, "side", "initContainerStatuses")["started"]
    await node.delete("ordered", grace=10)
    assert (directory / "order").read_text().split() == ["first", "second", "main", "side"]


async def test_a_container_that_keeps_failing_waits_in_crash_loop_back_off(node: Node) -> None:
    await node.create("crashing", {"script": "echo attempt; exit 3"})
    pod = await node.until("crashing", waiting("CrashLoopBackOff"))
    status = container(pod)
    assert status["restartCount"] == 1 and status["lastState"]["terminated"]["exitCode"] == 3
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=c pod=crashing_")
    assert phase("Running")(pod)
    await node.delete("crashing")


async def test_pods_that_run_to_their_end_say_how_it_went(node: Node) -> None:
    await node.create("good", {"script": "echo fine > /dev/termination-log"}, restartPolicy="Never")
    bad = {"script": "echo this is why; exit 7", "terminationMessagePolicy": "FallbackToLogsOnError"}
    await node.create("bad", bad, restartPolicy="Never")
    good = await node.until("good", phase("Succeeded"))
    assert container(good)["state"]["terminated"]["message"] == "fine\n"
    assert next(one for one in good["status"]["conditions"] if one["type"] == "Ready")["reason"] == "PodCompleted"
    ended = container(await node.until("bad", phase("Failed")))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (7, "Error", "this is why\n")
    await node.delete("good")
    await node.delete("bad")


async def test_a_container_over_its_memory_limit_is_oom_killed(node: Node) -> None:
    script = "x=a; while true; do x=$x$x; done"
    await node.create("greedy", {"script": script, "resources": {"limits": {"memory": "16Mi"}}}, restartPolicy="Never")
    ended = container(await node.until("greedy", phase("Failed")))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_a_failing_liveness_probe_restarts_and_a_readiness_probe_gates(node: Node) -> None:
    live = {"exec": {"command": ["test", "-f", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    ready = {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1}
    script = "touch /tmp/alive; exec httpd -f -p 8080 -h /www"
    await node.create("probed", {"script": script, "livenessProbe": live, "readinessProbe": ready})
    first = await node.running_pod("probed")
    await node.run("probed", "mkdir", "/tmp/away")
    await node.run("probed", "sh", "-c", "busybox rm /tmp/alive")
    again = await node.until("probed", lambda pod: container(pod).get("restartCount") == 1 and is_ready(pod))
    assert container(again)["lastState"]["terminated"]["containerID"] == container(first)["containerID"]
    reasons = {reason for reason, _ in await node.events("probed")}
    assert {"Unhealthy", "Killing"} <= reasons


async def test_a_missing_secret_holds_the_container_until_it_exists(node: Node) -> None:
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "later", "key": "password"}}}]
    await node.create("patient", {"script": "echo $PASSWORD; exec sleep 1000", "env": env})
    pod = await node.until("patient", waiting("CreateContainerConfigError"))
    assert container(pod)["state"]["waiting"]["message"] == 'secret "later" not found'
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "stringData": {"password": "sesame"}}
    await node.client.create(SECRETS, secret, "default")
    assert await node.logged(await node.running_pod("patient"), "sesame")


async def test_a_changed_config_map_reaches_the_running_pod(node: Node) -> None:
    await node.client.create(CONFIG_MAPS, config_map("live", value="old"), "default")
    volumes = [{"name": "v", "configMap": {"name": "live"}}]
    await node.create("follower", {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}, volumes=volumes)
    await node.running_pod("follower")
    assert await node.run("follower", "cat", "/v/value") == "old"
    await node.client.patch(CONFIG_MAPS, "live", {"data": {"value": "new"}}, "default")

    async def has_followed() -> bool:
        return await node.run("follower", "cat", "/v/value") == "new"

    assert await eventually(has_followed)


async def test_pre_stop_runs_before_the_stop_signal(node: Node) -> None:
    directory = node.config.root.parent / "hooked"
    directory.mkdir()
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >> /out/order"]}}}
    script = "trap 'echo term >> /out/order; exit 0' TERM; while true; do sleep 0.05; done"
    mounts = [{"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "out", "hostPath": {"path": str(directory)}}]
    await node.create("hooked", {"script": script, "lifecycle": hook, "volumeMounts": mounts}, volumes=volumes)
    await node.running_pod("hooked")
    await node.delete("hooked", grace=10)
    assert (directory / "order").read_text().split() == ["hook", "term"]


async def test_a_container_is_stopped_by_the_signal_its_pod_names(node: Node) -> None:
    directory = node.config.root.parent / "signalled"
    directory.mkdir()
    script = (
        "trap 'echo usr1 >> /out/seen; exit 0' USR1; trap 'echo term >> /out/seen' TERM; echo listening; "
        "while :; do sleep 0.05; done"
    )
    mounts = [{"name": "out", "mountPath": "/out"}]
    volumes = [{"name": "out", "hostPath": {"path": str(directory)}}]
    asked = {"stopSignal": "SIGUSR1"}
    await node.create(
        "signalled",
        {"script": script, "lifecycle": asked, "volumeMounts": mounts},
        volumes=volumes,
        os={"name": "linux"},
    )
    signalled = await node.running_pod("signalled")
    assert container(signalled)["stopSignal"] == "SIGUSR1"
    await node.logged(signalled, "listening")  # until then nobody hears a signal
    await node.delete("signalled", grace=10)
    assert (directory / "seen").read_text().split() == ["usr1"]


async def test_a_pod_that_does_not_fit_is_rejected(node: Node) -> None:
    await node.create("huge", {"resources": {"requests": {"cpu": "1000"}}})
    pod = await node.until("huge", phase("Failed"))
    assert pod["status"]["reason"] == "OutOfcpu"
    assert pod["status"]["message"].startswith(
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000"
    )


async def test_the_deadline_of_a_pod_ends_it(node: Node) -> None:
    await node.create("late", {"script": "exec sleep 1000"}, activeDeadlineSeconds=1)
    pod = await node.until("late", phase("Failed"))
    assert pod["status"]["reason"] == "DeadlineExceeded"


async def test_the_node_reports_itself_ready(node: Node) -> None:
    seen = await node.client.get(NODES, "node-1", view=dict)
    conditions = {one["type"]: one["status"] for one in seen["status"]["conditions"]}
    assert conditions == {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
    assert seen["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.0" and seen["status"]["allocatable"]["pods"] == "110"


async def test_containers_outlive_the_agent_and_what_happened_meanwhile_is_seen(node: Node) -> None:
    await node.create("steady", {"script": "exec sleep 1000"})
    await node.create("brief", {"script": "sleep 0.3; exit 5"}, restartPolicy="Never")
    steady = await node.running_pod("steady")
    await node.running_pod("brief")
    await node.stop()
    await asyncio.sleep(0.5)
    await node.start()
    ended = container(await node.until("brief", phase("Failed")))["state"]["terminated"]
    assert ended["exitCode"] == 5
    again = await node.client.get(PODS, "steady", "default", view=dict)
    assert container(again) == container(steady)
    await node.delete("steady")


async def test_an_ephemeral_container_joins_a_running_pod(node: Node) -> None:
    await node.create("debugged", {"script": "exec sleep 1000"})
    await node.running_pod("debugged")
    extra = [shell("ps; echo done", name="debug", targetContainerName="c")]
    await node.client.patch(
        PODS, "debugged", {"spec": {"ephemeralContainers": extra}}, "default", subresource="ephemeralcontainers"
    )
    pod = await node.until(
        "debugged", lambda pod: container(pod, "debug", "ephemeralContainerStatuses").get("state", {}).get("terminated")
    )
    assert "sleep 1000" in node.log(pod, "debug") and phase("Running")(pod)


async def test_a_static_pod_runs_without_the_apis_consent_and_its_mirror_comes_back(crun_node: Node) -> None:
    node, manifests = crun_node, crun_node.config.root.parent / "manifests"
    manifests.mkdir()
    spec = {"terminationGracePeriodSeconds": 1, "containers": [shell("exec sleep 1000")]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fixed"}, "spec": spec}
    (manifests / "fixed.yaml").write_text(json.dumps(body))
    await node.stop()
    node.config = replace(node.config, static_pods=manifests)
    await node.start()
    first = await node.running_pod("fixed-node-1")
    assert first["metadata"]["ownerReferences"][0]["kind"] == "Node"
    await node.client.delete(PODS, "fixed-node-1", "default")
    again = await node.until(
        "fixed-node-1", lambda pod: pod["metadata"]["uid"] != first["metadata"]["uid"] and is_ready(pod)
    )
    assert container(again)["containerID"] == container(first)["containerID"]
    await node.stop()
    (manifests / "fixed.yaml").unlink()
    await node.start()
    await node.gone("fixed-node-1")


async def test_an_annotation_makes_no_static_pod(node: Node) -> None:
    meta = {"name": "posing", "namespace": "default", "annotations": {"kubernetes.io/config.source": "file"}}
    spec = {"nodeName": "node-1", "terminationGracePeriodSeconds": 0, "containers": [shell("exec sleep 1000")]}
    await node.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "default")
    await node.running_pod("posing")
    await node.delete("posing")


async def test_a_static_pod_ends_within_its_grace_before_its_mirror_goes_and_another_of_its_name_begins(
    crun_node: Node,
) -> None:
    node, manifests = crun_node, crun_node.config.root.parent / "manifests"
    shared = node.config.root.parent / "shared"
    for made in (manifests, shared):
        made.mkdir()
    dies = "touch /s/ending; until test -e /s/go; do sleep 0.05; done; exit 0"

    def put(name: str, script: str) -> None:
        volume = {"name": "s", "hostPath": {"path": str(shared)}}
        one = shell(script, volumeMounts=[{"name": "s", "mountPath": "/s"}])
        spec = {"terminationGracePeriodSeconds": 60, "containers": [one], "volumes": [volume]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        (manifests / f".{name}").write_text(json.dumps(body))
        (manifests / f".{name}").rename(manifests / f"{name}.yaml")

    put("fixed", f"trap '{dies}' TERM; while :; do sleep 0.1; done")
    await node.stop()
    node.config = replace(node.config, static_pods=manifests)
    await node.start()
    first = await node.running_pod("fixed-node-1")
    put("fixed", "touch /s/began; exec sleep 1000")
    while not (shared / "ending").exists():  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.05)
    for name in ("other", "another"):  # the directory has been looked at twice when the second runs
        put(name, "exec sleep 1000")
        await node.running_pod(f"{name}-node-1")
    still = await node.client.get(PODS, "fixed-node-1", "default", view=dict)
    assert still["metadata"]["uid"] == first["metadata"]["uid"] and phase("Running")(still)
    assert "running" in container(still)["state"] and not (shared / "began").exists()
    (shared / "go").touch()
    again = await node.until("fixed-node-1", lambda pod: pod["metadata"]["uid"] != first["metadata"]["uid"])
    await node.running_pod("fixed-node-1")
    assert again["metadata"]["annotations"] != first["metadata"]["annotations"] and (shared / "began").exists()


async def test_labels_that_a_node_was_given_later_count_for_its_pods(crun_node: Node) -> None:
    node = crun_node
    await node.client.patch(NODES, "node-1", {"metadata": {"labels": {"disk": "ssd"}}})
    await node.create("chosen", {}, nodeSelector={"disk": "ssd"})
    await node.create("astray", {}, nodeSelector={"disk": "tape"})
    refused = await node.until("astray", phase("Failed"))
    assert refused["status"]["reason"] == "NodeAffinity"
    await node.running_pod("chosen")


async def test_a_node_whose_runtime_is_simulated_runs_pods_as_states_alone(image_root: Path, tmp_path: Path) -> None:
    async with running_node(image_root, tmp_path, runtime="simulated") as node:
        await node.create("web", {"name": "c", "image": "example/none:1"})
        pod = await node.running_pod("web")
        assert container(pod)["containerID"].startswith("simulated://") and pod["status"]["podIP"]
        ends = {"name": "c", "image": "example/none:1", "env": [{"name": "SIMULATE_EXIT", "value": "3"}]}
        await node.create("brief", ends, restartPolicy="Never")
        ended = container(await node.until("brief", phase("Failed")))["state"]["terminated"]
        assert ended["exitCode"] == 3
        await node.delete("web")
