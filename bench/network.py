"""What the wire costs: attaching a pod, loading and changing service rules, answering DNS questions.

Run as root: `python bench/network.py`. It works in network namespaces of its own and leaves nothing behind.
"""

import asyncio
import os
import random
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import uvloop

from mizzen.agent.network.netlink import Netlink, inside
from mizzen.agent.network.routed import PodAttachment, RoutedNetwork
from mizzen.agent.runtime import namespaces, syscalls
from mizzen.base.clock import SystemClock
from mizzen.dns.forward import Forwarder
from mizzen.dns.server import Server, listen
from mizzen.dns.zone import Zone
from mizzen.net.nftables import Ruleset
from mizzen.proxy.nftables import NftablesPlane
from mizzen.proxy.rules import Backend, Frontend, RuleSet, Target
from mizzen.wire import dns
from mizzen.wire.dns import Record

PODS, SERVICES, ENDPOINTS, QUESTIONS = 50, 1000, 10, 20_000


def main() -> None:
    """Print one line a measurement."""
    with tempfile.TemporaryDirectory() as scratch:
        node = _namespace(Path(scratch) / "node")
        try:
            _report("attach a pod", inside(node, lambda: _attach(Path(scratch))), "ms")
            inside(node, _services)
        finally:
            syscalls.unmount(str(node))
    uvloop.run(_questions())


def _namespace(path: Path) -> Path:
    path.touch()

    def body() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.mount("/proc/thread-self/ns/net", str(path), "", syscalls.MS_BIND)

    namespaces.in_thread(body)
    return path


def _attach(scratch: Path) -> list[float]:
    """Milliseconds for each pod."""
    with Netlink() as net:
        net.set_up(net.need("lo").index)
    network = RoutedNetwork(scratch / "state", IPv4Network("10.9.0.0/24"), IPv4Address("127.0.0.1"))
    taken = []
    for number in range(PODS):
        netns = _namespace(scratch / f"pod{number}")
        taken.append(_timed(lambda number=number, netns=netns: _finish(network, number, netns)))
        syscalls.unmount(str(netns))
    return taken


def _finish(network: RoutedNetwork, number: int, netns: Path) -> None:
    try:
        network.attach(PodAttachment(f"uid{number}", "d", f"pod{number}"), netns).send(None)
    except StopIteration:
        return
    raise RuntimeError("attach waited")


def _services() -> None:
    frontends = {
        Frontend(f"10.96.{n // 250}.{n % 250 + 2}", "tcp", 80): Backend(
            tuple(Target(f"10.9.{n % 250}.{e + 2}", 8080) for e in range(ENDPOINTS)), is_cluster_ip=True
        )
        for n in range(SERVICES)
    }
    plane = NftablesPlane()
    _report(
        f"load {SERVICES} services x {ENDPOINTS} endpoints", [_timed(lambda: plane.apply(RuleSet(frontends)))], "ms"
    )
    changes = []
    for frontend, backend in list(frontends.items())[:100]:
        kept = backend.endpoints[1:]
        changed = RuleSet({**frontends, frontend: Backend((*kept, Target("10.10.0.2", 8080)), is_cluster_ip=True)})
        changes.append(_timed(lambda changed=changed: plane.apply(changed)))
        frontends = dict(changed.frontends)
    _report("change one endpoint", changes, "ms")
    plane.close()
    Ruleset().delete_table("ip", "mizzen_services")
    print(f"{'peak RSS of this process':44} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:9.1f} MB")


async def _questions() -> None:
    zone = Zone("cluster.local")
    names = [f"web{n}.default.svc.cluster.local" for n in range(1000)]
    for n, name in enumerate(names):
        zone.replace(
            ("default", name), {name: (Record(name, dns.A, 5, dns.a_data(f"10.96.{n // 250}.{n % 250 + 1}")),)}
        )
    server = Server(zone, Forwarder((), SystemClock(), random.Random(1)))
    listeners = await listen(server, "127.0.0.1", 0)
    child = os.fork()
    if not child:
        _ask(listeners.port, names)
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    listeners.close()


def _ask(port: int, names: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        requests = [dns.encode_query(n, name, dns.A) for n, name in enumerate(names)]
        began, window = time.perf_counter(), 64
        for number in range(QUESTIONS + window):
            if number < QUESTIONS:
                client.send(requests[number % len(requests)])
            if number >= window:
                client.recv(512)
        rate = QUESTIONS / (time.perf_counter() - began)
    print(f"{'DNS answers over UDP':44} {rate:9.0f} /s", flush=True)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _report(what: str, taken: list[float], unit: str) -> None:
    print(f"{what:44} {statistics.median(taken):9.2f} {unit} (worst {max(taken):.2f})")


if __name__ == "__main__":
    main()
