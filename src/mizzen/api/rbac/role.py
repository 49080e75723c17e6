"""Role (rbac.authorization.k8s.io/v1)."""

from mizzen.api.kind import Kind

ROLE = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="Role",
    plural="roles",
    namespaced=True,
    singular="role",
)
