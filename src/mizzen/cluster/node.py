"""One node in one process: agent, service addresses, cluster DNS and the node's own server, composed.

On a machine with several nodes the process first enters its node's network namespace; its mounts live in a mount
namespace of their own, which the monitors of its containers keep for the next start.
"""

import asyncio
import functools
import gc
import ipaddress
import os
import random
import signal
import socket
import ssl
import time
import traceback
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import uvloop

from mizzen.agent import agent as agents
from mizzen.agent import embedded, machineinfo
from mizzen.agent.access import guarded
from mizzen.agent.config import AgentConfig
from mizzen.agent.cpus import shell as cpus
from mizzen.agent.http import Dial
from mizzen.agent.images.policy import Images
from mizzen.agent.machinery import machinery
from mizzen.agent.network import routes
from mizzen.agent.network.nodes import add_local_address, prepare_node
from mizzen.agent.network.routed import PodNetwork, RoutedNetwork
from mizzen.agent.runtime import cninone, namespaces, syscalls
from mizzen.agent.runtime.base import Runtime, RuntimeFailure
from mizzen.api.views.core import Node
from mizzen.base import log, watchdog
from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.informer import follow
from mizzen.client.resources import NODES
from mizzen.cluster import containerd, nodefiles
from mizzen.cluster.config import ConfigError, RuntimeName
from mizzen.cluster.pki import KeyPair, Pki
from mizzen.cluster.renewal import Shown
from mizzen.cluster.restarts import start_anew
from mizzen.cluster.rootless import outside
from mizzen.cluster.rootless.enter import dial_socket
from mizzen.cluster.supervision import Supervised
from mizzen.dns import shell as dns
from mizzen.dns.forward import machine_resolv_conf
from mizzen.machinery.errors import ApiError
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.server import Listener
from mizzen.net.tls import client_context, server_context
from mizzen.net.transports import allow_many_files
from mizzen.proxy import shell as proxy

_MACHINE_NET: Final = "MIZZEN_MACHINE_NET"
PURGE_GRACE: Final = 10.0
"""How many seconds containers have to end by themselves when a cluster goes down."""
_CNI: Final = cninone.Places(Path("/etc/cni/net.d"), Path("/opt/cni/bin"), Path("/run/mizzen/cni"))
"""Where CRI runtimes look for a pod network by default; the one found there is used."""
_log = log.get("node")


class Way(Protocol):
    """How much of a node is ended."""

    async def __call__(
        self, config: AgentConfig, network: PodNetwork | None, *, grace: float, runtime: Runtime
    ) -> None:
        """End the containers, and remove what shall not stay."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run one node; empty strings and None are found out."""

    url: str
    name: str
    token: str
    ca: Path | None
    certificate: Path | None
    key: Path | None
    data_dir: Path
    images_dir: Path
    runtime: RuntimeName
    cri_socket: str
    address: str
    netns: Path | None
    pod_cidr: str
    cluster_dns: str
    port: int
    settings: Path | None = None
    """A KubeletConfiguration with what the options do not say."""
    more_settings: Path | None = None
    """A directory of `*.conf` files that are merged over it."""
    credential_config: Path | None = None
    credential_programs: Path | None = None
    """A CredentialProviderConfig, or a directory of such, and where the programs that it names are."""


def run(options: Options) -> None:
    """Run the node until SIGTERM or SIGINT; its containers keep running. Should a part crash, it starts anew."""
    machine_net = _machine_network()
    allow_many_files()
    _enter(options)
    began, supervised = time.monotonic(), Supervised()
    daemon = _own_containerd(options)
    if daemon is not None:
        containerd.start(daemon, machine_net)
    tending = containerd.supervise(daemon, machine_net) if daemon is not None else None
    try:
        uvloop.run(_run(options, _dialer(machine_net, options), tending, supervised))
    except asyncio.CancelledError:
        supervised.leave()
        return
    except ConfigError:
        raise
    except BaseException as error:
        trace = "".join(traceback.format_exception(error)[-12:])
        _log.error("node crashed", node=options.name, error=repr(error), trace=trace)
        start_anew(time.monotonic() - began)


def _machine_network() -> int:
    """The machine's own network namespace, as an open file that a process started anew inherits."""
    known = os.environ.get(_MACHINE_NET)
    fd = int(known) if known else os.open("/proc/self/ns/net", os.O_RDONLY)
    os.set_inheritable(fd, True)
    os.environ[_MACHINE_NET] = str(fd)
    return fd


