"""ClusterRoleBinding (rbac.authorization.k8s.io/v1)."""

from mizzen.api.kind import Kind

CLUSTER_ROLE_BINDING = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    namespaced=False,
    singular="clusterrolebinding",
)
