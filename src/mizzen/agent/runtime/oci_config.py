"""From a container's specification to the OCI runtime's config.json: a pure function.

Ref: https://github.com/opencontainers/runtime-spec
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.agent.runtime.base import ContainerSpec, Device, Mount, ProcessUser, SandboxSpec
from mizzen.agent.runtime.seccomp import runtime_default

CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    )
)
_DEFAULT = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    )
)
MASKED = [
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
]  # fmt: skip
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_DEVICE_RULES: list[dict[str, Any]] = [
    {"allow": False, "access": "rwm"},
    *(
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))
    ),
]


@dataclass(frozen=True, slots=True)
class User:
    """Numbers a process runs under."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class Place:
    """Where this machine keeps the things that the configuration names.

    `namespaces` leads from net, ipc, uts, pid to a path (or "" for a new one); those absent are the host's.
    """

    cgroup: str
    namespaces: Mapping[str, str]
    shm: str
    oom_score_floor: int
    hard_limits: Mapping[str, int]
    capabilities: frozenset[str]
    device_nodes: Mapping[str, tuple[str, int, int]]
    """Path on the host → (`c` or `b`, major, minor)."""
    has_hugetlb: bool = False
    is_unified: bool = False
    """Control groups are those of version 2."""


def config(  # shape: one document, written down in its own order
    spec: ContainerSpec,
    sandbox: SandboxSpec,
    image: Mapping[str, Any],
    *,
    user: User,
    place: Place,
    seccomp: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole configuration; `image` is the `config` part of the image's configuration, `seccomp` a local profile."""
    security = spec.security
    granted = capabilities(spec, place.capabilities)
    effective = granted if user.uid == 0 else ()
    linux: dict[str, Any] = {
        "cgroupsPath": place.cgroup,
        "namespaces": [{"type": "mount"}, {"type": "cgroup"}]
        + [
            {"type": _NAMESPACE_TYPES[kind], **({"path": path} if path else {})}
            for kind, path in place.namespaces.items()
        ],
        "resources": _resources(spec, place),
        "rootfsPropagation": _root_propagation(spec),
    }
    if not security.privileged:
        if not security.unmasked_proc:
            linux["maskedPaths"] = MASKED
            linux["readonlyPaths"] = READ_ONLY
        profile = runtime_default(granted) if security.seccomp == "RuntimeDefault" else seccomp
        if profile:
            linux["seccomp"] = profile
    if spec.devices or security.privileged:
        linux["devices"] = _device_nodes(spec, place)
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": spec.tty,
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
            "args": arguments(spec, image),
            "env": environment(spec, image, user),
            "cwd": spec.cwd or image.get("WorkingDir") or "/",
            "capabilities": {
                "bounding": list(granted),
                "effective": list(effective),
                "permitted": list(effective),
                "inheritable": [],
                "ambient": [],
            },
            "noNewPrivileges": security.no_new_privileges,
            **({"apparmorProfile": armor} if (armor := security.apparmor.partition("localhost/")[2]) else {}),
            "oomScoreAdj": max(spec.limits.oom_score_adj, place.oom_score_floor),
            "rlimits": [
                {"type": name, "hard": value, "soft": value} for name, value in sorted(place.hard_limits.items())
            ],
        },
        "root": {"path": "rootfs", "readonly": security.read_only_root},
        **({"hostname": sandbox.hostname} if place.namespaces.get("uts", "-") == "" else {}),
        "mounts": _system_mounts(spec, place) + [_bind(mount) for mount in _ordered(spec.mounts)],
        "annotations": {
            **spec.annotations,
            "io.kubernetes.cri.container-name": spec.name,
            "io.kubernetes.cri.sandbox-namespace": spec.pod_namespace,
            "io.kubernetes.cri.sandbox-name": spec.pod_name,
        },
        "linux": linux,
    }


def user_of(document: Mapping[str, Any]) -> ProcessUser | None:
    """Who a configuration starts its process as; None when it does not say."""
    user = (document.get("process") or {}).get("user")
    if user is None:
        return None
    return ProcessUser(user.get("uid", 0), user.get("gid", 0), tuple(user.get("additionalGids") or ()))


_NAMESPACE_TYPES = {"net": "network", "ipc": "ipc", "uts": "uts", "pid": "pid", "user": "user"}


def arguments(spec: ContainerSpec, image: Mapping[str, Any]) -> list[str]:
    """Kubernetes' command replaces entrypoint and arguments of the image, its args replace the arguments only."""
    entrypoint = list(image.get("Entrypoint") or ())
    arguments = list(image.get("Cmd") or ())
    if spec.command:
        entrypoint, arguments = list(spec.command), []
    if spec.args:
        arguments = list(spec.args)
    return entrypoint + arguments


