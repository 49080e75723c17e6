"""An APIService for every version of a group that the server serves by itself."""

from collections.abc import Iterator
from typing import Final

from mizzen.api.kinds import KINDS
from mizzen.machinery.errors import Object

_AUTOMANAGED: Final = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
_SELF: Final = "apiregistration.k8s.io"
"""The group of the APIServices themselves needs none."""
_PRIORITIES: Final = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "resource.k8s.io": 15900,
}
_LAST_PRIORITY: Final = 15000
_VERSION_PRIORITIES: Final = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21}
_VERSION_PRIORITY: Final = 15


def api_services() -> Iterator[Object]:
    """One object for each group and version, in the order of the groups' names."""
    for group, version in sorted({(kind.group, kind.version) for kind in KINDS} - {(_SELF, "v1")}):
        spec = {
            "version": version,
            "groupPriorityMinimum": _PRIORITIES.get(group, _LAST_PRIORITY),
            "versionPriority": _VERSION_PRIORITIES.get((group, version), _VERSION_PRIORITY),
        }
        yield {
            "apiVersion": f"{_SELF}/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}", "labels": dict(_AUTOMANAGED)},
            "spec": {"group": group, **spec} if group else spec,
        }
