"""Deployment (apps/v1)."""

from mizzen.api.kind import Kind, Scale

DEPLOYMENT = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    namespaced=True,
    singular="deployment",
    short_names=("deploy",),
    categories=("all",),
    has_status=True,
    scale=Scale(),
)
