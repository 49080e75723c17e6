"""ClusterRole (rbac.authorization.k8s.io/v1)."""

from mizzen.api.kind import Kind

CLUSTER_ROLE = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    namespaced=False,
    singular="clusterrole",
)