def environment(spec: ContainerSpec, image: Mapping[str, Any], user: User) -> list[str]:
    """The image's variables, then the container's; PATH, HOSTNAME, TERM and HOME are filled in when absent."""
    merged = dict(line.partition("=")[::2] for line in image.get("Env") or ())
    merged.update(spec.env)
    defaults = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": user.home}
    if spec.tty:
        defaults["TERM"] = "xterm"
    return [f"{name}={value}" for name, value in {**defaults, **merged}.items()]


def capabilities(spec: ContainerSpec, available: frozenset[str]) -> tuple[str, ...]:
    """What the container may hold, in the kernel's order; `ALL` adds or drops everything."""
    security = spec.security
    if security.privileged:
        return tuple(name for name in CAPABILITIES if name in available)
    add, drop = ({_full_name(name) for name in names} for names in (security.add, security.drop))
    held = set(CAPABILITIES) if "CAP_ALL" in add else set(_DEFAULT)
    if "CAP_ALL" in drop:
        held = set()
    held = (held | add) - drop
    return tuple(name for name in CAPABILITIES if name in held and name in available)


def _full_name(capability: str) -> str:
    upper = capability.upper()
    return upper if upper.startswith("CAP_") else f"CAP_{upper}"


def _resources(spec: ContainerSpec, place: Place) -> dict[str, Any]:
    limits = spec.limits
    cpu: dict[str, Any] = {"shares": max(2, limits.cpu_shares)}
    if limits.cpu_quota:
        cpu |= {"quota": limits.cpu_quota, "period": limits.cpu_period}
    if limits.cpus:
        cpu["cpus"] = limits.cpus
    resources: dict[str, Any] = {"cpu": cpu, "devices": _device_rules(spec, place)}
    if limits.memory:
        resources["memory"] = {"limit": limits.memory, "swap": limits.memory + limits.swap}
    if place.is_unified:
        resources["unified"] = limits.unified
    if limits.pids:
        resources["pids"] = {"limit": limits.pids}
    if limits.hugepages and place.has_hugetlb:
        resources["hugepageLimits"] = [{"pageSize": size, "limit": n} for size, n in limits.hugepages.items()]
    return resources


def _device_rules(spec: ContainerSpec, place: Place) -> list[dict[str, Any]]:
    if spec.security.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules = [dict(rule) for rule in _DEVICE_RULES]
    for device in spec.devices:
        kind, major, minor = place.device_nodes[device.source]
        rules.append({"allow": True, "type": kind, "major": major, "minor": minor, "access": device.permissions})
    return [{key: value for key, value in rule.items() if value is not None} for rule in rules]


def _device_nodes(spec: ContainerSpec, place: Place) -> list[dict[str, Any]]:
    shown = {device.target: device for device in spec.devices}
    if spec.security.privileged:
        shown = {path: Device(path, path) for path in place.device_nodes} | shown
    nodes = []
    for target, device in shown.items():
        kind, major, minor = place.device_nodes[device.source]
        nodes.append({"path": target, "type": kind, "major": major, "minor": minor, "fileMode": 0o666})
    return nodes


def _root_propagation(spec: ContainerSpec) -> str:
    wanted = {mount.propagation for mount in spec.mounts}
    return "rshared" if "rshared" in wanted else "rslave" if "rslave" in wanted else "rprivate"


def _system_mounts(spec: ContainerSpec, place: Place) -> list[dict[str, Any]]:
    privileged = spec.security.privileged
    writable = "rw" if privileged else "ro"
    taken = {mount.target.rstrip("/") for mount in spec.mounts}
    mounts: list[dict[str, Any]] = [
        _system("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _system("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _system(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _system("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _system("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", writable),
        _system("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", writable),
    ]
    if "net" not in place.namespaces:
        # A new sysfs shows the network namespace it is mounted from; the host's needs the host's own.
        mounts[4] = {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "nosuid", writable]}
        del mounts[5]
    if place.shm:
        mounts.append({"destination": "/dev/shm", "type": "bind", "source": place.shm, "options": ["rbind", "rw"]})
    return [mount for mount in mounts if mount["destination"] not in taken]


def _system(target: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _ordered(mounts: tuple[Mount, ...]) -> list[Mount]:
    """Parents before what is mounted inside them."""
    return sorted(mounts, key=lambda mount: mount.target.rstrip("/").count("/"))


def _bind(mount: Mount) -> dict[str, Any]:
    access = ["rro"] if mount.recursive_read_only else ["ro"] if mount.read_only else ["rw"]
    return {
        "destination": mount.target,
        "type": "bind",
        "source": mount.source,
        "options": ["rbind", mount.propagation, *access],
    }
