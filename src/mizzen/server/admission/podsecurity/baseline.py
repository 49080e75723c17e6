"""The baseline level: known ways out of a container are closed.

Ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
"""

from collections.abc import Iterator
from typing import Final

from mizzen.machinery.errors import Object
from mizzen.server.admission.podsecurity.check import Check, Violation, containers, offenders, plural, quoted, security

_CAPABILITIES: Final = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
_SYSCTLS: Final = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)
_SELINUX_TYPES: Final = frozenset(("", "container_engine_t", "container_init_t", "container_kvm_t", "container_t"))
_APPARMOR_ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
_LOCAL_HOSTS: Final = frozenset(("", "127.0.0.1", "::1", "localhost"))


def _host_namespaces(metadata: Object, spec: Object) -> Violation | None:
    used = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def _privileged(metadata: Object, spec: Object) -> Violation | None:
    bad = offenders(spec, lambda container: bool(security(container).get("privileged")))
    return (
        Violation("privileged", f"{plural('container', bad)} must not set securityContext.privileged=true")
        if bad
        else None
    )


def _capabilities(metadata: Object, spec: Object) -> Violation | None:
    added: list[str] = []
    bad: list[str] = []
    for container in containers(spec):
        more = set((security(container).get("capabilities") or {}).get("add") or ()) - _CAPABILITIES
        if more:
            bad.append(container.get("name", ""))
            added.extend(sorted(more))
    if not bad:
        return None
    names = quoted(sorted(set(added)))
    detail = f"{plural('container', bad)} must not include {names} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def _host_paths(metadata: Object, spec: Object) -> Violation | None:
    bad = [volume.get("name", "") for volume in spec.get("volumes") or () if "hostPath" in volume]
    return Violation("hostPath volumes", plural("volume", bad)) if bad else None


def _host_ports(metadata: Object, spec: Object) -> Violation | None:
    bad: list[str] = []
    ports: set[int] = set()
    for container in containers(spec):
        used = {port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")}
        if used:
            bad.append(container.get("name", ""))
            ports |= used
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    noun = "hostPort" if len(ports) == 1 else "hostPorts"
    return Violation("hostPort", f"{plural('container', bad)} {verb} {noun} {', '.join(map(str, sorted(ports)))}")


def _app_armor(metadata: Object, spec: Object) -> Violation | None:
    details: list[str] = []
    if (security(spec).get("appArmorProfile") or {}).get("type") == "Unconfined":
        details.append('pod must not set AppArmor profile type to "Unconfined"')
    bad = offenders(
        spec, lambda container: (security(container).get("appArmorProfile") or {}).get("type") == "Unconfined"
    )
    if bad:
        details.append(f'{plural("container", bad)} must not set AppArmor profile type to "Unconfined"')
    for key, value in sorted((metadata.get("annotations") or {}).items()):
        allowed = value in ("", "runtime/default") or value.startswith("localhost/")
        if key.startswith(_APPARMOR_ANNOTATION) and not allowed:
            details.append(f'annotation must not set AppArmor profile type to "{key}={value}"')
    noun = "forbidden AppArmor profile" + ("s" if len(details) > 1 else "")
    return Violation(noun, ", ".join(details)) if details else None


def _selinux(metadata: Object, spec: Object) -> Violation | None:
    bad: list[str] = []
    problems: set[str] = set()
    holders = [("pod", spec), *((f'container "{c.get("name", "")}"', c) for c in containers(spec))]
    for label, holder in holders:
        options = security(holder).get("seLinuxOptions") or {}
        found = {f'type "{options["type"]}"'} if options.get("type", "") not in _SELINUX_TYPES else set()
        found |= {f"{field} may not be set" for field in ("user", "role") if options.get(field)}
        if found:
            bad.append(label)
            problems |= found
    if not bad:
        return None
    detail = f"{' and '.join(bad)} set forbidden securityContext.seLinuxOptions: {'; '.join(sorted(problems))}"
    return Violation("seLinuxOptions", detail)


def _proc_mount(metadata: Object, spec: Object) -> Violation | None:
    if spec.get("hostUsers") is False:
        return None
    bad = offenders(spec, lambda container: security(container).get("procMount") not in (None, "", "Default"))
    values = sorted({str(security(c).get("procMount")) for c in containers(spec) if c.get("name", "") in bad})
    if not bad:
        return None
    return Violation(
        "procMount", f"{plural('container', bad)} must not set securityContext.procMount to {quoted(values)}"
    )


def _seccomp(metadata: Object, spec: Object) -> Violation | None:
    subjects = ["pod"] if _is_unconfined(spec) else []
    bad = offenders(spec, _is_unconfined)
    if bad:
        subjects.append(plural("container", bad))
    if not subjects:
        return None
    detail = f'{" and ".join(subjects)} must not set securityContext.seccompProfile.type to "Unconfined"'
    return Violation("seccompProfile", detail)


def _is_unconfined(holder: Object) -> bool:
    return (security(holder).get("seccompProfile") or {}).get("type") == "Unconfined"


def _sysctls(metadata: Object, spec: Object) -> Violation | None:
    bad = [known.get("name", "") for known in security(spec).get("sysctls") or () if known.get("name") not in _SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _host_process(metadata: Object, spec: Object) -> Violation | None:
    def hosts(holder: Object) -> bool:
        return bool((security(holder).get("windowsOptions") or {}).get("hostProcess"))

    subjects = ["pod"] if hosts(spec) else []
    if bad := offenders(spec, hosts):
        subjects.append(plural("container", bad))
    if not subjects:
        return None
    detail = f"{' and '.join(subjects)} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", detail)


def _host_probes(metadata: Object, spec: Object) -> Violation | None:
    bad: list[str] = []
    hosts: set[str] = set()
    for container in containers(spec):
        found = {host for host in _hosts(container) if host not in _LOCAL_HOSTS}
        if found:
            bad.append(container.get("name", ""))
            hosts |= found
    if not bad:
        return None
    verb = "uses" if len(bad) == 1 else "use"
    detail = f"{plural('container', bad)} {verb} probe or lifecycle host {quoted(sorted(hosts))}"
    return Violation("probe or lifecycle host", detail)


def _hosts(container: Object) -> Iterator[str]:
    """Hosts that the node is told to connect to on behalf of a container."""
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(name) or {} for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += [lifecycle.get(name) or {} for name in ("postStart", "preStop")]
    for handler in handlers:
        for action in ("httpGet", "tcpSocket"):
            yield (handler.get(action) or {}).get("host", "")


CAPABILITIES: Final[Check] = _capabilities
HOST_PATHS: Final[Check] = _host_paths
SECCOMP: Final[Check] = _seccomp
CHECKS: Final[tuple[Check, ...]] = (
    _app_armor,
    _capabilities,
    _host_namespaces,
    _host_paths,
    _host_ports,
    _host_probes,
    _privileged,
    _proc_mount,
    _selinux,
    _seccomp,
    _sysctls,
    _host_process,
)
