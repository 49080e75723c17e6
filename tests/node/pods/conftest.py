"""One node with real containers: an API server in memory, the agent, crun, routed pods, and a registry on loopback.

The whole test process moves into mount and network namespaces of its own, so nothing it does is seen outside.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from tests.node.pods import daemon, images

from mizzen.agent import agent, embedded
from mizzen.agent.config import AgentConfig
from mizzen.agent.images.archive import import_path
from mizzen.agent.images.policy import Images
from mizzen.agent.machinery import machinery
from mizzen.agent.network.netlink import Netlink
from mizzen.agent.network.routed import RoutedNetwork
from mizzen.agent.runtime import cgroups, namespaces, syscalls
from mizzen.agent.runtime.base import Runtime
from mizzen.base import log
from mizzen.base.clock import Clock, SystemClock
from mizzen.client.client import Client
from mizzen.client.inprocess import InProcessTransport
from mizzen.client.resources import EVENTS, NAMESPACES, PODS
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.crilog import parse_line

IMAGE = "local/busybox:1"
NODE_IP = "10.209.0.1"
PATIENCE = float(os.environ.get("MIZZEN_TEST_PATIENCE", "1"))
"""How much longer than on a real machine a test waits for what must come; an emulated machine is slow."""
Object = dict[str, Any]


@pytest.fixture(scope="session")
def own_namespaces(busybox: bytes) -> None:
    """Move this process out of the machine's sight, once what must be fetched has been."""
    namespaces.enter_mounts(Path("/nonexistent"))
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14s", b"lo", 1, b""))
    with Netlink() as net:
        net.add_address(net.need("lo").index, IPv4Interface(f"{NODE_IP}/32"))


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A layer with busybox; fetched before the network goes."""
    return images.base_layer(images.busybox(tmp_path_factory.mktemp("busybox")))


@pytest.fixture(scope="session")
def image_root(busybox: bytes, own_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The machine's image store, holding `IMAGE`."""
    root = tmp_path_factory.mktemp("machine") / "images"
    archive = root.parent / "busybox.tar"
    images.docker_archive(archive, IMAGE, [busybox], Cmd=["sh"], Env=["PATH=/bin", "FROM_IMAGE=yes"])
    config = AgentConfig("unused", root / "unused", root, ("127.0.0.1",))
    asyncio.run(import_path(embedded.images_of(config).store, archive))
    return root


