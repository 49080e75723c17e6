"""Lease (coordination.k8s.io/v1)."""

from mizzen.api.kind import Kind

LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    namespaced=True,
    singular="lease",
)
