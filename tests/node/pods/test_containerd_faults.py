"""A containerd that is killed, hangs, or fails: pods come up and go down all the same, and nothing is counted twice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.node.pods import daemon
from tests.node.pods.conftest import Node, container, eventually, is_ready, phase, running_node

from mizzen.agent.runtime.cri import CriRuntime
from mizzen.agent.runtime.crirpc import CallFailed
from mizzen.client.resources import PODS
from mizzen.cluster import containerd, processes

NOTE = "echo once >> /out/starts; exec sleep 1000"
OUT: dict[str, Any] = {"volumes": [{"name": "out", "emptyDir": {}}], "terminationGracePeriodSeconds": 1}
MOUNTS = [{"name": "out", "mountPath": "/out"}]


@pytest.fixture(scope="module")
def own(own_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[containerd.Daemon]:
    """A containerd for this module alone, which may be harmed."""
    with daemon.running(tmp_path_factory.mktemp("harmed")) as started:
        yield started


@pytest.fixture
async def node(own: containerd.Daemon, image_root: Path, tmp_path: Path) -> AsyncIterator[Node]:
    async with running_node(image_root, tmp_path, own.socket) as here:
        yield here


def pid_of(own: containerd.Daemon) -> int:
    known = processes.running(own.record)
    assert known is not None
    return known.pid


def notes(node: Node, uid: str) -> list[str]:
    """What the containers of a pod have noted of their starts."""
    path = node.config.kubelet / "pods" / uid / "volumes" / "kubernetes.io~empty-dir" / "out" / "starts"
    return path.read_text().split() if path.exists() else []


async def test_pods_come_up_although_containerd_is_killed_while_it_makes_them(
    own: containerd.Daemon, node: Node
) -> None:
    names = [f"many-{number}" for number in range(6)]
    for name in names:
        await node.create(name, {"script": NOTE, "volumeMounts": MOUNTS}, **OUT)
    await node.until(names[0], phase("Running"), 60)
    os.kill(pid_of(own), signal.SIGKILL)
    await asyncio.to_thread(containerd.start, own, -1)
    for name in names:
        pod = await node.until(name, is_ready, 90)
        uid, count = pod["metadata"]["uid"], container(pod)["restartCount"]

        async def noted(uid: str = uid, least: int = count + 1) -> bool:
            return len(notes(node, uid)) >= least

        await eventually(noted)  # no restart is counted that was none
    for name in names:
        await node.delete(name)


async def test_a_containerd_that_hangs_is_waited_for(own: containerd.Daemon, node: Node) -> None:
    await node.create("steady", {"script": NOTE, "volumeMounts": MOUNTS}, **OUT)
    await node.create("leaving", {"script": NOTE, "volumeMounts": MOUNTS}, **OUT)
    before = await node.running_pod("steady")
    await node.running_pod("leaving")
    assert node.running is not None and isinstance(node.running.tools.runtime, CriRuntime)
    os.kill(pid_of(own), signal.SIGSTOP)
    try:
        await node.create("late", {"script": NOTE, "volumeMounts": MOUNTS}, **OUT)
        await node.client.delete(PODS, "leaving", "default")
        channel = node.running.tools.runtime._channel._channel

        async def waits() -> bool:
            return channel._link is not None and len(channel._link._receivers) >= 2

        await eventually(waits)
    finally:
        os.kill(pid_of(own), signal.SIGCONT)
    await node.gone("leaving", 60)
    assert container(await node.until("late", is_ready, 60))["restartCount"] == 0
    assert container(await node.running_pod("steady")) == container(before)


_CALLS = (
    "ListPodSandbox", "RunPodSandbox", "PodSandboxStatus", "ListContainers", "CreateContainer", "ContainerStatus",
    "StartContainer", "StopContainer", "StopPodSandbox", "RemovePodSandbox",
)  # fmt: skip


@pytest.mark.parametrize("code", ["UNKNOWN", "UNAVAILABLE"])
async def test_whichever_call_fails_pods_come_up_and_go_down(node: Node, code: str) -> None:
    assert node.running is not None and isinstance(node.running.tools.runtime, CriRuntime)
    channel = node.running.tools.runtime._channel
    real, left = channel.call, dict.fromkeys(_CALLS, 1)

    async def failing(name: str, request: dict[str, Any] | None = None, **more: Any) -> Any:
        if left.get(name):
            left[name] -= 1
            raise CallFailed(code, f"{name} fails once")
        return await real(name, request, **more)

    channel.call = failing  # type: ignore[method-assign]
    names = [f"one-of-many-{number}" for number in range(5)]
    for name in names:
        await node.create(name, {"script": NOTE, "volumeMounts": MOUNTS}, **OUT)
    restarts = 0
    for name in names:
        pod = await node.until(name, is_ready, 40)
        restarts += container(pod)["restartCount"]

        async def noted(uid: str = pod["metadata"]["uid"]) -> bool:
            return notes(node, uid) == ["once"]

        await eventually(noted)
    assert restarts == (code == "UNKNOWN"), "a start that may have been made counts as no crash"
    for name in names:
        await node.client.delete(PODS, name, "default")
    for name in names:
        await node.gone(name, 40)
    assert left == dict.fromkeys(_CALLS, 0)
