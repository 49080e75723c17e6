"""From a pod to its sandbox: names, namespaces, and the files that all of its containers see under /etc."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mizzen.agent.config import AgentConfig
from mizzen.agent.life import all_containers
from mizzen.agent.network.addresses import HostPort
from mizzen.agent.network.routed import PodAttachment
from mizzen.agent.resources import qos_class
from mizzen.agent.runtime.base import Limits, SandboxSpec
from mizzen.api.views.podspec import Pod, PodSecurityContext

_HOSTS_NOTE = "# Kubernetes-managed hosts file"
_SEARCH_LIMIT, _SERVER_LIMIT, _HOSTNAME_LIMIT = 32, 3, 63
_FQDN_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Resolver:
    """The content of a resolv.conf."""

    nameservers: tuple[str, ...]
    searches: tuple[str, ...]
    options: tuple[str, ...]

    def text(self) -> str:
        lines = [f"search {' '.join(self.searches)}"] if self.searches else []
        lines += [f"nameserver {server}" for server in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in lines)


def host_name(pod: Pod) -> str:
    """The name a pod knows itself by."""
    spec = pod.spec
    if spec.hostnameOverride:
        return spec.hostnameOverride
    return (spec.hostname or pod.metadata.name)[:_HOSTNAME_LIMIT].rstrip("-.")


def domain(pod: Pod, cluster_domain: str) -> str:
    """The domain of a pod with a subdomain; empty without one."""
    if not pod.spec.subdomain or pod.spec.hostnameOverride:
        return ""
    return f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{cluster_domain}"


def shown_name(pod: Pod, cluster_domain: str, host: str) -> str:
    """What `hostname` answers in the pod; `host` is the name of the machine, for pods on its network.

    Raises: ValueError for a name that no kernel takes.
    """
    spec, own, below = pod.spec, host_name(pod), domain(pod, cluster_domain)
    if spec.hostNetwork and not spec.hostnameOverride:
        return host
    if not (spec.setHostnameAsFQDN and below):
        return own
    whole = f"{own}.{below}"
    if len(whole) > _FQDN_LIMIT:
        text = f"FQDN {whole} is too long ({_FQDN_LIMIT} characters is the max, {len(whole)} characters requested)"
        raise ValueError(f"failed to construct FQDN from pod hostname and cluster domain, {text}")
    return whole


def sandbox_spec(pod: Pod, config: AgentConfig, logs: Path, host: str, limits: Limits) -> SandboxSpec:
    """What the runtime must make; `host` is the name of the machine, for pods on its network.

    Raises: ValueError for a name that no kernel takes.
    """
    spec, meta = pod.spec, pod.metadata
    context = spec.securityContext or PodSecurityContext()
    resolver = resolver_of(pod, config)
    return SandboxSpec(
        uid=meta.uid,
        namespace=meta.namespace,
        name=meta.name,
        hostname=shown_name(pod, config.cluster_domain, host),
        host_network=bool(spec.hostNetwork),
        host_pid=bool(spec.hostPID),
        host_ipc=bool(spec.hostIPC),
        host_users=spec.hostUsers is not False,
        shared_pid=bool(spec.shareProcessNamespace),
        privileged=any(
            one.securityContext is not None and bool(one.securityContext.privileged) for one in all_containers(pod)
        ),
        sysctls={one.name: one.value for one in context.sysctls or ()},
        limits=limits,
        qos=qos_class(pod),
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        log_directory=str(logs),
        nameservers=resolver.nameservers,
        searches=resolver.searches,
        dns_options=resolver.options,
    )


def attachment(pod: Pod) -> PodAttachment:
    """What the network must know of a pod."""
    ports = tuple(
        HostPort(port.hostPort, port.containerPort, port.protocol or "TCP", port.hostIP or "")
        for one in (*pod.spec.containers, *(pod.spec.initContainers or ()))
        for port in one.ports or ()
        if port.hostPort
    )
    return PodAttachment(pod.metadata.uid, pod.metadata.namespace, pod.metadata.name, ports)


def resolver_of(pod: Pod, config: AgentConfig) -> Resolver:
    """How the pod resolves names, by its dnsPolicy and dnsConfig, as far as resolvers take it."""
    wanted = _wanted_resolver(pod, config)
    return Resolver(wanted.nameservers[:_SERVER_LIMIT], wanted.searches[:_SEARCH_LIMIT], wanted.options)


def omitted_from_resolver(pod: Pod, config: AgentConfig) -> tuple[str, ...]:
    """Sentences about what is too much for a resolver, and left out."""
    wanted, had = _wanted_resolver(pod, config), resolver_of(pod, config)
    said = []
    if wanted.nameservers != had.nameservers:
        said.append(_TOO_MANY_SERVERS + " ".join(had.nameservers))
    if wanted.searches != had.searches:
        said.append(_TOO_MANY_SEARCHES + " ".join(had.searches))
    return tuple(said)


_TOO_MANY_SERVERS = (
    "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: "
)
_TOO_MANY_SEARCHES = (
    "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: "
)


def _wanted_resolver(pod: Pod, config: AgentConfig) -> Resolver:
    policy = pod.spec.dnsPolicy or "ClusterFirst"
    if policy == "ClusterFirst" and pod.spec.hostNetwork:
        policy = "Default"
    if policy == "None" or (policy != "Default" and not config.cluster_dns):
        base = Resolver((), (), ()) if policy == "None" else host_resolver(config.host_resolv_conf)
    elif policy == "Default":
        base = host_resolver(config.host_resolv_conf)
    else:
        namespace, top = pod.metadata.namespace, config.cluster_domain
        searches = (f"{namespace}.svc.{top}", f"svc.{top}", top, *host_resolver(config.host_resolv_conf).searches)
        base = Resolver(config.cluster_dns, searches, ("ndots:5",))
    own = pod.spec.dnsConfig
    if own is None:
        return base
    options = {line.partition(":")[0]: line for line in base.options}
    for one in own.options or ():
        options[one.name] = f"{one.name}:{one.value}" if one.value is not None else one.name
    return Resolver(
        _merged(base.nameservers, own.nameservers),
        _merged(base.searches, own.searches),
        tuple(options.values()),
    )


def _merged(first: Sequence[str], second: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *(second or ()))))


def host_resolver(path: Path) -> Resolver:
    """The machine's own resolv.conf."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest:
            servers.append(rest[0])
        elif word in {"search", "domain"}:
            searches = rest
        elif word == "options":
            options += rest
    return Resolver(tuple(servers), tuple(searches), tuple(options))