def purge(options: Options) -> None:
    """End every container of the node and remove what it has on the machine; volumes of claims stay."""
    _end(options, embedded.purge)


def halt(options: Options) -> None:
    """End every container of the node; what pods have written stays."""
    _end(options, embedded.halt)


def _end(options: Options, way: Way) -> None:
    machine_net = _machine_network()
    if options.netns is not None and not options.netns.exists():
        syscalls.unshare(syscalls.CLONE_NEWNET)  # the node's network is gone: an empty one stands for it
        options = replace(options, netns=None)
    _enter(options)
    daemon = _own_containerd(options)
    if daemon is not None:
        containerd.start(daemon, machine_net)
    try:
        uvloop.run(_ended(options, way))
    finally:
        if daemon is not None:
            containerd.stop(daemon)
    if options.runtime == "cri" and options.cri_socket:
        cninone.release(_CNI, options.data_dir)


def _own_containerd(options: Options) -> containerd.Daemon | None:
    """The containerd that is this node's alone; None with another runtime, or one that the user names."""
    if options.runtime != "cri" or options.cri_socket:
        return None
    return containerd.beside(options.data_dir, options.netns)


def _enter(options: Options) -> None:
    """Move into the node's namespaces; must come before any thread."""
    if os.geteuid() != 0:
        raise ConfigError("real containers need root; try: sudo mizzen agent …")
    options.data_dir.mkdir(parents=True, exist_ok=True)
    if options.netns is not None:
        fd = os.open(options.netns, os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(fd, syscalls.CLONE_NEWNET)
        os.close(fd)
    if options.runtime != "cri":  # a runtime of its own must see what the agent mounts for it
        namespaces.enter_mounts(options.data_dir)
    prepare_node()
    # The cluster's DNS answers on every node, so its address is local everywhere and nothing needs translating.
    add_local_address(options.cluster_dns)


async def _run(
    options: Options, dial: Dial | None, tending: Coroutine[None, None, None] | None, supervised: Supervised
) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().set_exception_handler(log.unhandled)
    supervised.listen(task.cancel)
    clock, rng = SystemClock(), random.Random()
    address = options.address or _address_towards(options.url)
    shown = Shown()
    client = Client(SocketTransport(_endpoint(options, shown)), user_agent="mizzen-agent", field_manager="kubelet")
    config = _checked(_agent_config(options, address))
    runtime, images = await _runtime(options, config, dial)
    cidr = options.pod_cidr or await _assigned_cidr(client, options.name)
    network = RoutedNetwork(options.data_dir / "network", ipaddress.IPv4Network(cidr), ipaddress.IPv4Address(address))
    cache = Cache()
    listener: Listener | None = None

    async def serve(agent: agents.Agent) -> None:
        nonlocal listener
        listener = Listener(guarded(agent.handle, client, options.name))
        await listener.listen(None, options.port, _serving_context(options, shown))

    async def shut_down(agent: agents.Agent) -> None:
        _log.info("shutting down", node=options.name)
        await agent.shut_down()
        task.cancel()

    def ready(agent: agents.Agent) -> None:
        group.create_task(serve(agent))
        # The machine is about to go off: pods end in order first.
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGPWR, lambda: group.create_task(shut_down(agent), name="shutdown")
        )
        _log.info("ready", node=options.name, address=address)
        gc.collect()
        gc.freeze()

    async with asyncio.TaskGroup() as group:
        working = agents.run(config, client, network=network, runtime=runtime, images=images, clock=clock, ready=ready)
        group.create_task(working, name="agent")
        group.create_task(proxy.run(cache, options.name, clock, unserved=[options.cluster_dns]), name="proxy")
        group.create_task(dns.run(cache, clock, address=options.cluster_dns), name="dns")
        group.create_task(routes.run(cache, options.name), name="routes")
        group.create_task(follow(client, cache, clock, rng), name="informers")
        group.create_task(shown.follow(clock), name="renewal")
        group.create_task(watchdog.feed(clock), name="watchdog")
        if tending is not None:
            group.create_task(tending, name="containerd")


async def _ended(options: Options, way: Way) -> None:
    network = None
    if options.pod_cidr:  # else its links go with its namespaces
        own = ipaddress.IPv4Address(options.address)
        network = RoutedNetwork(options.data_dir / "network", ipaddress.IPv4Network(options.pod_cidr), own)
    config = _agent_config(options, options.address or "127.0.0.1")
    runtime, _ = await _runtime(options, config, None)
    await way(config, network, grace=PURGE_GRACE, runtime=runtime)


