"""Views of rbac.authorization.k8s.io/v1."""

from typing import Any

from mizzen.api.views.meta import LabelSelector, ObjectMeta, View


class AggregationRule(View, frozen=True, gc=False):
    clusterRoleSelectors: tuple[LabelSelector, ...] = ()


class ClusterRole(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    aggregationRule: AggregationRule | None = None
    rules: tuple[dict[str, Any], ...] = ()
