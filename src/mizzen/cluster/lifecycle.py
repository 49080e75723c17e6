"""The life of a cluster on this machine: prepare, start, wait, observe, stop.

One process for the control plane and one per node, each in the background with a record in DATA_DIR/run and a log in
DATA_DIR/logs. Starting what runs already changes nothing, so `up` also repairs.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

import orjson

from mizzen.client import kubeconfig
from mizzen.cluster import config as configs
from mizzen.cluster import containerd, networks, processes, supervision
from mizzen.cluster.config import ClusterConfig, ConfigError, RuntimeName
from mizzen.cluster.rootless import enter
from mizzen.ingress import envoy
from mizzen.machinery import times
from mizzen.net.tls import client_context

_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
Say = Callable[[str], None]
NEEDED: Final = {
    "network": {"nft": "nftables", "ip": "iproute2", "conntrack": "conntrack"},
    "crun": {"crun": "crun", "conmon": "conmon"},
    "cri": containerd.NEEDED,
}
"""Commands that real containers need, and the Debian packages that bring them."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for; None keeps what the cluster has, or the default at its first start."""

    nodes: int | None = None
    api_port: int | None = None
    runtime: RuntimeName | None = None
    runtime_endpoint: str | None = None
    load_balancer_pool: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What runs of a cluster: the server's and the agents' pids (0: not running), and each node's readiness."""

    config: ClusterConfig
    server_pid: int
    server_ready: bool
    agents: dict[str, int]
    nodes: dict[str, bool]
    restarts: dict[str, int] = field(default_factory=dict)
    """How often the server and the agents were started again, those that were."""
    shortages: tuple[str, ...] = ()
    """Why nodes take no pods although they run: they are short of something."""

    @property
    def healthy(self) -> bool:
        return self.server_ready and all(self.nodes.get(name) for name in self.agents)

    def document(self) -> dict[str, Any]:
        """The state as JSON, for scripts."""
        return {
            "name": self.config.name,
            "dataDir": str(self.config.data_dir),
            "server": self.config.api_url,
            "healthy": self.healthy,
            "ingress": {"http": self.config.http_port, "https": self.config.https_port},
            "controlPlane": {
                "pid": self.server_pid,
                "ready": self.server_ready,
                "restarts": self.restarts.get("server", 0),
            },
            "nodes": [
                {
                    "name": name,
                    "agentPid": pid,
                    "ready": self.nodes.get(name, False),
                    "restarts": self.restarts.get(name, 0),
                }
                for name, pid in self.agents.items()
            ],
            "shortages": list(self.shortages),
        }

    def text(self) -> str:
        """The state as a few lines, for people."""
        shown = self._shown("server", self.server_pid)
        lines = [
            f"cluster {self.config.name} at {self.config.api_url}, data in {self.config.data_dir}",
            f"  control plane  {'ready' if self.server_ready else 'not ready':10} {shown}",
        ]
        for name, pid in self.agents.items():
            ready = "Ready" if self.nodes.get(name) else "NotReady"
            lines.append(f"  node {name:10} {ready:10} {self._shown(name, pid)}")
        return "\n".join([*lines, *(f"  {one}" for one in self.shortages)])

    def _shown(self, name: str, pid: int) -> str:
        count = self.restarts.get(name, 0)
        often = f", started again {count} time{'s' if count > 1 else ''}" if count else ""
        return f"pid {pid}{often}" if pid else "not running"


def alone(data_dir: Path, say: Say) -> AbstractContextManager[None]:
    """One `up` or `down` of a cluster at a time: two would start everything twice, or what the other has ended."""
    return processes.alone(data_dir / "lock", lambda: say("waiting for another mizzen up or down"))


