"""Kinds of the rbac.authorization.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.rbac.clusterrole import CLUSTER_ROLE
from mizzen.api.rbac.clusterrolebinding import CLUSTER_ROLE_BINDING
from mizzen.api.rbac.role import ROLE
from mizzen.api.rbac.rolebinding import ROLE_BINDING

KINDS: tuple[Kind, ...] = (
    CLUSTER_ROLE_BINDING,
    CLUSTER_ROLE,
    ROLE_BINDING,
    ROLE,
)
