"""Two nodes and their pods in network namespaces of their own, below a namespace that plays the machine."""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import TypeVar

import pytest

from mizzen.agent.network import nodes, routes
from mizzen.agent.network.netlink import Netlink, inside
from mizzen.agent.network.nodes import NodeNetwork
from mizzen.agent.network.routed import PodAttachment, RoutedNetwork
from mizzen.agent.runtime import namespaces, syscalls
from mizzen.net.nftables import Ruleset

T = TypeVar("T")
GATEWAY = IPv4Interface("172.31.7.1/24")
PODS = IPv4Network("10.77.0.0/16")
_serial = itertools.count()


@dataclass
class Pod:
    """A namespace that stands for a pod; its servers are threads of the test with sockets made inside it."""

    name: str
    netns: Path
    ip: str = ""
    sockets: list[socket.socket] = field(default_factory=list)

    def run(self, work: Callable[[], T]) -> T:
        return inside(self.netns, work)

    def serve_tcp(self, port: int) -> None:
        listener = self.run(lambda: _bound(socket.SOCK_STREAM, port))
        self.sockets.append(listener)
        threading.Thread(target=_answer_tcp, args=(listener, self.name), daemon=True).start()

    def serve_udp(self, port: int) -> None:
        receiver = self.run(lambda: _bound(socket.SOCK_DGRAM, port))
        self.sockets.append(receiver)
        threading.Thread(target=_answer_udp, args=(receiver, self.name), daemon=True).start()

    def get(self, ip: str, port: int) -> tuple[str, str]:
        return get(self.netns, ip, port)

    def close(self) -> None:
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def get(netns: Path, ip: str, port: int) -> tuple[str, str]:
    """(who answered, whom it saw) of one TCP connection made in a namespace."""

    def work() -> tuple[str, str]:
        with socket.create_connection((ip, port), timeout=2) as connection:
            name, _, peer = connection.recv(200).decode().partition(" ")
            return name, peer

    return inside(netns, work)


def _bound(kind: int, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        made.listen(128)
    return made


def _answer_tcp(listener: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, peer = listener.accept()
            with connection:
                connection.sendall(f"{name} {peer[0]}".encode())


def _answer_udp(receiver: socket.socket, name: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            _, peer = receiver.recvfrom(2000)
            if peer is None:  # shut down
                return
            receiver.sendto(name.encode(), peer)


@dataclass
class Node:
    """A node's namespace with the pod network that the agent would run in it."""

    name: str
    ip: str
    netns: Path
    pod_cidr: IPv4Network
    network: RoutedNetwork

    def run(self, work: Callable[[], T]) -> T:
        return inside(self.netns, work)


@dataclass
class World:
    """The machine, its nodes and their pods."""

    cluster: str
    machine: Path
    scratch: Path
    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)

    def on_machine(self, work: Callable[[], T]) -> T:
        return inside(self.machine, work)

    def add_node(self, number: int) -> Node:
        network = NodeNetwork(
            f"n{number}", IPv4Interface(f"172.31.7.{10 + number}/24"), IPv4Network(f"10.77.{number}.0/24")
        )
        path = self.on_machine(lambda: nodes.create_node_namespace(self.cluster, network, GATEWAY.ip))
        state = self.scratch / network.name
        pod_network = inside(path, lambda: RoutedNetwork(state, network.pod_cidr, network.address.ip))
        node = Node(network.name, str(network.address.ip), path, network.pod_cidr, pod_network)
        self.nodes.append(node)
        for one in self.nodes:
            wanted = {other.pod_cidr: IPv4Interface(other.ip).ip for other in self.nodes if other is not one}
            one.run(lambda wanted=wanted: routes.apply(wanted))
        return node

    def namespace(self, name: str) -> Pod:
        """A namespace that is not attached to anything yet."""
        path = self.scratch / "netns" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

        def body() -> None:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            syscalls.mount("/proc/thread-self/ns/net", str(path), "", syscalls.MS_BIND)

        namespaces.in_thread(body)
        pod = Pod(name, path)
        self.pods.append(pod)
        return pod

    def add_pod(self, node: Node, name: str, **fields: object) -> Pod:
        pod = self.namespace(name)
        pod.ip = self.attach(node, pod, **fields)
        return pod

    def attach(self, node: Node, pod: Pod, **fields: object) -> str:
        attachment = PodAttachment(pod.name, "default", pod.name, **fields)  # type: ignore[arg-type]
        return node.run(lambda: _finished(node.network.attach(attachment, pod.netns)))[0]

    def detach(self, node: Node, pod: Pod) -> None:
        node.run(lambda: _finished(node.network.detach(pod.name)))


def _finished(work):  # type: ignore[no-untyped-def]
    """The outcome of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def _left_over(cluster: str) -> set[str]:
    """Links, tables and namespaces of a cluster on the real machine, where other clusters may be at work."""
    with Netlink() as net:
        seen = {link.name for link in net.links() if link.name.startswith(nodes.bridge_name(cluster))}
    ruleset = Ruleset()
    seen |= {name for _, name in ruleset.tables() if name == nodes.table_name(cluster)}
    ruleset.close()
    return seen | {path.name for path in nodes.NAMESPACES.glob(f"mizzen-{cluster}-*")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A machine with a bridge; afterwards nothing of it is left."""
    cluster = f"test{os.getpid()}x{next(_serial)}-a"
    made = World(cluster, tmp_path / "machine", tmp_path)
    made.machine = made.namespace("machine").netns
    try:
        with_loopback(made.machine)
        made.on_machine(lambda: nodes.create_bridge(cluster, GATEWAY))
        yield made
    finally:
        for pod in made.pods:
            pod.close()
        made.on_machine(lambda: nodes.delete_cluster(cluster))
        for pod in made.pods:
            syscalls.unmount(str(pod.netns))
    assert _left_over(cluster) == set()


def with_loopback(netns: Path) -> None:
    with Netlink(netns) as net:
        net.set_up(net.need("lo").index)


@pytest.fixture
def two_nodes(world: World) -> World:
    world.add_node(1)
    world.add_node(2)
    return world
