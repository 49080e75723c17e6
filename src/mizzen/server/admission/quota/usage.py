"""What one object takes from a quota, by the names that quotas use.

Ref: https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from typing import Final

from mizzen.api.kind import Kind
from mizzen.api.resource import devicecounts
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.machinery.quantity import Quantity
from mizzen.server.admission import podresources
from mizzen.server.admission.podresources import Amounts

_ONE: Final = Quantity(quantity.NANO)
_STANDARD: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
_COUNTED: Final = frozenset(
    {"configmaps", "secrets", "replicationcontrollers", "resourcequotas", "services", "persistentvolumeclaims", "pods"}
)
"""Core resources that may be counted by their plain name too."""
_CONSTRAINED: Final = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_CLASS_SUFFIX: Final = ".storageclass.storage.k8s.io"
_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"


def count_name(kind: Kind) -> str:
    """`count/deployments.apps`."""
    return f"count/{kind.qualified_plural}"


def of(kind: Kind, obj: Object) -> Amounts:
    """What an object takes."""
    taken: Amounts = {count_name(kind): _ONE}
    if kind.qualified_plural == "resourceclaims.resource.k8s.io":
        counts = devicecounts.by_class(obj["spec"])
        return taken | {name: Quantity(count * quantity.NANO) for name, count in counts.items()}
    if kind.group:
        return taken
    if kind.plural in _COUNTED:
        taken[kind.plural] = _ONE
    match kind.plural:
        case "pods":
            taken |= of_pod(obj)
        case "services":
            taken |= _of_service(obj)
        case "persistentvolumeclaims":
            taken |= _of_claim(obj)
    return taken


def of_pod(pod: Object) -> Amounts:
    """What a pod's containers ask for; a finished pod takes nothing but its count."""
    taken: Amounts = {}
    for name, amount in podresources.total(pod, "requests").items():
        if name in _STANDARD:
            taken[name] = amount
        taken[f"requests.{name}"] = amount
    for name, amount in podresources.total(pod, "limits").items():
        if name in _STANDARD:
            taken[f"limits.{name}"] = amount
    return taken


def _of_service(service: Object) -> Amounts:
    spec = service["spec"]
    ports = len(spec.get("ports") or ())
    type_ = spec.get("type")
    taken: Amounts = {}
    if type_ == "LoadBalancer":
        taken["services.loadbalancers"] = _ONE
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = sum(1 for port in spec.get("ports") or () if port.get("nodePort"))
    if type_ in ("NodePort", "LoadBalancer"):
        taken["services.nodeports"] = Quantity(ports * quantity.NANO)
    return taken


def _of_claim(claim: Object) -> Amounts:
    spec = claim["spec"]
    size = quantity.parse(((spec.get("resources") or {}).get("requests") or {}).get("storage", "0"))
    taken: Amounts = {"requests.storage": size}
    name = spec.get("storageClassName") or (claim["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
    if name:
        taken[f"{name}{_CLASS_SUFFIX}/requests.storage"] = size
        taken[f"{name}{_CLASS_SUFFIX}/persistentvolumeclaims"] = _ONE
    return taken


def unstated(pod: Object, limited: set[str]) -> dict[str, list[str]]:
    """Containers that do not say what a quota limits, by the name of the resource.

    A quota on cpu cannot be kept when a pod does not tell how much it takes.
    """
    missing: dict[str, list[str]] = {}
    stated = of_pod({"spec": {"resources": pod["spec"].get("resources")}})
    for name in _CONSTRAINED:
        if name not in limited or name in stated:
            continue
        kind, _, resource = name.rpartition(".")
        field = "limits" if kind == "limits" else "requests"
        silent = [
            container.get("name", "")
            for containers in ("containers", "initContainers")
            for container in pod["spec"].get(containers) or ()
            if resource not in ((container.get("resources") or {}).get(field) or {})
        ]
        if silent:
            missing[name] = silent
    return missing
