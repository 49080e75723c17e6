"""The seam between the agent and whatever runs containers.

A sandbox is what the containers of one pod share; a container belongs to a sandbox and is never restarted: another
attempt is another container. All calls are idempotent, so that an interrupted step can simply be taken again.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, Protocol

UNBOUNDED: Final = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """What cgroups enforce; None or zero: unlimited. `cpu_quota` is microseconds per `cpu_period`.

    `swap` is in bytes, and zero is none; UNBOUNDED leaves it to the groups below. `cpus` are the processors it runs on,
    such as `0-2,5`; empty: any. With `ends_whole` a container that is out of memory ends, not one process of it.
    """

    cpu_shares: int = 2
    cpu_quota: int = 0
    cpu_period: int = 100_000
    cpus: str = ""
    memory: int = 0
    swap: int = 0
    pids: int = 0
    oom_score_adj: int = 0
    hugepages: Mapping[str, int] = field(default_factory=dict)
    ends_whole: bool = True

    @property
    def unified(self) -> dict[str, str]:
        """What only groups of version 2 know."""
        swap = {"memory.swap.max": str(self.swap)} if self.swap else {}
        return {"memory.oom.group": "1" if self.ends_whole else "0", **swap}


@dataclass(frozen=True, slots=True)
class Security:
    """Who a container runs as, and what it may do. `seccomp`: `Unconfined`, `RuntimeDefault`, or a profile's path."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool = False
    groups: tuple[int, ...] = ()
    merge_image_groups: bool = True
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: str = "Unconfined"
    unmasked_proc: bool = False
    apparmor: str = ""
    """Empty: as the runtime likes; `Unconfined`, `RuntimeDefault`, or `localhost/` and the name of a loaded profile."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A bind of a host path; `propagation` is `rprivate`, `rslave` or `rshared`."""

    source: str
    target: str
    read_only: bool = False
    recursive_read_only: bool = False
    propagation: str = "rprivate"


@dataclass(frozen=True, slots=True)
class Device:
    """A device node of the host, shown in the container."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What the containers of one pod share."""

    uid: str
    namespace: str
    name: str
    hostname: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    host_users: bool = True
    shared_pid: bool = False
    privileged: bool = False
    """Whether any container is; some runtimes must know beforehand."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    qos: str = "BestEffort"
    handler: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_directory: str = ""
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    shm_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Sandbox:
    """An open sandbox; `netns` is None on the host's network, or when the runtime attaches the network itself."""

    id: str
    uid: str
    netns: Path | None
    created_at: float
    ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One attempt at running one container of a pod; `command` and `args` override the image's."""

    pod_uid: str
    pod_namespace: str
    pod_name: str
    name: str
    attempt: int
    image: str
    image_id: str
    log_path: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = ""
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    limits: Limits = Limits()
    security: Security = Security()
    stop_signal: str = ""
    target: str = ""
    """Name of the container whose process namespace is joined (ephemeral containers)."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """For the runtime alone."""
    cdi_devices: tuple[str, ...] = ()
    """Devices that the machine's CDI files describe, such as `vendor.com/gpu=0`."""


State = Literal["created", "running", "exited"]


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """A container as the runtime knows it; times are seconds since the epoch."""

    id: str
    pod_uid: str
    name: str
    attempt: int
    image: str
    image_id: str
    state: State
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    reason: str = ""
    """Why it ended, if the runtime has a word of its own for that."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ProcessUser:
    """Who the first process of a container was started as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """The first process of a container: who it is started as, and by which signal it is stopped."""

    user: ProcessUser | None = None
    stop_signal: str = ""
    """By its name, as SIGTERM; empty where the runtime does not tell."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a runtime has on this node."""

    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[ContainerSeen, ...] = ()

    def after(self, seen: ContainerSeen) -> "Observed":
        """The same with what has been seen of one container since."""
        return replace(self, containers=tuple(seen if one.id == seen.id else one for one in self.containers))


@dataclass(frozen=True, slots=True)
class Transfers:
    """What has passed between a group and a block device."""

    reads: int = 0
    writes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """Seconds of waiting so far, and the share of the last 10, 60 and 300 seconds in percent."""

    seconds: float = 0.0
    last_10: float = 0.0
    last_60: float = 0.0
    last_300: float = 0.0


@dataclass(frozen=True, slots=True)
class Stall:
    """How long some tasks, and how long all of them, had to wait for a resource."""

    some: Share = Share()
    full: Share = Share()