def hosts_text(pod: Pod, ips: Sequence[str], cluster_domain: str, machine_hosts: str) -> str:
    """The content of /etc/hosts: the machine's for pods on its network, else the pod's own names; then the aliases."""
    if pod.spec.hostNetwork:
        text = f"{_HOSTS_NOTE} (host network).\n{machine_hosts}"
    else:
        own, below = host_name(pod), domain(pod, cluster_domain)
        names = f"{own}.{below}\t{own}" if below else own
        fixed = (
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
            "fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
        )
        text = f"{_HOSTS_NOTE}.\n{fixed}" + "".join(f"{ip}\t{names}\n" for ip in ips)
    if pod.spec.hostAliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(f"{one.ip}\t" + "\t".join(one.hostnames or ()) + "\n" for one in pod.spec.hostAliases)
    return text


def write_etc(home: Path, pod: Pod, ips: Sequence[str], config: AgentConfig, name: str) -> None:
    """Write the files that `containers` mounts into every container; `name` is the pod's host name."""
    home.mkdir(parents=True, exist_ok=True)
    try:
        machine_hosts = Path("/etc/hosts").read_text()
    except OSError:
        machine_hosts = ""
    (home / "etc-hosts").write_text(hosts_text(pod, ips, config.cluster_domain, machine_hosts))
    (home / "hostname").write_text(f"{name}\n")
    (home / "resolv.conf").write_text(resolver_of(pod, config).text())


def note_addresses(home: Path, ips: Sequence[str]) -> None:
    """Write down a pod's addresses, as a whole or not at all: it says that its sandbox is complete."""
    partial = home / "ips.partial"
    partial.write_text(" ".join(ips))
    partial.rename(home / "ips")


def noted_addresses(home: Path) -> tuple[str, ...]:
    """The addresses of a pod whose sandbox is complete."""
    path = home / "ips"
    return tuple(path.read_text().split()) if path.exists() else ()