def prepare(name: str, data_dir: Path, wishes: Wishes) -> ClusterConfig:
    """The configuration to run with: the one of before with the wishes in it, or a new one. Raises ConfigError."""
    found = configs.load(data_dir)
    config = found or ClusterConfig(name=name, data_dir=data_dir)
    if found and name not in (found.name, configs.DEFAULT_NAME):
        raise ConfigError(f"{data_dir} holds the cluster {found.name!r}, not {name!r}")
    running = supervision.runs(_record(config, "server"))
    if wishes.runtime and found and wishes.runtime != found.runtime:
        raise ConfigError(f"the cluster {name!r} runs with {found.runtime}; a new one can use {wishes.runtime}")
    if running and wishes.api_port not in (None, config.api_port):
        raise ConfigError(f"the cluster {name!r} listens on {config.api_port}; end it first: mizzen down")
    config = replace(
        config,
        nodes=wishes.nodes or config.nodes,
        runtime=wishes.runtime or config.runtime,
        runtime_endpoint=_endpoint(config, wishes),
        load_balancer_pool=_pool(config, wishes, running=running),
    )
    _check_machine(config)
    if found is None and config.runtime != "simulated":
        config = configs.choose_networks(config, networks.routes() + configs.networks_beside(data_dir))
    elif config.runtime != "simulated" and not running:
        configs.check_networks(config, networks.routes(own=config.tag))
    configs.check_pool(config)
    if not running:
        config = _with_ports(config, wishes.api_port)
    configs.save(config)
    return config


def start(config: ClusterConfig, say: Say) -> None:
    """Start what does not run yet. Raises ConfigError when the control plane does not come up."""
    if config.runtime != "simulated":
        say("connecting the nodes")
        networks.create(config)
    record = _record(config, "server")
    if not supervision.runs(record):
        say("starting the control plane")
        bind = ["127.0.0.1"] + ([config.gateway] if config.runtime != "simulated" else [])
        flags = [part for address in bind for part in ("--bind", address)]
        argv = [*_mizzen(), "server", "--data-dir", str(config.data_dir), "--port", str(config.api_port), *flags]
        supervision.start(argv, record=record, log=_log(config, "server"))
    _wait_for_server(config, say)
    if config.runtime != "simulated":
        for number in range(1, config.nodes + 1):
            _start_agent(config, number, say)
    kubeconfig.merge(kubeconfig.default_path(), admin_entry(config))


def wait_until_ready(config: ClusterConfig, seconds: float, say: Say) -> None:
    """Return when every node is Ready. Raises ConfigError with the place to look when that takes too long."""
    deadline = time.monotonic() + seconds
    wanted = {config.node_name(number) for number in range(1, config.nodes + 1)}
    while True:
        waiting = sorted(wanted - {name for name, ready in _nodes(config).items() if ready})
        if not waiting:
            return
        say(f"waiting for node {', '.join(waiting)}")
        if not supervision.is_supervised(_record(config, "server")):
            raise ConfigError(f"the control plane has ended; look into {_log(config, 'server')}")
        if time.monotonic() > deadline:
            log = _log(config, waiting[0] if config.runtime != "simulated" else "server")
            raise ConfigError(f"node {', '.join(waiting)} is not Ready after {seconds:g} s; look into {log}")
        time.sleep(0.03)


def stop(config: ClusterConfig, say: Say) -> None:
    """End everything of the cluster on this machine; data stays."""
    run = config.data_dir / "run"
    names = {path.name for path in (*run.glob("*.json"), *run.glob("supervisors/*.json"))}
    agents = [run / name for name in sorted(names) if name != "server.json"]
    for path in agents:
        say(f"ending the agent of {path.stem}")
        supervision.stop(path)
    if config.runtime != "simulated":
        say("ending the containers")
        halts = [subprocess.Popen(_halt(config, n)) for n in range(1, config.nodes + 1) if config.node_dir(n).exists()]
        for halt in halts:
            halt.wait()
    say("ending the control plane")
    supervision.stop(_record(config, "server"), seconds=20)
    if config.runtime != "simulated":
        networks.delete(config)
    kubeconfig.remove(kubeconfig.default_path(), config.name)


def delete_data(config: ClusterConfig) -> None:
    """Remove the cluster's directory, and the images when no other cluster is beside it."""
    shutil.rmtree(config.data_dir)
    parent = config.data_dir.parent
    if not any((other / "cluster.json").exists() for other in parent.iterdir() if other.is_dir()):
        shutil.rmtree(config.images_dir, ignore_errors=True)


def observe(config: ClusterConfig) -> State:
    """What runs now."""
    server = processes.running(_record(config, "server"))
    names = [config.node_name(number) for number in range(1, config.nodes + 1)]
    records = {name: processes.running(_record(config, name)) for name in names}
    ready = _request(config, "/readyz") is not None
    found = {"server": server, **records}
    return State(
        config=config,
        server_pid=server.pid if server else 0,
        server_ready=ready,
        agents={name: record.pid if record else 0 for name, record in records.items()},
        nodes=_nodes(config) if ready else {},
        restarts={name: record.restarts for name, record in found.items() if record and record.restarts},
        shortages=shortages(config) if ready else (),
    )


