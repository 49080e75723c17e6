"""What one cluster on this machine is made of, kept as JSON beside its data.

Every name on the machine (bridge, namespaces, tables) derives from the cluster's name, so that clusters coexist.
"""

import contextlib
import hashlib
import ipaddress
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

RuntimeName = Literal["crun", "cri", "simulated"]

DEFAULT_NAME: Final = "mizzen"
SERVICE_CIDR: Final = "10.96.0.0/16"
CLUSTER_DOMAIN: Final = "cluster.local"
INSIDE: Final = "MIZZEN_INSIDE"
"""Set where an ordinary user is root of namespaces of the cluster's own: the socket that dials outside, or nothing."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


class ConfigError(Exception):
    """Something the user asked for that cannot be; the text says what would."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """One cluster on this machine. Networks are CIDR strings; `nodes` how many agents run here.

    `load_balancer_pool`: addresses for Services of type LoadBalancer, as a CIDR; empty: those of the nodes.
    `runtime_endpoint`: the socket of a CRI runtime that is there already; empty: each node has a containerd of its own.
    """

    name: str
    data_dir: Path
    nodes: int = 2
    runtime: RuntimeName = "crun"
    runtime_endpoint: str = ""
    api_port: int = 6443
    http_port: int = 80
    https_port: int = 443
    node_cidr: str = "10.89.0.0/24"
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = SERVICE_CIDR
    load_balancer_pool: str = ""

    @property
    def tag(self) -> str:
        """Eight characters that stand for the cluster in names that must be short."""
        return "mz" + hashlib.sha256(f"{self.name}\0{self.data_dir}".encode()).hexdigest()[:6]

    @property
    def gateway(self) -> str:
        """The host's own address on the nodes' bridge: where nodes reach the API server."""
        return str(next(ipaddress.ip_network(self.node_cidr).hosts()))

    @property
    def dns_address(self) -> str:
        """The tenth address of the service range, as everywhere."""
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @property
    def kubernetes_address(self) -> str:
        """The first address of the service range: the `kubernetes` Service."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def api_url(self) -> str:
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def images_dir(self) -> Path:
        """Images are shared by all nodes, and by all clusters beside this one."""
        return self.data_dir.parent / "images"

    def node_name(self, number: int) -> str:
        """`mizzen-1`, `mizzen-2`, …"""
        return f"{self.name}-{number}"

    def node_address(self, number: int) -> str:
        network = ipaddress.ip_network(self.node_cidr)
        return str(network[number + 1])

    def node_pod_cidr(self, number: int) -> str:
        """The /24 of the pod network that a node of this machine takes its pods' addresses from."""
        network = int(ipaddress.IPv4Network(self.pod_cidr).network_address)
        return str(ipaddress.IPv4Network((network + number * 256, 24)))

    def node_dir(self, number: int) -> Path:
        return self.data_dir / "nodes" / self.node_name(number)


def default_data_dir(name: str) -> Path:
    """/var/lib/mizzen/NAME for root, else below the user's data directory."""
    if os.geteuid() == 0 and INSIDE not in os.environ:
        return Path("/var/lib/mizzen") / name
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "mizzen" / name


def check_name(name: str) -> None:
    """Raises ConfigError for a name that cannot be a node's name too."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name a cluster: use at most 40 of a-z, 0-9 and '-', like 'mizzen'")


def check_pool(config: ClusterConfig) -> None:
    """Raises ConfigError for a pool of addresses that cannot be given out."""
    if not config.load_balancer_pool:
        return
    try:
        pool = ipaddress.IPv4Network(config.load_balancer_pool)
    except ValueError as error:
        raise ConfigError(f"a pool of load balancer addresses is a CIDR like 192.0.2.0/28: {error}") from error
    for name, cidr in (("node", config.node_cidr), ("pod", config.pod_cidr), ("service", config.service_cidr)):
        if pool.overlaps(ipaddress.IPv4Network(cidr)):
            raise ConfigError(f"the pool of load balancer addresses {pool} overlaps with the {name} network {cidr}")


def load(data_dir: Path) -> ClusterConfig | None:
    """The configuration of a cluster that was started before. Raises ConfigError when it cannot be read."""
    path = data_dir / "cluster.json"
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        return ClusterConfig(**{**values, "data_dir": data_dir})
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def save(config: ClusterConfig) -> None:
    """Keep the configuration for the next start."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    values = asdict(config)
    del values["data_dir"]
    path = config.data_dir / "cluster.json"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(values, indent=1) + "\n")
    temporary.replace(path)


def check_networks(config: ClusterConfig, taken: list[ipaddress.IPv4Network]) -> None:
    """Raises ConfigError when somebody else has taken the cluster's networks while it did not run."""
    for name, cidr in (("node", config.node_cidr), ("pod", config.pod_cidr)):
        other = next((one for one in taken if one.subnet_of(ipaddress.IPv4Network(cidr))), None)
        if other is not None:  # wider ones are no harm
            raise ConfigError(
                f"the {name} network {cidr} of the cluster {config.name!r} is in use: this machine has a route to "
                f"{other} by now, perhaps of another cluster; end that one first"
            )


def networks_beside(data_dir: Path) -> list[ipaddress.IPv4Network]:
    """Those of the clusters that keep their data beside this one's, whether they run or not."""
    found = []
    for path in data_dir.parent.glob("*/cluster.json"):
        with contextlib.suppress(ConfigError, OSError):
            other = load(path.parent) if path.parent != data_dir else None
            if other is not None and other.runtime != "simulated":
                found += [ipaddress.IPv4Network(other.node_cidr), ipaddress.IPv4Network(other.pod_cidr)]
    return found


def choose_networks(config: ClusterConfig, taken: list[ipaddress.IPv4Network]) -> ClusterConfig:
    """Node and pod networks that overlap with no route of this machine. Raises ConfigError when all are taken."""
    service = ipaddress.ip_network(config.service_cidr)

    def free(candidates: list[str]) -> str:
        for text in candidates:
            network = ipaddress.IPv4Network(text)
            if not any(network.overlaps(other) for other in taken) and not network.overlaps(service):
                return text
        raise ConfigError(f"no free network among {candidates[0]} … {candidates[-1]}: all overlap with routes here")

    nodes = free([f"10.89.{i}.0/24" for i in range(256)])
    pods = free([f"10.{i}.0.0/16" for i in (244, *range(200, 244), *range(245, 255))])
    return replace(config, node_cidr=nodes, pod_cidr=pods)
