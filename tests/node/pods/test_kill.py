"""kill -9 the agent: nothing it runs notices, and the next agent finds everything again."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.node.pods.conftest import Node, assert_nothing_left, container, eventually, is_ready, phase, server_in_memory

from mizzen.client.client import Client
from mizzen.client.inprocess import InProcessTransport
from mizzen.client.resources import PODS
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.net.server import Listener
from mizzen.server.server import Server


@pytest.fixture
async def api() -> AsyncIterator[tuple[Server, int]]:
    """An API server that listens on loopback, where everybody is the administrator."""
    server = await server_in_memory()
    admin = Identity("admin", groups=(MASTERS,))

    async def dispatch(request):  # type: ignore[no-untyped-def]
        request.user = admin
        return await server.handle(request)

    listener = Listener(dispatch)
    port = await listener.listen("127.0.0.1", 0, None)
    yield server, port
    await listener.close()
    await server.close()


async def started(port: int, node: Node, state: Path) -> tuple[asyncio.subprocess.Process, str]:
    """An agent process that is ready; and how it came to its mount namespace."""
    config = node.config
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.node.pods.runner",
        *(str(port), str(config.root), str(config.images_root), str(state), config.cri_socket),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(20):
        how = (await process.stdout.readline()).decode().strip()
        assert (await process.stdout.readline()).decode().strip() == "ready"
    return process, how


async def test_containers_survive_the_death_of_their_agent(
    api: tuple[Server, int], own_namespaces: None, image_root: Path, tmp_path: Path
) -> None:
    server, port = api
    client = Client(InProcessTransport(server.handle, Identity("tester", groups=(MASTERS,))))
    node = Node.at(tmp_path, image_root, client, name="node-2")
    state = tmp_path / "network"
    process, how = await started(port, node, state)
    assert how == "fresh"
    try:
        volumes = [{"name": "m", "emptyDir": {"medium": "Memory"}}]
        script = "echo precious > /m/x; while true; do echo tick; sleep 0.1; done"
        one = {"script": script, "volumeMounts": [{"name": "m", "mountPath": "/m"}]}
        await node.create("steady", one, volumes=volumes)
        await node.create("brief", {"script": "sleep 0.5; exit 5"}, restartPolicy="Never")
        before = await node.until("steady", is_ready)
        await node.until("brief", is_ready)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process, how = await started(port, node, state)
        assert how == "adopted"
        ended = container(await node.until("brief", phase("Failed")))["state"]["terminated"]
        assert ended["exitCode"] == 5
        after = await client.get(PODS, "steady", "default", view=dict)
        assert container(after) == container(before)
        ticks = node.log(before).count("tick")
        await node.logged(before, "tick\n" * (ticks + 2))
        await node.delete("steady")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await node.purge()
    assert_nothing_left(node.config)


def written(volumes: Path) -> list[str]:
    """What pods have noted of their starts, once they have."""
    return [text for path in volumes.rglob("starts") if (text := path.read_text())]


@pytest.mark.parametrize("runtime", ["crun", "cri"])
async def test_agents_killed_while_pods_come_up_start_every_container_exactly_once(
    api: tuple[Server, int], image_root: Path, tmp_path: Path, runtime: str, request: pytest.FixtureRequest
) -> None:
    server, port = api
    client = Client(InProcessTransport(server.handle, Identity("tester", groups=(MASTERS,))))
    socket = request.getfixturevalue("containerd") if runtime == "cri" else ""
    node = Node.at(tmp_path, image_root, client, name="node-2", socket=socket)
    state, names = tmp_path / "network", [f"p{number}" for number in range(6)]
    process, _ = await started(port, node, state)
    try:
        volumes = [{"name": "out", "emptyDir": {}}]
        one = {
            "script": "echo once >> /out/starts; exec sleep 1000",
            "volumeMounts": [{"name": "out", "mountPath": "/out"}],
        }
        for name in names:
            await node.create(name, one, volumes=volumes)
        for moment in (0.02, 0.15, 0.3):
            await asyncio.sleep(moment)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            process, _ = await started(port, node, state)
        for name in names:
            pod = await node.until(name, is_ready, seconds=40)
            assert container(pod)["restartCount"] == 0
            volumes_of_pod = node.config.kubelet / "pods" / pod["metadata"]["uid"] / "volumes"

            async def starts(below: Path = volumes_of_pod) -> list[str]:
                return written(below)

            assert await eventually(starts) == ["once\n"]
            await node.delete(name, grace=0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await node.purge()
    assert_nothing_left(node.config)
