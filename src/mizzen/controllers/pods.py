"""What controllers ask of pods: active, ready, available, and which to give up first."""

from collections.abc import Mapping, Sequence

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import ObjectMeta, condition
from mizzen.controllers.ownership import Identity, owned_by
from mizzen.controllers.status import created_at
from mizzen.machinery import times
from mizzen.machinery.errors import Object

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def is_finished(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def is_active(pod: Pod) -> bool:
    """Neither finished nor on its way out."""
    return not is_finished(pod) and not pod.metadata.deleting


def is_ready(pod: Pod) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)


def ready_since(pod: Pod) -> float | None:
    """When the pod became ready; None when it is not."""
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or ready.status != "True":
        return None
    return times.parse(ready.lastTransitionTime) if ready.lastTransitionTime else 0.0


def is_available(pod: Pod, min_ready_seconds: int, now: float) -> bool:
    """Ready for long enough."""
    if not min_ready_seconds:
        return is_ready(pod)
    since = ready_since(pod)
    return since is not None and since + min_ready_seconds <= now


def next_available(pods: Sequence[Pod], min_ready_seconds: int, now: float) -> float | None:
    """Seconds until the next ready pod becomes available."""
    if not min_ready_seconds:
        return None
    waits = [since + min_ready_seconds - now for pod in pods if (since := ready_since(pod)) is not None]
    return min((wait for wait in waits if wait > 0), default=None)


def restarts(pod: Pod) -> int:
    return max((one.restartCount for one in pod.status.containerStatuses), default=0)


def deletion_order(pods: Sequence[Pod], neighbours: Mapping[str, int]) -> list[Pod]:
    """Pods with the first to give up first; `neighbours` counts related pods on each node.

    Ref: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
    """

    def rank(pod: Pod) -> tuple[float, ...]:
        ready = ready_since(pod)
        return (
            bool(pod.spec.nodeName),
            {"Pending": 0, "Unknown": 1}.get(pod.status.phase, 2),
            ready is not None,
            _cost(pod),
            -neighbours.get(pod.spec.nodeName, 0),
            -(ready or 0.0),
            -restarts(pod),
            -created_at(pod.metadata),
        )

    return sorted(pods, key=lambda pod: (rank(pod), pod.metadata.name))


def _cost(pod: Pod) -> int:
    text = pod.metadata.annotations.get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def from_template(template: Object, owner: ObjectMeta, identity: Identity) -> Object:
    """A pod to create from a template, owned by the workload."""
    meta = template.get("metadata") or {}
    wanted: Object = {
        "generateName": f"{owner.name}-",
        "namespace": owner.namespace,
        "ownerReferences": owned_by(owner, identity),
    }
    for field in ("labels", "annotations", "finalizers"):
        if meta.get(field):
            wanted[field] = meta[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": wanted, "spec": template.get("spec") or {}}
