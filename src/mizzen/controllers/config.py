"""The few settings that controllers need, handed in once by whoever composes the cluster."""

from collections.abc import Callable
from dataclasses import dataclass

Mint = Callable[[str, str, str, str, str], str]
"""Signs a long-lived token for (namespace, account name, account uid, secret name, secret uid)."""
Sign = Callable[[str, bytes, tuple[str, ...], int], bytes]
"""Signs a certificate request: (signer name, PEM request, usages, seconds) -> PEM certificate. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings; a seam that is None switches off the controller that needs it."""

    root_ca: str = ""
    """PEM of the certificate authority that signed the API server's certificate."""
    cluster_cidrs: tuple[str, ...] = ("10.244.0.0/16",)
    node_mask_v4: int = 24
    node_mask_v6: int = 64
    load_balancer_pool: tuple[str, ...] = ()
    """Addresses, ranges (a-b) or CIDRs for Services of type LoadBalancer; empty: the addresses of the nodes."""
    local_path: str = "/var/lib/mizzen/volumes"
    mint: Mint | None = None
    sign: Sign | None = None
    certificate_seconds: int = 365 * 86400
    node_grace_seconds: float = 40.0
    """How long a silent node still counts as Ready."""
    node_startup_grace_seconds: float = 60.0
    finished_pods_kept: int = 12500
    """Finished pods beyond this many are deleted, oldest first."""
