"""Binding (core/v1): a decision on which node a pod runs."""

from collections.abc import Iterator

from mizzen.api.kind import Kind
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")


def validate(binding: Object, _old: Object | None) -> Iterator[FieldError]:
    target = binding.get("target") or {}
    if (kind := target.get("kind") or "") not in {"", "Node"}:
        yield not_supported("target.kind", kind, ("Node", "<empty>"))
    if not (node := target.get("name")):
        yield required("target.name")
        return
    for problem in names.path_segment(node):
        yield invalid("target.name", node, problem)


def refusal(pod: Object) -> str:
    """Why a pod cannot be bound now; nothing when it can."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return f"pod {name} is being deleted, cannot be assigned to a host"
    if spec.get("nodeName"):
        return f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    if spec.get("schedulingGates"):
        return f"pod {name} has non-empty .spec.schedulingGates"
    return ""


def bind(pod: Object, binding: Object, now: str) -> None:
    """Assign a pod to the binding's target, in place; `now` is the time of the condition."""
    pod["spec"]["nodeName"] = binding["target"]["name"]
    given = binding.get("metadata") or {}
    metadata = pod["metadata"]
    if annotations := given.get("annotations"):
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    topology = {key: value for key, value in (given.get("labels") or {}).items() if key in _TOPOLOGY}
    if topology:
        metadata["labels"] = {**(metadata.get("labels") or {}), **topology}
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    status = pod.setdefault("status", {})
    others = [one for one in status.get("conditions") or () if one.get("type") != "PodScheduled"]
    status["conditions"] = [*others, scheduled]


BINDING = Kind(
    group="",
    version="v1",
    kind="Binding",
    plural="bindings",
    namespaced=True,
    singular="binding",
    verbs=("create",),
    validate=validate,
)
