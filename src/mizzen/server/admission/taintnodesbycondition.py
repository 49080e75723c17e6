"""TaintNodesByCondition: a new node takes no pods before it has reported that it is ready.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-nodes-by-condition
"""

from typing import Final

from mizzen.server.admission.plugin import Plugin
from mizzen.server.seams import Admission

_KEY: Final = "node.kubernetes.io/not-ready"


class TaintNodesByCondition(Plugin):
    """Adds the not-ready taint to new nodes."""

    name = "TaintNodesByCondition"
    resources = frozenset({("", "nodes")})

    def mutate(self, admission: Admission) -> None:
        if admission.object is None:
            return
        spec = admission.object.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(taint.get("key") == _KEY and taint.get("effect") == "NoSchedule" for taint in taints):
            spec["taints"] = [*taints, {"key": _KEY, "effect": "NoSchedule"}]
