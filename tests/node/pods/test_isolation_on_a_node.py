"""Who containers run as, what they may do, and what they share."""

import socket
from pathlib import Path

from tests.node.pods.conftest import Node, container, eventually, phase, shell, waiting

from mizzen.client.resources import PODS, RUNTIME_CLASSES


async def output(node: Node, name: str, script: str, **more: object) -> list[str]:
    """What a script prints in a pod that ends."""
    spec = {
        key: more.pop(key)
        for key in (
            "securityContext_",
            "volumes",
            "hostNetwork",
            "hostPID",
            "hostname",
            "subdomain",
            "hostAliases",
            "dnsConfig",
        )
        if key in more
    }
    if "securityContext_" in spec:
        spec["securityContext"] = spec.pop("securityContext_")
    await node.create(name, {"script": script, **more}, restartPolicy="Never", **spec)
    pod = await node.until(name, lambda pod: phase("Succeeded")(pod) or phase("Failed")(pod))
    return node.log(pod).splitlines()


async def test_users_and_groups_come_from_the_pod_and_the_image(node: Node) -> None:
    volumes = [{"name": "data", "emptyDir": {}}]
    context = {"runAsUser": 1000, "fsGroup": 3000, "supplementalGroups": [4000]}
    seen = await output(
        node, "user", "id; touch /data/x; stat -c %g:%a /data; stat -c %u:%g /data/x", securityContext_=context,
        volumes=volumes, volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )  # fmt: skip
    assert seen[0].startswith("uid=1000(worker) gid=1000(worker) groups=1000(worker),2000(extra),3000,4000")
    assert seen[1:] == ["3000:2777", "1000:3000"]
    shown = container(await node.client.get(PODS, "user", "default", view=dict))["user"]["linux"]
    assert (shown["uid"], shown["gid"]) == (1000, 1000) and {3000, 4000} <= set(shown["supplementalGroups"])


async def test_a_runtime_class_whose_handler_is_not_there_holds_the_pod_back(node: Node) -> None:
    body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "odd"}, "handler": "odd-one"}
    await node.client.create(RUNTIME_CLASSES, body)
    await node.create("classed", {}, runtimeClassName="odd")

    async def told() -> str:
        events = await node.events("classed")
        return next((message for reason, message in events if reason == "FailedCreatePodSandBox"), "")

    assert "odd-one" in await eventually(told)


async def test_run_as_non_root_refuses_an_image_that_runs_as_root(node: Node) -> None:
    await node.create("root", {"securityContext": {"runAsNonRoot": True}})
    pod = await node.until("root", waiting("CreateContainerConfigError"))
    assert "container has runAsNonRoot and image will run as root" in container(pod)["state"]["waiting"]["message"]


async def test_capabilities_are_granted_and_dropped(node: Node) -> None:
    script = "grep CapEff /proc/self/status"
    none = await output(node, "none", script, securityContext={"capabilities": {"drop": ["ALL"]}})
    one = await output(node, "one", script, securityContext={"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}})
    assert none == ["CapEff:\t0000000000000000"]
    assert one == ["CapEff:\t0000000000001000"]


async def test_a_read_only_root_takes_no_files_and_privileges_cannot_grow(node: Node) -> None:
    context = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    seen = await output(
        node, "tight", "touch /x 2> /dev/null || echo no; grep NoNewPrivs /proc/self/status", securityContext=context
    )
    assert seen == ["no", "NoNewPrivs:\t1"]


async def test_the_default_seccomp_profile_forbids_new_namespaces(node: Node) -> None:
    context = {"seccompProfile": {"type": "RuntimeDefault"}}
    seen = await output(
        node,
        "filtered",
        "unshare -U true 2> /dev/null || echo forbidden; grep Seccomp: /proc/self/status",
        securityContext=context,
    )
    assert seen[-2:] == ["forbidden", "Seccomp:\t2"]


async def test_a_privileged_container_sees_devices_and_may_mount(node: Node) -> None:
    seen = await output(
        node, "mighty", "mount -t tmpfs none /tmp && echo mounted", securityContext={"privileged": True}
    )
    assert seen == ["mounted"]


async def test_names_in_etc_are_the_pods_own(node: Node) -> None:
    aliases = [{"ip": "10.9.8.7", "hostnames": ["far.example", "far"]}]
    seen = await output(
        node, "named", "hostname; grep far /etc/hosts; cat /etc/resolv.conf; grep web0 /etc/hosts", hostname="web0",
        subdomain="web", hostAliases=aliases, dnsConfig={"options": [{"name": "ndots", "value": "2"}]},
    )  # fmt: skip
    assert seen[0] == "web0" and seen[1] == "10.9.8.7\tfar.example\tfar"
    assert any(line.startswith("search default.svc.cluster.local svc.cluster.local cluster.local") for line in seen)
    assert "nameserver 10.96.0.10" in seen and "options ndots:2" in seen
    assert seen[-1].endswith("\tweb0.web.default.svc.cluster.local\tweb0")


async def test_sysctls_and_limits_reach_the_kernel(node: Node) -> None:
    context = {
        "sysctls": [
            {"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"},
            {"name": "kernel.shm_rmid_forced", "value": "1"},
        ]
    }
    seen = await output(
        node,
        "tuned",
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced",
        securityContext_=context,
    )
    assert seen == ["80", "1"]


async def test_containers_of_a_pod_may_share_processes(node: Node) -> None:
    await node.create(
        "shared",
        {"script": "exec sleep 4711"},
        shell("sleep 0.2; ps; exec sleep 1000", name="b"),
        shareProcessNamespace=True,
    )
    pod = await node.running_pod("shared")
    assert "sleep 4711" in await node.logged(pod, "sleep 4711", "b")
    await node.delete("shared")


async def test_a_pod_on_the_hosts_network_and_processes_has_their_view(node: Node) -> None:
    seen = await output(node, "open", "hostname; ps | wc -l; echo $HOSTNAME", hostNetwork=True, hostPID=True)
    assert seen[0] in {"node-1", socket.gethostname()} and int(seen[1]) > 20 and seen[2] == "node-1"


async def test_the_root_of_a_pod_with_users_of_its_own_is_nobody_on_the_machine(
    crun_node: Node, tmp_path: Path
) -> None:
    node = crun_node
    (tmp_path / "shared").mkdir()
    mounts = [{"name": "h", "mountPath": "/h"}, {"name": "e", "mountPath": "/e"}]
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path / "shared")}}, {"name": "e", "emptyDir": {}}]
    script = "id -u; echo mine > /h/file; touch /root/own /e/x; stat -c %u /bin/sh /h /e/x /root/own; sleep 1000"
    pod = await node.create("own", {"script": script, "volumeMounts": mounts}, volumes=volumes, hostUsers=False)
    await node.running_pod("own")
    assert (await node.logged(pod, "0\n" * 5)).split() == ["0"] * 5
    assert node.running is not None
    life = node.running.pods.find("default", "own")
    assert life is not None
    home = node.config.root / "containers" / life.containers["c"].id
    process = Path("/proc") / (home / "pid").read_text()
    assert process.stat().st_uid == 1 << 16
    assert (home / "upper" / "root" / "own").stat().st_uid == 1 << 16
    # What it writes into volumes belongs to root, as the container sees it.
    assert (tmp_path / "shared" / "file").stat().st_uid == 0
    assert (await node.run("own", "cat", "/proc/self/uid_map")).split() == ["0", "65536", "65536"]
    await node.delete("own", grace=0)
    assert (tmp_path / "shared" / "file").read_text() == "mine\n"