def _agent_config(options: Options, address: str) -> AgentConfig:
    daemon = _own_containerd(options)
    config = AgentConfig(
        node_name=options.name,
        root=options.data_dir,
        images_root=options.images_dir,
        node_ips=(address,),
        runtime=options.runtime,
        cri_socket=daemon.socket if daemon is not None else options.cri_socket,
        port=options.port,
        pod_cidrs=(options.pod_cidr,) if options.pod_cidr else (),
        cluster_dns=(options.cluster_dns,),
        host_resolv_conf=machine_resolv_conf(),
    )
    if options.credential_config is not None:
        config = nodefiles.with_providers(config, options.credential_config, options.credential_programs)
    return _as_configured(config, options)


def _checked(config: AgentConfig) -> AgentConfig:
    """A configuration by which the node can begin. Raises ConfigError."""
    try:
        cpus.check(config)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return config


def _as_configured(config: AgentConfig, options: Options) -> AgentConfig:
    """What files say beyond the options. Raises ConfigError."""
    config, unknown = nodefiles.with_settings(config, options.settings, options.more_settings)
    if config.fails_on_swap and machineinfo.swap()[0]:
        raise ConfigError("failSwapOn: this machine has swap space in use")
    if unknown:
        _log.warning("settings mean nothing here", settings=unknown)
    return config


def _dialer(namespace: int, options: Options) -> Dial | None:
    """Opens connections in the machine's own network namespace, where its registries and resolvers are reached."""
    if (path := dial_socket()) is not None:
        return outside.dialer(path)
    if options.netns is None:
        return None
    threads = ThreadPoolExecutor(4, "dial", initializer=syscalls.setns, initargs=(namespace, syscalls.CLONE_NEWNET))

    def connect(host: str, port: int) -> socket.socket:
        connected = socket.create_connection((host, port), 30)
        connected.setblocking(False)
        return connected

    async def dial(host: str, port: int) -> socket.socket:
        return await asyncio.get_running_loop().run_in_executor(threads, connect, host, port)

    return dial


async def _runtime(options: Options, config: AgentConfig, dial: Dial | None) -> tuple[Runtime, Images]:
    """What runs the containers and has their images. Raises ConfigError."""
    try:
        if options.runtime == "cri" and options.cri_socket:
            cninone.claim(_CNI, options.data_dir)
        return await machinery(config, dial)
    except RuntimeFailure as error:
        raise ConfigError(error.message) from error


async def _assigned_cidr(client: Client, name: str) -> str:
    """The range that the cluster gave the node; waits until it has."""
    while True:
        try:
            node = await client.get(NODES, name, view=Node)
            if node.spec.podCIDR:
                return node.spec.podCIDR
        except (ApiError, ConnectionError) as error:
            _log.info("waiting for the node's address range", node=name, error=str(error))
        await asyncio.sleep(1.0)


def _endpoint(options: Options, shown: Shown) -> Endpoint:
    try:
        tls = client_context(options.ca or _asked_ca(options), options.certificate, options.key)
        if options.certificate is not None and options.key is not None:
            shown.keep(tls, functools.partial(KeyPair, options.certificate, options.key))
        return Endpoint.parse(options.url, tls, options.token)
    except (ValueError, ssl.SSLError, FileNotFoundError) as error:
        raise ConfigError(f"cannot reach {options.url}: {error}") from error


def _asked_ca(options: Options) -> Path:
    """The CA that the server itself shows, kept from the first contact on; safer is to hand it over with --ca."""
    path = options.data_dir / "ca.crt"
    if not path.exists():
        endpoint = Endpoint.parse(options.url)
        _log.warning("trusting the server's CA at first sight; hand it over with --ca", server=options.url)
        path.write_text(ssl.get_server_certificate((endpoint.host, endpoint.port)))
    return path


def _serving_context(options: Options, shown: Shown) -> ssl.SSLContext:
    """The node's certificate, or one of an authority of its own."""

    def pair() -> KeyPair:
        if options.certificate is not None and options.key is not None:
            return KeyPair(options.certificate, options.key)
        return Pki(options.data_dir / "pki", SystemClock().now()).node(options.name)

    found = pair()
    return shown.keep(server_context(found.certificate, found.key, options.ca), pair)


def _address_towards(url: str) -> str:
    endpoint = Endpoint.parse(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((endpoint.host, endpoint.port))
        return str(probe.getsockname()[0])
