"""Pods from `create` to Running and Ready on one node with real containers, and back: `python bench/pods.py`.

Needs root, crun, conmon and a static busybox (`--busybox PATH`). Everything happens in namespaces of its own.
"""

import argparse
import asyncio
import fcntl
import io
import os
import resource
import socket
import statistics
import struct
import tarfile
import tempfile
import time
from collections.abc import Iterable
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import orjson
import uvloop

from mizzen.agent import agent, embedded
from mizzen.agent.config import AgentConfig
from mizzen.agent.images.archive import import_path
from mizzen.agent.network.netlink import Netlink
from mizzen.agent.network.routed import RoutedNetwork
from mizzen.agent.runtime import namespaces, syscalls
from mizzen.base import log
from mizzen.base.clock import SystemClock
from mizzen.client.client import Client
from mizzen.client.inprocess import InProcessTransport
from mizzen.client.resources import NAMESPACES, PODS
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

NODE_IP = "10.209.0.1"
TARGET_ONE, TARGET_THIRTY, TARGET_HUNDRED = 0.120, 1.5, 5.0


def archive(busybox: Path, target: Path) -> None:
    """A docker-archive with nothing but busybox."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        link = tarfile.TarInfo("bin/sleep")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    diff_id = "sha256:" + sha256(layer.getvalue()).hexdigest()
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = [{"Config": "config.json", "RepoTags": ["bench/busybox:1"], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer.getvalue(),
        "config.json": orjson.dumps(config),
        "manifest.json": orjson.dumps(manifest),
    }
    with tarfile.open(target, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def pod(name: str) -> dict[str, Any]:
    container = {"name": "c", "image": "bench/busybox:1", "imagePullPolicy": "Never", "command": ["/bin/sleep", "1000"]}
    spec = {"nodeName": "bench", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def until(client: Client, names: Iterable[str], began: float, *, gone: bool) -> list[float]:
    """Seconds after which each pod was Ready, or gone."""
    left, took = set(names), []
    async for event in client.watch(PODS, "default", view=dict, initial=True):
        seen = event.object
        if seen is None or seen["metadata"]["name"] not in left:
            continue
        conditions = (seen.get("status") or {}).get("conditions") or ()
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        if (event.type == "DELETED") if gone else ready:
            left.discard(seen["metadata"]["name"])
            took.append(time.perf_counter() - began)
            if not left:
                break
    return took


async def burst(client: Client, names: list[str]) -> list[float]:
    """Create pods at once; seconds to Ready for each."""
    began = time.perf_counter()
    waiting = asyncio.create_task(until(client, names, began, gone=False))
    for name in names:
        await client.create(PODS, pod(name), "default")
    return await waiting


async def clear(client: Client, names: list[str]) -> float:
    """Delete pods; seconds until the last one is gone."""
    began = time.perf_counter()
    waiting = asyncio.create_task(until(client, names, began, gone=True))
    await asyncio.sleep(0)
    for name in names:
        await client.delete(PODS, name, "default")
    return (await waiting)[-1]


def rss() -> float:
    """Megabytes this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


async def measure(root: Path, busybox: Path) -> None:
    log.set_level("error")
    clock = SystemClock()
    server = Server(MemoryStore(), clock)
    await server.start()

    def client(user: str) -> Client:
        return Client(InProcessTransport(server.handle, Identity(user, groups=(MASTERS,))), field_manager=user)

    user = client("bench")
    for name in ("default", "kube-node-lease"):
        await user.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    before = rss()
    config = AgentConfig("bench", root / "node", root / "images", (NODE_IP,))
    images = embedded.images_of(config)
    archive(busybox, root / "busybox.tar")
    await import_path(images.store, root / "busybox.tar")
    (root / "network").mkdir()
    network = RoutedNetwork(root / "network", IPv4Network("10.211.0.0/24"), IPv4Address(NODE_IP))
    runtime = embedded.runtime_of(config, images)
    up = asyncio.Event()
    task = asyncio.create_task(
        agent.run(
            config, client("kubelet"), network=network, runtime=runtime, images=images, clock=clock,
            ready=lambda _: up.set(),
        )
    )  # fmt: skip
    await up.wait()
    empty = rss()
    print(f"agent in this process, no pods: {empty - before:.1f} MB more than server and store")
    singles = [(await burst(user, [f"one-{number}"]))[0] for number in range(20)]
    print(
        f"one pod, create to Ready: p50 {statistics.median(singles) * 1e3:.0f} ms, max {max(singles) * 1e3:.0f} ms"
        f"  (target {TARGET_ONE * 1e3:.0f}: ×{statistics.median(singles) / TARGET_ONE:.2f})"
    )
    await clear(user, [f"one-{number}" for number in range(20)])
    for count, target in ((30, TARGET_THIRTY), (100, TARGET_HUNDRED)):
        names = [f"many-{count}-{number}" for number in range(count)]
        took = await burst(user, names)
        print(f"{count} at once, all Ready: {took[-1]:.2f} s  (target {target}: ×{took[-1] / target:.2f})")
        if count == 100:
            print(f"agent with {count} pods: {(rss() - empty) / count:.2f} MB a pod, server's share included")
            used = time.process_time()
            await asyncio.sleep(5)
            print(f"idle with {count} pods: {(time.process_time() - used) / 5:.2%} of a core, server included")
        print(f"{count} deleted, all gone: {await clear(user, names):.2f} s")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await embedded.purge(config, network)
    await server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busybox", type=Path, default=Path("/bin/busybox"), help="a static busybox")
    options = parser.parse_args()
    if os.getuid() != 0 or not options.busybox.exists():
        parser.error("run as root, with a static busybox")
    namespaces.enter_mounts(Path("/nonexistent"))
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14s", b"lo", 1, b""))
    with Netlink() as net:
        net.add_address(net.need("lo").index, IPv4Interface(f"{NODE_IP}/32"))
    with tempfile.TemporaryDirectory() as scratch:
        uvloop.run(measure(Path(scratch), options.busybox))


if __name__ == "__main__":
    main()
