"""ClusterRole (rbac.authorization.k8s.io/v1): what may be done everywhere, perhaps gathered from other roles."""

from mizzen.api.kind import Kind
from mizzen.api.rbac import rules
from mizzen.machinery import names

CLUSTER_ROLE = Kind(
    group=rules.GROUP,
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    namespaced=False,
    singular="clusterrole",
    check_name=names.path_segment,
    default=rules.default_role,
    validate=rules.validate_cluster_role,
    revalidates_metadata=2,
    create_on_update=True,
)
