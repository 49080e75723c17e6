"""Role (rbac.authorization.k8s.io/v1): what may be done in one namespace."""

from mizzen.api.kind import Kind
from mizzen.api.rbac import rules
from mizzen.machinery import names

ROLE = Kind(
    group=rules.GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    namespaced=True,
    singular="role",
    check_name=names.path_segment,
    default=rules.default_role,
    validate=rules.validate_role,
    revalidates_metadata=2,
    create_on_update=True,
)
