"""The few settings that controllers need, handed in once by whoever composes the cluster."""

from collections.abc import Callable
from dataclasses import dataclass

from mizzen.controllers.heartbeats import Awake

Sign = Callable[[bytes, tuple[str, ...], int], bytes]
"""Signs a certificate request: (PEM request, usages, seconds) -> PEM certificate. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings; without `sign` nothing signs certificate requests."""

    root_ca: str = ""
    """PEM of the certificate authority that signed the API server's certificate."""
    cluster_cidrs: tuple[str, ...] = ("10.244.0.0/16",)
    node_mask_v4: int = 24
    node_mask_v6: int = 64
    load_balancer_pool: tuple[str, ...] = ()
    """Addresses, ranges (a-b) or CIDRs for Services of type LoadBalancer; empty: the addresses of the nodes."""
    local_path: str = "/var/lib/mizzen/volumes"
    sign: Sign | None = None
    certificate_seconds: int = 365 * 86400
    node_grace_seconds: float = 40.0
    """How long a silent node still counts as Ready."""
    awake: Awake | None = None
    """This process's own time, and since when it has been there; None: as the time of day tells."""
    node_startup_grace_seconds: float = 60.0
    finished_pods_kept: int = 12500
    """Finished pods beyond this many are deleted, oldest first."""
