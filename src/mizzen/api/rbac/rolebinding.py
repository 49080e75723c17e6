"""RoleBinding (rbac.authorization.k8s.io/v1)."""

from mizzen.api.kind import Kind

ROLE_BINDING = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    namespaced=True,
    singular="rolebinding",
)