def shortages(config: ClusterConfig) -> tuple[str, ...]:
    """Why nodes take no pods although they are Ready: as a sentence for each thing that a node is short of."""
    nodes = _request(config, "/api/v1/nodes")
    return () if nodes is None else pressed(orjson.loads(nodes)["items"] or [])


def pressed(nodes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """A sentence for each condition of pressure that holds."""
    return tuple(
        f"node {node['metadata']['name']} takes no new pods, for {one['type']}: {one['message']}"
        for node in nodes
        for one in node.get("status", {}).get("conditions") or ()
        if one["type"].endswith("Pressure") and one["status"] == "True"
    )


def admin_entry(config: ClusterConfig) -> kubeconfig.Entry:
    """The administrator's kubeconfig entry. Raises ConfigError before the first start."""
    pki = config.data_dir / "pki"
    try:
        return kubeconfig.Entry(
            name=config.name,
            server=config.api_url,
            ca=(pki / "ca.crt").read_text(),
            certificate=(pki / "admin.crt").read_text(),
            key=(pki / "admin.key").read_text(),
        )
    except FileNotFoundError as error:
        raise ConfigError(f"the cluster has no certificates yet: {error.filename} is missing") from error


def _pool(config: ClusterConfig, wishes: Wishes, *, running: bool) -> str:
    """The pool that was asked for, or the one of before. Raises ConfigError."""
    wanted = wishes.load_balancer_pool
    if running and wanted not in (None, config.load_balancer_pool):
        raise ConfigError(f"the cluster {config.name!r} runs with another pool; end it first: mizzen down")
    return config.load_balancer_pool if wanted is None else wanted


def _endpoint(config: ClusterConfig, wishes: Wishes) -> str:
    """The path of the socket that was asked for, or the one of before. Raises ConfigError."""
    wanted = wishes.runtime_endpoint
    if wanted is None:
        return config.runtime_endpoint
    if (wishes.runtime or config.runtime) != "cri":
        raise ConfigError("a runtime endpoint needs --runtime cri")
    path = Path(wanted.removeprefix("unix://"))
    if not path.is_absolute() or not path.is_socket():
        raise ConfigError(f"{wanted!r} is no socket; a runtime endpoint is like unix:///run/containerd/containerd.sock")
    return str(path)


def _check_machine(config: ClusterConfig) -> None:
    if config.runtime == "simulated":
        return
    if enter.is_outside():
        enter.check(config)
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    needed = NEEDED["network"] | ({} if config.runtime_endpoint else NEEDED[config.runtime])
    missing = sorted({package for command, package in needed.items() if shutil.which(command, path=path) is None})
    if missing:
        raise ConfigError(f"this machine lacks {', '.join(missing)}; try: apt-get install {' '.join(missing)}")


def _with_ports(config: ClusterConfig, wanted: int | None) -> ClusterConfig:
    """The wanted ports, or free ones near them where nobody insisted."""
    if wanted is not None and not _is_free(wanted):
        raise ConfigError(f"port {wanted} is taken; choose another with --api-port")
    api = wanted or _free_port(config.api_port, (6443, *range(7443, 7543)))
    if envoy.running(config.data_dir / "ingress") is not None:  # it outlived its controller, and has its ports
        return replace(config, api_port=api)
    http = _free_port(config.http_port, (80, *range(8080, 8180)))
    https = _free_port(config.https_port, (443, *range(8443, 8543)))
    return replace(config, api_port=api, http_port=http, https_port=https)


def _free_port(current: int, candidates: tuple[int, ...]) -> int:
    for port in (current, *candidates):
        if _is_free(port):
            return port
    raise ConfigError(f"no free port among {candidates[0]} … {candidates[-1]}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _start_agent(config: ClusterConfig, number: int, say: Say) -> None:
    name = config.node_name(number)
    record = _record(config, name)
    if not supervision.runs(record):
        say(f"starting node {name}")
        supervision.start(_agent(config, number), record=record, log=_log(config, name))


def _agent(config: ClusterConfig, number: int) -> list[str]:
    name, pki = config.node_name(number), config.data_dir / "pki"
    values = {
        "--server": f"https://{config.gateway}:{config.api_port}",
        "--node-name": name,
        "--ca": pki / "ca.crt",
        "--certificate": pki / f"node-{name}.crt",
        "--key": pki / f"node-{name}.key",
        "--data-dir": config.node_dir(number),
        "--images-dir": config.images_dir,
        "--runtime": config.runtime,
        "--cri-socket": config.runtime_endpoint,
        "--node-ip": config.node_address(number),
        "--netns": networks.namespace_path(config, number),
        "--pod-cidr": config.node_pod_cidr(number),
        "--cluster-dns": config.dns_address,
        "--config": _settings(config),
    }
    if (more := config.data_dir / "kubelet.conf.d").is_dir():
        values["--config-dir"] = more
    values |= _credential_providers(config)
    return [*_mizzen(), "agent", *(str(part) for pair in values.items() for part in pair)]


def _credential_providers(config: ClusterConfig) -> dict[str, Path]:
    """The programs that nodes ask for credentials of registries, where the data directory has a word of them."""
    file = config.data_dir / "credential-providers.yaml"
    if not file.exists():
        return {}
    programs = config.data_dir / "credential-providers"
    return {"--image-credential-provider-config": file, "--image-credential-provider-bin-dir": programs}


def _settings(config: ClusterConfig) -> Path:
    """The KubeletConfiguration that each node reads when it starts; one that says nothing, unless there is one."""
    path = config.data_dir / "kubelet.yaml"
    if not path.exists():
        path.write_text("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n")
    return path


def _halt(config: ClusterConfig, number: int) -> list[str]:
    return [*_agent(config, number), "--halt"]


def _mizzen() -> list[str]:
    """This very installation's command, whatever PATH says."""
    return [sys.executable, "-m", "mizzen"]


def _wait_for_server(config: ClusterConfig, say: Say, seconds: float = 120.0) -> None:
    say("waiting for the API server")
    deadline = time.monotonic() + seconds
    while _request(config, "/readyz") is None:
        if not supervision.is_supervised(_record(config, "server")):
            raise ConfigError(f"the control plane has ended: {_last_words(_log(config, 'server'))}")
        if time.monotonic() > deadline:
            raise ConfigError(f"the API server is not ready after {seconds:g} s; look into {_log(config, 'server')}")
        time.sleep(0.02)


def _last_words(log: Path) -> str:
    """The sentence that a command ended with, or where to look."""
    lines = log.read_bytes()[-4096:].decode(errors="replace").splitlines() if log.exists() else []
    last = lines[-1] if lines else ""
    return last.removeprefix("mizzen: ") if last.startswith("mizzen: ") else f"look into {log}"


def _nodes(config: ClusterConfig) -> dict[str, bool]:
    """Nodes that the API knows, and whether each is Ready and has been heard of since its agent was started."""
    nodes, leases = _request(config, "/api/v1/nodes"), _request(config, _LEASES)
    if nodes is None or leases is None:
        return {}
    heard = {one["metadata"]["name"]: one["spec"].get("renewTime", "") for one in orjson.loads(leases)["items"] or []}
    return {
        name: _is_ready(node) and heard.get(name, "") >= _started_at(config, name)
        for node in orjson.loads(nodes)["items"] or []
        for name in [node["metadata"]["name"]]
    }


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _started_at(config: ClusterConfig, name: str) -> str:
    """When a node's agent was started here, as the API writes times; nothing for agents elsewhere."""
    record = _record(config, name)
    written = [one.stat().st_mtime for one in (record, supervision.supervisor_of(record)) if one.exists()]
    return times.format_micro(max(written)) if written else ""


def _request(config: ClusterConfig, path: str) -> bytes | None:
    """What the API server answers to the administrator, or None when it does not answer 200."""
    pki = config.data_dir / "pki"
    try:
        context = client_context(pki / "ca.crt", pki / "admin.crt", pki / "admin.key")
        connection = HTTPSConnection("127.0.0.1", config.api_port, timeout=5, context=context)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
    except (OSError, HTTPException):
        return None
    return body if response.status == 200 else None


def _record(config: ClusterConfig, name: str) -> Path:
    return config.data_dir / "run" / f"{name}.json"


def _log(config: ClusterConfig, name: str) -> Path:
    return config.data_dir / "logs" / f"{name}.log"