@dataclass(frozen=True, slots=True)
class Usage:
    """A container's or pod's consumption: cumulative CPU seconds, bytes."""

    cpu_seconds: float = 0.0
    cpu_user_seconds: float = 0.0
    cpu_system_seconds: float = 0.0
    periods: int = 0
    """In which it wanted to run while its CPU was limited; some of them it was held up in, for so long."""
    throttled_periods: int = 0
    throttled_seconds: float = 0.0
    memory_bytes: int = 0
    working_set_bytes: int = 0
    rss_bytes: int = 0
    cache_bytes: int = 0
    mapped_bytes: int = 0
    most_bytes: int = 0
    """The most memory it ever had."""
    limit_hits: int = 0
    oom_kills: int = 0
    page_faults: int = 0
    major_page_faults: int = 0
    pids: int = 0
    swap_bytes: int = 0
    started_at: float = 0.0
    transfers: Mapping[str, Transfers] = field(default_factory=dict)
    """By device."""
    stalls: Mapping[str, Stall] = field(default_factory=dict)
    """By resource (cpu, memory, io), where the kernel tells it."""


@dataclass(frozen=True, slots=True)
class Used:
    """What something takes of a disk: bytes as the file system counts them, and inodes."""

    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(self.bytes + other.bytes, self.inodes + other.inodes)


class RuntimeFailure(Exception):
    """A runtime could not do what it was asked; `reason` is the waiting reason that kubectl shows.

    `container` is the id of one that would have been, had its process been able to run.
    """

    def __init__(self, reason: str, message: str, container: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.container = container


@dataclass(frozen=True, slots=True)
class Abilities:
    """What pods may ask for that not every runtime can do."""

    strict_groups: bool = True
    """Containers without the groups that their image gives their user (`supplementalGroupsPolicy: Strict`)."""
    recursive_read_only: bool = True
    """Mounts that are read-only with all that is mounted below them."""
    apparmor: bool = True


class Runtime(Protocol):  # shape: the calls of the runtime seam
    """Runs sandboxes and containers. Raises: RuntimeFailure."""

    abilities: Abilities
    name: str
    version: str

    async def open_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Make the shared namespaces and the pod's cgroup, or answer the ones there are."""

    async def close_sandbox(self, sandbox: str) -> None:
        """Remove a sandbox whose containers are gone."""

    async def has_sandbox(self, sandbox: str) -> bool:
        """Whether a sandbox is open, and fit for more containers."""

    async def create(self, sandbox: str, spec: ContainerSpec) -> str:
        """Prepare a container up to the point where only its process is missing; answers its id."""

    async def start(self, container: str) -> None:
        """Let a created container run."""

    async def stop(self, container: str, grace: float) -> None:
        """Ask it to end, insist after `grace` seconds, return when it has ended. A second, shorter call hastens."""

    async def remove(self, container: str) -> None:
        """Forget an ended or never started container and its file system; running ones are killed first."""

    async def update(self, container: str, limits: Limits) -> None:
        """Change the limits of a running container."""

    def limit_sandbox(self, sandbox: str, limits: Limits) -> None:
        """Change the limits of a pod as a whole. Raises OSError."""

    def limit_node(self, whole: Limits, tiers: Mapping[str, Limits]) -> None:
        """Bound all pods together, and each class of them that has a group of its own. Raises OSError."""

    async def exec(self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> "Exec":
        """Start a command inside a running container."""

    async def attach(self, container: str) -> "Exec":
        """Join the standard streams of a running container."""

    async def checkpoint(self, container: str, archive: Path, patience: float) -> None:
        """Write the state of a running container into an archive, and let it run on; 0 seconds: as long as it takes.

        Raises RuntimeFailure, at once where the runtime cannot do that.
        """

    def reopen_log(self, container: str) -> None:
        """Write to a new log file from now on: the old one has been renamed."""

    async def process_of(self, container: str) -> Process:
        """What a created container runs, as far as the runtime tells."""

    async def observe(self) -> Observed:
        """All there is on this node."""

    async def stats(self, *, brief: bool = False) -> Mapping[str, Usage]:
        """Usage by container id, and by pod uid under `pod/UID`; of a brief one processor time and memory alone."""

    async def layers(self, containers: Collection[str]) -> Mapping[str, Used]:
        """What the writable layers of these containers take, as far as that is known."""

    def watch(self) -> AsyncIterator[ContainerSeen]:
        """Containers that end, as they end."""

    async def trouble(self) -> str:
        """Why no containers can be run now; empty when they can. Raises RuntimeFailure when nobody answers."""

    async def close(self) -> None:
        """Let go of the runtime; containers keep running."""


class Exec(Protocol):
    """A running exec or attachment."""

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        """The next bytes; empty at the end. A terminal has stdout only."""

    async def write(self, data: bytes) -> None:
        """Send to standard input. Raises BrokenPipeError when nobody reads."""

    def close_stdin(self) -> None:
        """End standard input."""

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size."""

    async def wait(self) -> int:
        """The exit code, once it has ended."""

    async def close(self) -> None:
        """End it, whatever it is doing."""