@pytest.fixture(scope="session")
def registry(own_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry on loopback; answers `127.0.0.1:PORT`."""
    yield from _registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def guarded_registry(own_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets in only the user robot, whose password is swordfish."""
    root = tmp_path_factory.mktemp("guarded")
    (root / "users").write_text("robot:$2b$04$6MO4tKnSFpEzrvHWk/PSJeEIrR1OVsaPlrm/jExXA24sPHMO2xqwy\n")
    yield from _registry(root, f"auth:\n  htpasswd:\n    realm: tests\n    path: {root}/users\n")


def _registry(root: Path, more: str = "") -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (root / "config.yml").write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}/data\nhttp:\n  addr: {address}\n{more}"
    )
    server = subprocess.Popen(
        ["docker-registry", "serve", root / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    host, port = address.split(":")
    while server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            break
    yield address
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="session")
def containerd(own_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A containerd of the tests' own, which has `IMAGE` from the machine's store; answers its socket."""
    with daemon.running(tmp_path_factory.mktemp("containerd")) as started:
        yield started.socket


@dataclass
class Node:
    """The node and its API, as tests use them."""

    config: AgentConfig
    client: Client
    network: RoutedNetwork
    new_client: Callable[[str], Client] | None = None
    running: agent.Agent | None = None
    task: "asyncio.Task[None] | None" = None
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def at(cls, root: Path, image_root: Path, client: Client, name: str = "node-1", socket: str = "",
           runtime: str = "crun") -> "Node":  # fmt: skip
        """A node whose directories are below `root`; with a socket, its containers are that CRI runtime's."""
        config = AgentConfig(
            name, root / "node", image_root, (NODE_IP,), cluster_dns=("10.96.0.10",), cri_socket=socket,
            runtime="cri" if socket else runtime,
        )  # fmt: skip
        (root / "network").mkdir()
        network = RoutedNetwork(root / "network", IPv4Network("10.210.0.0/24"), IPv4Address(NODE_IP))
        return cls(config, client, network)

    async def start(self) -> None:
        """Start the agent, and wait until it has seen its pods."""
        assert self.new_client is not None
        ready = asyncio.Event()

        def told(started: agent.Agent) -> None:
            self.running = started
            ready.set()

        runtime, pictures = await self.machinery()
        self.task = asyncio.create_task(
            agent.run(
                self.config, self.new_client("kubelet"), network=self.network, runtime=runtime, images=pictures,
                clock=self.clock, ready=told,
            )
        )  # fmt: skip
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self.task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            waiting.cancel()
            self.task.result()

    async def machinery(self) -> tuple[Runtime, Images]:
        """What runs containers, and their images."""
        return await machinery(self.config)

    async def purge(self) -> None:
        """Remove everything of the node."""
        runtime, _ = await self.machinery()
        await embedded.purge(self.config, self.network, runtime=runtime)

    async def stop(self) -> None:
        """Stop the agent; its containers go on."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def create(self, name: str, *containers: Object, **spec: Any) -> Object:
        """Create a pod on this node; containers default to busybox."""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}, **spec.pop("metadata", {})},
            "spec": {
                "nodeName": self.config.node_name,
                "terminationGracePeriodSeconds": 1,
                "restartPolicy": "Always",
                "containers": [shell(**one) if "image" not in one else one for one in containers],
                **spec,
            },
        }
        return await self.client.create(PODS, body, "default")

    async def until(self, name: str, claim: Callable[[Object], Any], seconds: float = 20) -> Object:
        """The pod, as soon as the claim holds."""
        last: Object | None = None
        try:
            async with asyncio.timeout(seconds * PATIENCE):
                async for event in self.client.watch(PODS, "default", view=dict, initial=True):
                    if event.object is not None and event.object["metadata"]["name"] == name:
                        last = event.object
                        if event.type != "DELETED" and claim(last):
                            return last
        except TimeoutError:
            raise AssertionError(f"{name}: {(last or {}).get('status')}\n{await self.events(name)}") from None
        raise AssertionError(f"{name}: the watch ended")

    async def running_pod(self, name: str) -> Object:
        """The pod, once it runs and is ready."""
        return await self.until(name, is_ready)

    async def gone(self, name: str, seconds: float = 20) -> None:
        """Return once the API holds the pod no more."""
        async with asyncio.timeout(seconds * PATIENCE):
            while True:
                try:
                    await self.client.get(PODS, name, "default", view=dict)
                except ApiError as error:
                    if error.code == 404:
                        return
                    raise
                await asyncio.sleep(0.01)

    async def delete(self, name: str, grace: int | None = None) -> None:
        """Delete a pod, and wait until it is gone."""
        await self.client.delete(PODS, name, "default", grace_seconds=grace)
        await self.gone(name)

    async def events(self, name: str) -> list[tuple[str, str]]:
        """Reason and message of the events about a pod."""
        listed = await self.client.list(EVENTS, "default", view=dict)
        return [(one["reason"], one["message"]) for one in listed.items if one["involvedObject"]["name"] == name]

    async def run(self, name: str, *command: str, container: str = "c") -> str:
        """What a command prints inside a container."""
        assert self.running is not None
        life = self.running.pods.find("default", name)
        assert life is not None
        session = await self.running.tools.runtime.exec(life.containers[container].id, command, tty=False, stdin=False)
        out = b""
        while chunk := await session.read("stdout"):
            out += chunk
        while chunk := await session.read("stderr"):
            out += chunk
        await session.wait()
        await session.close()
        return out.decode()

    def log(self, pod: Object, container: str = "c", attempt: int = 0) -> str:
        """The text of a log, without times."""
        meta = pod["metadata"]
        directory = self.config.root / "logs" / "pods" / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"
        lines = (directory / container / f"{attempt}.log").read_bytes().splitlines(keepends=True)
        return b"".join(one.text for line in lines if (one := parse_line(line)) is not None).decode()

    async def logged(self, pod: Object, text: str, container: str = "c", attempt: int = 0) -> str:
        """The log, as soon as it holds a text."""
        async with asyncio.timeout(10 * PATIENCE):
            while True:
                with contextlib.suppress(FileNotFoundError):
                    if text in (seen := self.log(pod, container, attempt)):
                        return seen
                await asyncio.sleep(0.01)


def shell(script: str = "sleep 1000", name: str = "c", **more: Any) -> Object:
    """A container that runs a shell script; `exec` spares the shell where signals matter."""
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script], **more}


def is_ready(pod: Object) -> bool:
    """Whether the pod is Ready."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def phase(wanted: str) -> Callable[[Object], bool]:
    """A claim about the phase."""
    return lambda pod: (pod.get("status") or {}).get("phase") == wanted


def container(pod: Object, name: str = "c", kind: str = "containerStatuses") -> Object:
    """A container's status; empty while there is none."""
    entries = (pod.get("status") or {}).get(kind) or ()
    return next((one for one in entries if one["name"] == name), {})


def waiting(reason: str, name: str = "c") -> Callable[[Object], bool]:
    """A claim about a container's waiting reason."""
    return lambda pod: container(pod, name).get("state", {}).get("waiting", {}).get("reason") == reason


async def server_in_memory() -> Server:
    """An API server with the namespaces that a node needs."""
    server = Server(MemoryStore(), SystemClock())
    await server.start()
    client = Client(InProcessTransport(server.handle, Identity("setup", groups=(MASTERS,))))
    for name in ("default", "kube-node-lease"):
        with contextlib.suppress(ApiError):
            await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return server


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 10) -> Any:
    """Look again and again until there is something true to see."""
    async with asyncio.timeout(seconds * PATIENCE):
        while not (seen := await look()):  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.01)
    return seen


