"""The control plane in one process: store, API server, controllers, scheduler and ingress, composed."""

import asyncio
import errno
import functools
import gc
import random
import socket
import ssl
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop

from mizzen.base import log, memory
from mizzen.base.clock import Clock, SystemClock
from mizzen.base.pulse import Pulse
from mizzen.client import kubeconfig
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.informer import follow
from mizzen.client.inprocess import InProcessTransport
from mizzen.cluster import addons, simulation
from mizzen.cluster.bootstrap import reconcile as bootstrap
from mizzen.cluster.bootstrap.clusterroles import CLUSTER_ROLES
from mizzen.cluster.bootstrap.objects import Facts
from mizzen.cluster.config import ClusterConfig, ConfigError
from mizzen.cluster.pages import pages
from mizzen.cluster.pki import KeyPair, Pki
from mizzen.cluster.renewal import Shown
from mizzen.cluster.restarts import start_anew
from mizzen.cluster.signing import Authority
from mizzen.cluster.supervision import Supervised
from mizzen.machinery.errors import ApiError
from mizzen.machinery.identity import AUTHENTICATED, MASTERS, Identity
from mizzen.net.server import Listener
from mizzen.net.tls import server_context, unverified_context
from mizzen.net.transports import allow_many_files, offered_protocols
from mizzen.server import encryption
from mizzen.server.aggregation.aggregator import Aggregator
from mizzen.server.aggregation.remote import FrontProxy
from mizzen.server.config import Config
from mizzen.server.endpoints import resolver
from mizzen.server.metricsapi.kinds import NODE_METRICS, POD_METRICS
from mizzen.server.metricsapi.scraper import Scraper
from mizzen.server.metricsapi.serving import MetricsApi
from mizzen.server.presence import Presence
from mizzen.server.sealedstore import SealedStore
from mizzen.server.seams import Reader, Writer
from mizzen.server.security import Security, Settings
from mizzen.server.served import Served
from mizzen.server.server import Server
from mizzen.server.storage import is_full
from mizzen.server.subresources.nodes import Nodes
from mizzen.store.base import Damaged, Store, StoreFull, Unusable
from mizzen.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from mizzen.ingress.shell import Settings as IngressSettings
    from mizzen.scheduler.config import Configuration
    from mizzen.server.authn.configuration import ConfigurationFile

_COLLECT_AFTER: Final = (20_000, 20, 50)
"""The collector's thresholds: requests leave hardly any cycles behind, so that it may come seldom."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
"""On a full disk the server starts all the same: what is stored can be read, and room be made."""
SWITCH_SECONDS: Final = 0.0005
"""How long a busy event loop may keep the interpreter from the thread that commits: every write waits for that."""
_SETTLED_SECONDS: Final = 1.0
"""How long after it is ready the server takes stock: the first clients come before."""
_PLUGIN_SECONDS: Final = 30.0
"""How long a start waits for key management plugins to answer."""
_PLUGIN_PAUSE: Final = 0.5
ADMIN: Final = "kubernetes-admin"
_BESIDE: Final = ("scheduler", "controller-manager")
"""What runs in the server's own process, which starts anew when one of them crashes."""
_log = log.get("control")


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the control plane; `bind` are the addresses to listen on, port 0 any free port."""

    cluster: ClusterConfig
    port: int
    bind: tuple[str, ...]
    token_file: Path | None = None
    audit_policy: Path | None = None
    authentication: Path | None = None
    """An AuthenticationConfiguration; None: `authentication.yaml` in the data directory, if it is there."""
    encryption: Path | None = None
    """An EncryptionConfiguration; None: `encryption.yaml` in the data directory, if it is there."""
    controllers: bool = True
    scheduler: "Configuration | None" = None
    simulated: simulation.Settings | None = None
    """The nodes to simulate; None: as many as the cluster has, when its runtime is `simulated`."""

    def authentication_file(self) -> Path | None:
        """The AuthenticationConfiguration that is in force, if there is one."""
        return self.authentication or self._present("authentication.yaml")

    def encryption_file(self) -> Path | None:
        """The EncryptionConfiguration that is in force, if there is one."""
        return self.encryption or self._present("encryption.yaml")

    def _present(self, name: str) -> Path | None:
        """A file of the data directory, if it is there."""
        path = self.cluster.data_dir / name
        return path if path.exists() else None


def serve(options: Options) -> None:
    """Run the control plane until SIGTERM or SIGINT; should a part of it crash, it starts anew with a clean slate."""
    began = time.monotonic()
    sys.setswitchinterval(SWITCH_SECONDS)
    allow_many_files()
    supervised = Supervised()
    try:
        crashed = uvloop.run(_serve(options, supervised))
    except Damaged as error:
        raise ConfigError(f"{error}; a backup is put back by: mizzen restore FILE") from error
    except (Unusable, StoreFull, encryption.Unreadable) as error:
        raise ConfigError(str(error)) from error
    supervised.leave()
    if crashed:
        start_anew(time.monotonic() - began)


async def _serve(options: Options, supervised: Supervised) -> bool:
    """Serve until a signal comes or a component crashes; tells whether to start anew."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log.unhandled)
    supervised.listen(stopped.set)
    plane = ControlPlane(options, SystemClock(), random.Random())
    try:
        port = await plane.start()
        _log.info("ready", port=port)
        loop.call_later(_SETTLED_SECONDS, settle)
        plane.on_crash(stopped.set)
        await stopped.wait()
    finally:
        await plane.close()
    return plane.crashed and not supervised.signal


