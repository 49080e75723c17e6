"""What Services say that is allowed and yet hardly meant, as texts for `Warning` headers."""

from collections.abc import Iterator

from mizzen.api.rules.addresses import block_warnings, warnings
from mizzen.machinery.errors import Object

_HINTS = "service.kubernetes.io/topology-aware-hints"
_MODE = "service.kubernetes.io/topology-mode"


def warn(service: Object, _old: Object | None) -> Iterator[str]:
    spec = service["spec"]
    if _HINTS in (service["metadata"].get("annotations") or {}):
        yield f"annotation {_HINTS} is deprecated, please use {_MODE} instead"
    headless, by_name = spec.get("clusterIP") == "None", spec.get("type") == "ExternalName"
    for i, address in enumerate(() if headless or by_name else spec.get("clusterIPs") or ()):
        yield from warnings(f"spec.clusterIPs[{i}]", address)
    external = spec.get("externalIPs") or ()
    if headless and spec.get("type") == "ClusterIP":
        yield from _headless_warnings(spec)
    elif external and not by_name:
        yield "spec.externalIPs is deprecated and may no longer be implemented in some clusters"
    for i, address in enumerate(external):
        yield from warnings(f"spec.externalIPs[{i}]", address)
    if spec.get("loadBalancerIP"):
        yield from warnings("spec.loadBalancerIP", spec["loadBalancerIP"])
    for i, block in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        yield from block_warnings(f"spec.loadBalancerSourceRanges[{i}]", block)
    if by_name and external:
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if not by_name and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


def _headless_warnings(spec: Object) -> Iterator[str]:
    for field in ("loadBalancerIP", "externalIPs"):
        if spec.get(field):
            yield f"spec.{field} is ignored for headless services"
    if spec.get("sessionAffinity") not in {None, "", "None"}:
        yield "spec.SessionAffinity is ignored for headless services"
