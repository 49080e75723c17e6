"""What goes wrong around a node: the API away, the machine restarted, the disk full, an image unreadable."""

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.pods.conftest import (
    NODE_IP,
    Node,
    assert_nothing_left,
    container,
    eventually,
    is_ready,
    phase,
    running_node,
    waiting,
)

from mizzen.agent import embedded
from mizzen.agent.images import store as stores
from mizzen.agent.network.routed import RoutedNetwork
from mizzen.agent.runtime import crun, machine, syscalls
from mizzen.agent.runtime.base import Observed
from mizzen.agent.runtime.crun import CrunRuntime
from mizzen.agent.volumes import teardown
from mizzen.base.clock import SystemClock
from mizzen.client.client import Transport
from mizzen.client.resources import PODS
from mizzen.wire.message import Request, Response


class Cable:
    """A transport that is cut until it is mended."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.is_cut = True

    async def call(self, request: Request) -> Response:
        if self.is_cut:
            raise ConnectionError("the API server cannot be reached")
        return await self._inner.call(request)

    async def close(self) -> None:
        await self._inner.close()


async def test_pods_go_on_without_the_api_and_their_status_catches_up(node: Node) -> None:
    await node.create("steady", {"script": "while true; do echo tick; sleep 0.05; done"})
    await node.create("brief", {"script": "sleep 0.6; exit 3"}, restartPolicy="Never")
    probe = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1}
    await node.create("probed", {"script": "sleep 0.6; touch /tmp/up; exec sleep 1000", "readinessProbe": probe})
    before = await node.running_pod("steady")
    await node.until("brief", is_ready)
    await node.until("probed", phase("Running"))
    assert node.running is not None
    tools = node.running.tools
    cable = Cable(tools.client._transport)
    tools.client._transport = cable
    assert not is_ready(await node.client.get(PODS, "probed", "default", view=dict))
    async with asyncio.timeout(10):
        while node.running.pods.find("default", "brief").over != "Failed":  # type: ignore[union-attr]  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert phase("Running")(await node.client.get(PODS, "brief", "default", view=dict))
    ticks = node.log(before).count("tick")
    await node.logged(before, "tick\n" * (ticks + 2))
    cable.is_cut = False
    ended = await node.until("brief", phase("Failed"))
    assert container(ended)["state"]["terminated"]["exitCode"] == 3
    await node.running_pod("probed")
    assert container(await node.client.get(PODS, "steady", "default", view=dict))["restartCount"] == 0


async def test_after_a_restart_of_the_machine_pods_begin_again_and_count_on(crun_node: Node) -> None:
    node = crun_node
    await node.create("always", {"script": "exec sleep 1000"})
    await node.create("once", {"script": "exec sleep 1000"}, restartPolicy="Never")
    before = await node.running_pod("always")
    await node.running_pod("once")
    await node.stop()
    await unplugged(node)
    await node.start()
    after = await node.until("always", lambda pod: is_ready(pod) and container(pod)["restartCount"] == 1)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert container(after)["containerID"] != container(before)["containerID"]


async def test_what_pods_have_written_outlives_a_halt_of_their_node_and_nothing_else_does(crun_node: Node) -> None:
    node = crun_node
    mounts = [{"name": "scratch", "mountPath": "/s"}, {"name": "quick", "mountPath": "/q"}]
    volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "quick", "emptyDir": {"medium": "Memory"}}]
    script = "ls /s /q; touch /s/kept /q/gone; echo listed; exec sleep 1000"
    await node.create("writer", {"script": script, "volumeMounts": mounts}, volumes=volumes)
    gone = await node.create("removed", {"script": "echo begun; exec sleep 1000"})
    await node.running_pod("removed")
    await node.logged(await node.running_pod("writer"), "listed")
    await node.stop()
    runtime, _ = await node.machinery()
    await embedded.halt(node.config, node.network, runtime=runtime)
    left = {str(path.relative_to(node.config.root)) for path in node.config.root.glob("*/*")}
    assert left == {"kubelet/pods", "logs/pods"}
    await node.client.delete(PODS, "removed", "default", grace_seconds=0)
    await node.start()
    again = await node.until("writer", lambda pod: container(pod).get("restartCount") == 1 and container(pod)["ready"])
    assert container(again)["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert "gone" not in await node.logged(again, "listed", attempt=1)
    assert "kept" in node.log(again, attempt=1)
    assert node.running is not None
    asked = Request("GET", "/containerLogs/default/writer/c", (("previous", "true"),))
    assert (await node.running.handle(asked)).status == 200
    names = [path.name for path in (*node.config.logs.glob("pods/*"), *node.config.kubelet.glob("pods/*"))]
    assert not any(gone["metadata"]["uid"] in name for name in names)


async def test_a_pod_whose_shared_process_namespace_ended_begins_anew(crun_node: Node) -> None:
    node = crun_node
    await node.create("shared", {"script": "exec sleep 1000"}, shareProcessNamespace=True)
    before = await node.running_pod("shared")
    init = node.config.root / "sandboxes" / before["metadata"]["uid"] / "init.pid"
    os.kill(int(init.read_text()), signal.SIGKILL)
    after = await node.until("shared", lambda pod: is_ready(pod) and container(pod)["restartCount"] > 0)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert any(reason == "SandboxChanged" for reason, _ in await node.events("shared"))


async def test_a_container_whose_monitor_is_killed_begins_anew_and_its_pod_can_be_deleted(
    crun_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = crun_node
    monkeypatch.setattr(crun, "MONITORS_EVERY", 0.1)
    await node.stop()
    await node.start()
    await node.create("orphaned", {"script": "exec sleep 1000"})
    before = await node.running_pod("orphaned")
    kill_monitor(node, before)
    after = await node.until("orphaned", lambda pod: is_ready(pod) and container(pod)["restartCount"] == 1)
    assert container(after)["lastState"]["terminated"]["exitCode"] == 137
    kill_monitor(node, after)
    monkeypatch.setattr(crun, "MONITORS_EVERY", 1000.0)
    async with asyncio.timeout(8):
        await node.delete("orphaned", grace=0)


async def test_a_pod_whose_record_is_damaged_begins_anew_and_not_beside_itself(crun_node: Node) -> None:
    node = crun_node
    await node.create("damaged", {"script": "exec sleep 1000"})
    before = await node.running_pod("damaged")
    home = node.config.root / "containers" / container(before)["containerID"].rpartition("/")[2]
    first = int((home / "pid").read_text())
    await node.stop()
    (node.config.root / "sandboxes" / before["metadata"]["uid"] / "record.json").write_bytes(b"")
    runtime, _ = await node.machinery()
    assert await runtime.observe() == Observed()
    assert not machine.is_running(first)
    await runtime.close()
    await node.start()
    after = await node.until("damaged", lambda pod: is_ready(pod) and container(pod)["restartCount"] == 1)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


async def test_who_asks_for_a_pod_by_its_name_gets_the_latest_of_it(crun_node: Node) -> None:
    node = crun_node
    await node.create("twin", {"script": "trap '' TERM; while true; do sleep 0.1; done"})
    await node.running_pod("twin")
    assert node.running is not None
    pods = node.running.pods
    await node.client.delete(PODS, "twin", "default", grace_seconds=0)  # its container goes on for a second
    second = (await node.create("twin", {"script": "exec sleep 1000"}))["metadata"]["uid"]

    async def is_seen() -> bool:
        return any(life.pod.metadata.uid == second for life in pods)

    assert await eventually(is_seen)
    found = pods.find("default", "twin")
    assert found is not None and found.pod.metadata.uid == second


async def test_a_pod_that_is_deleted_while_the_agent_is_away_leaves_no_logs_behind(crun_node: Node) -> None:
    node = crun_node
    await node.create("away", {"script": "exec sleep 1000"})
    await node.running_pod("away")
    await node.stop()
    await node.client.delete(PODS, "away", "default", grace_seconds=0)
    assert len([*node.config.logs.glob("*/*away*")]) == 2
    await node.start()

    async def is_swept() -> bool:
        return not [*node.config.logs.glob("*/*away*")]

    assert await eventually(is_swept)


async def test_a_node_that_has_lost_its_list_of_addresses_gives_none_twice(crun_node: Node) -> None:
    node = crun_node
    await node.create("steady", {"script": "exec sleep 1000"})
    steady = await node.running_pod("steady")
    await node.stop()
    leases = node.config.root.parent / "network" / "addresses.json"
    leases.write_bytes(leases.read_bytes()[:20])
    node.network = RoutedNetwork(leases.parent, IPv4Network("10.210.0.0/24"), IPv4Address(NODE_IP))
    await node.start()
    await node.create("other", {"script": "exec sleep 1000"})
    other = await node.running_pod("other")
    assert other["status"]["podIP"] != steady["status"]["podIP"]
    await node.delete("steady", grace=0)

    async def is_given_back() -> bool:
        return steady["metadata"]["uid"] not in leases.read_text()

    assert await eventually(is_given_back)


async def test_a_container_that_was_only_created_counts_as_neither_running_nor_ended(crun_node: Node) -> None:
    node = crun_node
    await node.create("halved", {"script": "echo began; exec sleep 1000"})
    pod = await node.running_pod("halved")
    assert node.running is not None
    life = node.running.pods.find("default", "halved")
    assert life is not None
    id = life.containers["c"].id
    await node.stop()
    runtime, _ = await node.machinery()
    assert isinstance(runtime, CrunRuntime)
    spec = runtime._container(id).spec  # type: ignore[union-attr]
    # The agent was killed after the creation, and another one does it over again.
    await runtime.create(life.sandbox_id, spec)
    assert [one.state for one in (await runtime.observe()).containers] == ["created"]
    heard = asyncio.create_task(anext(aiter(runtime.watch())))
    await runtime.create(life.sandbox_id, spec)
    await runtime.start(id)
    await asyncio.wait({heard}, timeout=0.1)
    assert not heard.done()
    # It was killed before it had noted that the container started.
    (node.config.root / "containers" / id / "started").unlink()
    assert [one.state for one in (await runtime.observe()).containers] == ["running"]
    heard.cancel()
    await runtime.close()
    await node.start()
    after = await node.client.get(PODS, "halved", "default", view=dict)
    assert container(after)["restartCount"] == 0
    await node.logged(pod, "began")


async def test_a_container_that_may_have_run_before_agent_and_monitor_were_killed_runs_once(crun_node: Node) -> None:
    node = crun_node
    await node.create("once", {"script": "exec sleep 1000"}, restartPolicy="Never")
    pod = await node.running_pod("once")
    await node.stop()
    kill_monitor(node, pod)
    home = node.config.root / "containers" / container(pod)["containerID"].rpartition("/")[2]
    first = int((home / "pid").read_text())
    os.kill(first, signal.SIGKILL)
    await machine.gone(first)
    (home / "started").unlink()  # the agent was killed before it noted that, and told anybody
    runtime, _ = await node.machinery()
    seen = (await runtime.observe()).containers
    assert [(one.state, one.reason, one.started_at > 0) for one in seen] == [("exited", "Unknown", True)]
    await runtime.close()


def kill_monitor(node: Node, pod: Any) -> None:
    """Kill the monitor of a pod's container."""
    id = container(pod)["containerID"].rpartition("/")[2]
    os.kill(int((node.config.root / "containers" / id / "conmon.pid").read_text()), signal.SIGKILL)