def _flags(options: Options, port: int) -> dict[str, str | Path | None]:
    return {
        "audit-policy-file": options.audit_policy,
        "authentication-config": options.authentication_file(),
        "authorization-mode": "Node,RBAC",
        "bind-address": ",".join(options.bind),
        "encryption-provider-config": options.encryption_file(),
        "secure-port": str(port),
        "service-cluster-ip-range": options.cluster.service_cidr,
        "token-auth-file": options.token_file,
    }


def settle() -> None:
    """Keep the garbage collector from what lives until the end; until now it may have been off."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    gc.enable()


class ControlPlane:
    """The parts of one control plane; `start`, then `close`."""

    def __init__(self, options: Options, clock: Clock, rng: random.Random, store: Store | None = None) -> None:
        self._options = options
        self._clock = clock
        self._rng = rng
        cluster = options.cluster
        self._pki = Pki(cluster.data_dir / "pki", clock.now())
        self._shown = Shown()
        self._store = store if store is not None else SqliteStore(cluster.data_dir / "store.db")
        encryption = _encryption(options, clock)
        self._plugins = encryption.plugins
        self._sealed = SealedStore(self._store, encryption)
        self.server = Server(self._sealed, clock, self._compose)
        for kind in (NODE_METRICS, POD_METRICS):
            self.server.add_kind(Served(kind, builtin=False))
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._crash: Callable[[], None] = lambda: None
        self.crashed = False

    async def start(self) -> int:
        """Serve, and run everything else beside it; answers the port. Raises OSError when it is taken."""
        await self._reach_plugins()
        if resealed := await self._sealed.reseal():
            _log.info("encrypted again with the first key", values=resealed)
        await self.server.start()
        cluster, options = self._options.cluster, self._options
        names = tuple(one for one in options.bind if one != "0.0.0.0")
        tls = self._serving_tls(lambda: self._pki.serving(names, cluster.kubernetes_address))
        ca = self._pki.ca()
        port = options.port
        for address in options.bind:
            listener = Listener(self.server.dispatch)
            port = await listener.bind(address, port, tls)
            self._listeners.append(listener)
        await self._bootstrap(port)
        for path in self._security.document_paths:
            self.server.nonresource.extra[path] = self._security.document
        for component in _BESIDE:
            self.server.components.checks[component] = lambda: "" if options.controllers else "it does not run here"
        self.server.nonresource.extra |= pages(self._clock, _flags(options, port))
        for listener in self._listeners:
            await listener.accept()
        self._write_credentials(port)
        self._supervise("renewal", self._shown.follow(self._clock, lambda: self._renew(port)))
        self._supervise("security", self._security.follow(ca.certificate.read_text()))
        uid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        presence = Presence(self.server.reader, self.server.writer, self._clock, socket.gethostname(), uid)
        self._supervise("presence", presence.run())
        self._supervise("metrics", self._scraper.run())
        self._supervise("aggregation", self._aggregator.run())
        for plugin in self._plugins:
            self._supervise(f"kms {plugin.name}", plugin.run())
        self._supervise("memory", memory.tend(self._clock))
        if options.controllers:
            self._run_components(ca.certificate.read_text())
        return port

    async def close(self) -> None:
        """Stop everything; what was acknowledged is on disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            await listener.close()
        await self.server.close()
        await self._store.close()
        for plugin in self._plugins:
            await plugin.close()

    async def _reach_plugins(self) -> None:
        """Wait for the key management plugins, without which nothing can be read. Raises ConfigError."""
        began = self._clock.monotonic()
        for plugin in self._plugins:
            await plugin.refresh()
            while plugin.problem:
                if self._clock.monotonic() - began > _PLUGIN_SECONDS:
                    raise ConfigError(f"key management plugin {plugin.name!r}: {plugin.problem}")
                await self._clock.sleep(_PLUGIN_PAUSE)
                await plugin.refresh()
        if self._plugins:
            checks = self.server.nonresource.health.checks
            checks["kms-providers"] = lambda: next((one.problem for one in self._plugins if one.problem), "")

    def _compose(self, reader: Reader, writer: Writer) -> Config:
        """The stages of the server: who may do what, what is admissible, and the way to the nodes."""
        cluster, options = self._options.cluster, self._options
        settings = Settings(
            signing_key=self._pki.service_account_key(),
            token_file=options.token_file,
            authentication=_authentication(options),
            front_proxy_ca=self._pki.front_proxy_ca().certificate,
            service_ranges=(cluster.service_cidr,),
            audit_policy=options.audit_policy,
            audit_log=cluster.data_dir / "logs" / "audit.log",
            node_rules=next(role.rules for role in CLUSTER_ROLES if role.name == "system:node"),
        )
        self._security = Security(settings, reader, writer, self._clock, self._rng)
        config = self._security.config()
        nodes = Nodes(reader, self._kubelet_tls, self._rng)
        nodes.register(config.handlers)
        self._scraper = Scraper(reader, nodes.ask, self._clock)
        MetricsApi(reader, self._scraper, self._clock).register(config.handlers)
        self._aggregator = Aggregator(reader, writer, self._clock, resolver(reader), self._front_proxy)
        config.remotes = self._aggregator
        return config

    def _serving_tls(self, serving: Callable[[], KeyPair]) -> ssl.SSLContext:
        pair, ca, front = serving(), self._pki.ca(), self._pki.front_proxy_ca()
        cas = ca.certificate, front.certificate
        context = server_context(pair.certificate, pair.key, *cas, protocols=offered_protocols())
        return self._shown.keep(context, serving)

    def _renew(self, port: int) -> None:
        """Issue again what expires before long, for this process and for the nodes of this machine."""
        self._pki.now = self._clock.now()
        self._write_credentials(port)

    def _front_proxy(self) -> FrontProxy:
        pair = self._pki.front_proxy_client()
        return FrontProxy(pair.certificate, pair.key)

    @functools.cache  # noqa: B019 - one control plane a process
    def _kubelet_tls(self) -> ssl.SSLContext:
        """What the server shows to nodes."""

        def pair() -> KeyPair:
            return self._pki.client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", (MASTERS,))

        context = unverified_context()
        context.load_cert_chain(pair().certificate, pair().key)
        return self._shown.keep(context, pair)

    def client(self, user: str, manager: str) -> Client:
        """A client for a component in this process, allowed everything."""
        identity = Identity(user, groups=(MASTERS, AUTHENTICATED))
        return Client(InProcessTransport(self.server.handle, identity), user_agent=manager, field_manager=manager)

    async def _bootstrap(self, port: int) -> None:
        cluster = self._options.cluster
        reachable = tuple(one for one in self._options.bind if not one.startswith("127.") and one != "0.0.0.0")
        facts = Facts(
            service_range=cluster.service_cidr,
            service_ip=cluster.kubernetes_address,
            addresses=reachable or (_own_address(),),
            port=port,
            client_ca=self._pki.ca().certificate.read_text(),
            front_proxy_ca=self._pki.front_proxy_ca().certificate.read_text(),
        )
        try:
            await bootstrap.reconcile(facts, self.server.reader, self.server.writer)
        except ApiError as error:
            if not is_full(error):
                raise
            _log.error("the cluster's own objects are not up to date", error=str(error))

    def _write_credentials(self, port: int) -> None:
        """The administrator's kubeconfig, and the certificates of the nodes of this machine."""
        try:
            self._issue_credentials(port)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _log.error("credentials are not up to date", error=str(error))

    def _issue_credentials(self, port: int) -> None:
        cluster = self._options.cluster
        admin = self._pki.person("admin", ADMIN, (MASTERS,))
        for number in range(1, cluster.nodes + 1):
            self._pki.node(cluster.node_name(number), (cluster.node_address(number),))
        entry = kubeconfig.Entry(
            name=cluster.name,
            server=f"https://127.0.0.1:{port}",
            ca=self._pki.ca().certificate.read_text(),
            certificate=admin.certificate.read_text(),
            key=admin.key.read_text(),
        )
        kubeconfig.write(cluster.data_dir / "admin.kubeconfig", entry)

    def _run_components(self, ca: str) -> None:
        # Lazily: clients are served before the controllers and the scheduler are read from the disk.
        from mizzen.agent.network import routes
        from mizzen.cluster import networks
        from mizzen.controllers.all import controllers
        from mizzen.controllers.config import Config as ControllersConfig
        from mizzen.ingress import shell as ingress
        from mizzen.reconcile.shell import run_controllers
        from mizzen.scheduler import shell as scheduler

        cache = Cache()
        authority = Authority(self._pki.ca(), self._clock.now)
        cluster = self._options.cluster
        pulse = Pulse(self._clock)
        settings = ControllersConfig(
            awake=pulse.awake,
            root_ca=ca,
            cluster_cidrs=(cluster.pod_cidr,),
            sign=authority.sign,
            local_path=str(cluster.data_dir / "volumes"),
            load_balancer_pool=(cluster.load_balancer_pool,) if cluster.load_balancer_pool else (),
        )
        manager = self.client("system:kube-controller-manager", "kube-controller-manager")
        scheduling = self.client("system:kube-scheduler", "kube-scheduler")
        working = controllers(settings)
        metrics = self.server.metrics.others
        running = run_controllers(manager, cache, working, self._clock, self._rng, metrics=metrics, jumped=pulse.jumped)
        self._supervise("pulse", pulse.run())
        self._supervise("controllers", running)
        chosen = self._options.scheduler
        self._supervise("scheduler", scheduler.run(scheduling, cache, self._clock, self._rng, chosen, metrics))
        simulated = self._simulated()
        if simulated is not None:
            self._supervise("simulation", self._simulate(cache, simulated))
        if self._options.cluster.nodes:
            self._supervise(
                "ingress", ingress.run(cache, self._ingress_client(), self._clock, self._ingress_settings())
            )
        if cluster.load_balancer_pool and cluster.nodes and cluster.runtime != "simulated":
            self._supervise("load balancers", routes.lead(cache, functools.partial(networks.lead_through, cluster)))
        self._supervise("addons", addons.run(manager, cache, self._clock, self._options.cluster.dns_address))
        self._supervise("informers", follow(manager, cache, self._clock, self._rng))

    def _simulated(self) -> simulation.Settings | None:
        cluster = self._options.cluster
        if self._options.simulated is not None or cluster.runtime != "simulated" or not cluster.nodes:
            return self._options.simulated
        return simulation.Settings(tuple(cluster.node_name(number) for number in range(1, cluster.nodes + 1)))

    async def _simulate(self, cache: Cache, settings: simulation.Settings) -> None:
        """Simulated nodes; the first of them answer for their load, each on a port of its own."""
        pair = self._pki.serving((), self._options.cluster.kubernetes_address)
        tls = server_context(pair.certificate, pair.key)
        ports: dict[str, int] = {}
        for name in settings.nodes[: simulation.ANSWERING]:
            listener = Listener(simulation.Answers(cache, settings.stages, self._clock, name))
            self._listeners.append(listener)
            ports[name] = await listener.listen(simulation.HOST_IP, 0, tls)
        client = self.client("system:mizzen:simulator", "mizzen-simulator")
        self.simulator = simulation.Simulator(client, cache, self._clock, self._rng, replace(settings, ports=ports))
        await self.simulator.run()

    def _ingress_client(self) -> Client:
        return self.client("system:mizzen:ingress", "mizzen-ingress")

    def _ingress_settings(self) -> "IngressSettings":
        from mizzen.ingress.shell import Settings as IngressSettings

        cluster = self._options.cluster
        return IngressSettings(
            directory=cluster.data_dir / "ingress",
            address="0.0.0.0",
            http_port=cluster.http_port,
            https_port=cluster.https_port,
            published=(cluster.gateway,),
        )

    def on_crash(self, call: Callable[[], None]) -> None:
        """Call this when a component crashes."""
        self._crash = call
        if self.crashed:
            call()

    def _supervise(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a component; should it crash, what it knows cannot be trusted, and the whole process starts anew."""

        async def watched() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                trace = "".join(traceback.format_exception(error)[-8:])
                _log.error("component crashed", component=name, error=repr(error), trace=trace)
                self.crashed = True
                self._crash()

        task = asyncio.get_running_loop().create_task(watched(), name=name)
        task.add_done_callback(lambda _: work.close())  # also where it was cancelled before it began
        self._tasks.append(task)


def _encryption(options: Options, clock: Clock) -> encryption.Encryption:
    """The keys of what is encrypted in the store. Raises ConfigError."""
    key, path = options.cluster.data_dir / "encryption.key", options.encryption_file()
    if path is None:
        return encryption.generated(key)
    try:
        return encryption.from_file(path, key, clock)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _authentication(options: Options) -> "ConfigurationFile | None":
    """Whose tokens are good. Raises ConfigError."""
    path = options.authentication_file()
    if path is None:
        return None
    from mizzen.server.authn import configuration  # lazily: most servers know their own tokens alone

    try:
        return configuration.ConfigurationFile(path)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _own_address() -> str:
    """The address that this machine would leave by; what is advertised when the server listens on loopback alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET: nothing is sent by connecting a datagram socket
        except OSError:
            return "192.0.2.1"
        return str(probe.getsockname()[0])
