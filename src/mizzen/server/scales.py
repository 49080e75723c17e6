"""A workload's replicas as a Scale.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/scale-v1/
"""

from typing import Any

from mizzen.api.kind import Scale
from mizzen.machinery import labels, paths
from mizzen.machinery.errors import Object


def scale_of(obj: Object, scale: Scale) -> Object:
    """The Scale of a workload."""
    meta = obj["metadata"]
    kept = {
        name: meta[name]
        for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if meta.get(name)
    }
    replicas = paths.get(obj, scale.replicas, 0)
    status: Object = {"replicas": paths.get(obj, scale.status_replicas, 0)}
    selector = _selector(paths.get(obj, scale.selector)) if scale.selector else ""
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": kept,
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector(value: Any) -> str:
    """A selector in its text form, be it text, a LabelSelector or a plain map."""
    if not isinstance(value, dict):
        return value if isinstance(value, str) else ""
    if all(isinstance(inner, str) for inner in value.values()):
        return str(labels.from_labels(value))
    return labels.format_object(value)