async def unplugged(node: Node) -> None:
    """Leave what a machine that lost power would: files, but no process, namespace or control group."""
    runtime, _ = await node.machinery()
    seen = await runtime.observe()
    for one in seen.containers:
        await runtime.stop(one.id, 0)
    root = node.config.root
    for ending in (root / "exits").iterdir():
        ending.unlink()
    teardown.unmount_below(root)
    for state in (root / "state").iterdir():
        teardown.remove(state)
    await runtime.close()
    for one in seen.sandboxes:
        await node.network.detach(one.uid)


async def test_a_full_disk_keeps_pods_waiting_and_spares_the_agent(image_root: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    syscalls.mount("tmpfs", str(small), "tmpfs", 0, "size=2m")
    try:
        async with running_node(image_root, small) as node:
            filler = small / "filler"
            with contextlib.suppress(OSError), filler.open("wb", 0) as out:
                while True:
                    out.write(bytes(4096))
            await node.create("squeezed", {"script": "exec sleep 1000"})
            stuck = await node.until("squeezed", lambda pod: (pod.get("status") or {}).get("hostIP"))
            assert phase("Pending")(stuck)

            async def is_told() -> bool:
                return any("No space left" in text for _, text in await node.events("squeezed"))

            assert await eventually(is_told)
            filler.unlink()
            await node.running_pod("squeezed")
        assert_nothing_left(node.config)
    finally:
        syscalls.unmount(str(small))


class SetBack(SystemClock):
    """A clock that somebody sets."""

    wrong = 0.0

    def now(self) -> float:
        return super().now() + self.wrong


async def test_a_clock_that_is_set_back_puts_off_no_deadline(image_root: Path, tmp_path: Path) -> None:
    async with running_node(image_root, tmp_path) as node:
        await node.stop()
        node.clock = clock = SetBack()
        node.config = replace(node.config, longest_crash_delay=1.0)
        await node.start()
        await node.create("brief", {"script": "exec sleep 1000"}, activeDeadlineSeconds=3)
        await node.create("again", {"script": "exit 1"})
        await node.running_pod("brief")
        clock.wrong = -86_400.0
        ended = await node.until("brief", phase("Failed"))
        assert ended["status"]["reason"] == "DeadlineExceeded"

        def is_back(pod: Any) -> bool:
            return any(one["restartCount"] >= 2 for one in pod["status"].get("containerStatuses", ()))

        await node.until("again", is_back)


async def test_an_image_whose_layers_are_gone_says_so(crun_node: Node) -> None:
    node = crun_node
    assert node.running is not None
    images = node.running.tools.images
    known = images.store.find("docker.io/local/busybox:1")  # type: ignore[attr-defined]
    broken = replace_layers(images.store, known)  # type: ignore[attr-defined]
    try:
        await node.create("broken", {"name": "c", "image": "local/broken:1", "imagePullPolicy": "Never"})
        seen = await node.until("broken", waiting("CreateContainerError"))
        assert "No such file" in container(seen)["state"]["waiting"]["message"]
        await node.delete("broken", grace=0)
    finally:
        await images.remove(broken.id)


def replace_layers(store: stores.ImageStore, image: stores.Image) -> stores.Image:
    """An image that names a layer which is not there."""
    broken = msgspec.structs.replace(image, id="sha256:" + "0" * 64, layers=("sha256:" + "1" * 64,))
    (store.root / "images" / f"{broken.id[7:]}.json").write_bytes(msgspec.json.encode(broken))
    store.tag("docker.io/local/broken:1", broken.id)
    return broken
