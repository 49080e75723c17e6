"""What an agent is told once, at its start."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mizzen.agent.images.providerconfig import Provider
from mizzen.agent.images.records import Policy
from mizzen.agent.runtime import cdi
from mizzen.agent.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One node. Every name on disk, among cgroups and mounts derives from `root` and `node_name`."""

    node_name: str
    root: Path
    images_root: Path
    node_ips: tuple[str, ...]
    runtime: str = "crun"
    cri_socket: str = ""
    port: int = 10250
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    unschedulable: bool = False
    capacity: Mapping[str, str] = field(default_factory=dict)
    """Overrides what is measured; quantities by resource."""
    reserved: Mapping[str, str] = field(default_factory=dict)
    """Kept for the machine itself: taken off capacity, and pods together cannot have it either."""
    enforces: bool = True
    """Whether pods together are held to what is not reserved."""
    max_pods: int = 110
    pod_pids: int = 0
    static_cpus: bool = False
    """Whether guaranteed pods that ask for whole processors have them for themselves."""
    cpu_options: frozenset[str] = frozenset()
    reserved_cpus: str = ""
    """Processors that no container has for itself; empty: as many as are reserved, those with the lowest numbers."""
    alignment: str = "none"
    """The policy of the topology manager, for processors that pods have for themselves."""
    alignment_scope: str = "container"
    limited_swap: bool = False
    """Whether burstable pods have their share of the machine's swap space; others never swap."""
    fails_on_swap: bool = False
    """Whether a machine with swap space is none for this node."""
    unsafe_sysctls: tuple[str, ...] = ()
    """Sysctls that pods may set beside the safe ones; a star at the end stands for anything."""
    version: str = "v1.37.0"
    provider_id: str = ""
    pod_cidrs: tuple[str, ...] = ()
    """The ranges that the node brings along; without any the cluster gives it some."""
    runtime_handlers: tuple[str, ...] = ()
    parallel_pulls: int = 0
    """How many images are pulled at once; 0: as many as are asked for."""
    quotas: bool = True
    """Whether limits of the processor are enforced."""
    ends_whole: bool = True
    """Whether a container out of memory ends as a whole, not one process of it (control groups of version 2)."""
    images_shown: int = 50
    """The largest images that the node's status names; less than nothing: all of them."""
    image_verification: Policy = "NeverVerifyPreloadedImages"
    """Which images that are here already are for those pods only that could pull them."""
    unverified_images: tuple[str, ...] = ()
    """Names of images, or `NAME/*`, that everybody may use where that says NeverVerifyAllowlistedImages."""
    credential_providers: tuple[Provider, ...] = ()
    credential_programs: Path = Path("/usr/libexec/kubernetes/image-credential-providers")
    """Programs that are asked for credentials of registries, and where they are."""
    seccomp_root: Path = Path("/var/lib/kubelet/seccomp")
    cdi_directories: tuple[Path, ...] = cdi.DIRECTORIES
    static_pods: Path | None = None
    log_size: int = 10 << 20
    log_files: int = 5
    lease_seconds: int = 40
    heartbeat: float = 10.0
    report_every: float = 300.0
    host_resolv_conf: Path = Path("/etc/resolv.conf")
    thresholds: Thresholds = field(default_factory=Thresholds)
    merges_thresholds: bool = False
    """Whether thresholds that a configuration does not name keep their defaults."""
    longest_crash_delay: float = 300.0
    """Seconds that a container which keeps failing waits at most."""
    shutdown_grace: float = 0.0
    shutdown_grace_critical: float = 0.0
    shutdown_graces: Mapping[int, float] = field(default_factory=dict)
    """Seconds that pods have from each priority on, in place of these two."""

    @property
    def kubelet(self) -> Path:
        """What pods know as /var/lib/kubelet."""
        return self.root / "kubelet"

    @property
    def cdi(self) -> Path | None:
        """What pods know as /var/run/cdi; None with a runtime of its own, which reads its machine's."""
        return None if self.runtime == "cri" else self.root / "cdi"

    @property
    def logs(self) -> Path:
        """What pods know as /var/log."""
        return self.root / "logs"

    @property
    def cgroup_parent(self) -> str:
        """A control group that no other agent on this machine uses."""
        return f"/mizzen-{hashlib.sha256(str(self.root).encode()).hexdigest()[:8]}-{self.node_name}"
