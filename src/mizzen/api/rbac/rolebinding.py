"""RoleBinding (rbac.authorization.k8s.io/v1): who has a role in one namespace."""

from mizzen.api.kind import Kind
from mizzen.api.rbac import rules
from mizzen.machinery import names

ROLE_BINDING = Kind(
    group=rules.GROUP,
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    namespaced=True,
    singular="rolebinding",
    check_name=names.path_segment,
    default=rules.default_binding,
    validate=rules.validate_role_binding,
    revalidates_metadata=2,
    table=rules.BINDING_TABLE,
    create_on_update=True,
)