@pytest.fixture(params=["crun", "cri"])
async def node(request: pytest.FixtureRequest, image_root: Path, tmp_path: Path) -> AsyncIterator[Node]:
    """A running node with each of the runtimes."""
    socket = request.getfixturevalue("containerd") if request.param == "cri" else ""
    async with running_node(image_root, tmp_path, socket) as here:
        yield here


@pytest.fixture
async def crun_node(image_root: Path, tmp_path: Path) -> AsyncIterator[Node]:
    """A running node with the embedded runtime, for what is its own."""
    async with running_node(image_root, tmp_path) as here:
        yield here


@contextlib.asynccontextmanager
async def running_node(
    image_root: Path, tmp_path: Path, socket: str = "", runtime: str = "crun"
) -> AsyncIterator[Node]:
    """A node with an API server of its own; afterwards nothing of it may be left."""
    log.set_level("error")
    server = await server_in_memory()

    def new_client(user: str) -> Client:
        return Client(InProcessTransport(server.handle, Identity(user, groups=(MASTERS,))), field_manager=user)

    here = Node.at(tmp_path, image_root, new_client("tester"), socket=socket, runtime=runtime)
    here.new_client = new_client
    await here.start()
    try:
        yield here
    finally:
        await here.stop()
        await here.purge()
        await server.close()
    assert_nothing_left(here.config)


def assert_nothing_left(config: AgentConfig) -> None:
    """No mount, process, control group or link of the node is left."""
    root = str(config.root)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines() if root in line]
    assert not mounts, f"mounts left: {mounts}"
    assert not config.root.exists()
    found = cgroups.find("/")
    groups = [found.path(config.cgroup_parent, name) for name in found.mounts]
    assert not [path for path in groups if path.exists()], "control groups left"
    links = [name for _, name in socket.if_nameindex() if name.startswith("pod")]
    assert not links, f"links left: {links}"
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert root.encode() not in process.read_bytes() or process.parent.name == str(os.getpid())
