"""DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or unreachable.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
"""

from typing import Final

from mizzen.machinery.errors import Object
from mizzen.server.admission.plugin import WRITES, Plugin
from mizzen.server.seams import Admission

SECONDS: Final = 300
_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(Plugin):
    """Adds the two tolerations where a pod has none of its own for them."""

    name = "DefaultTolerationSeconds"
    operations = WRITES
    resources = frozenset({("", "pods")})

    def mutate(self, admission: Admission) -> None:
        if admission.object is None:
            return
        spec = admission.object.setdefault("spec", {})
        tolerations = spec.get("tolerations") or []
        missing = [taint for taint in _TAINTS if not any(_covers(known, taint) for known in tolerations)]
        if missing:
            spec["tolerations"] = [*tolerations, *(_toleration(taint) for taint in missing)]


def _covers(toleration: Object, taint: str) -> bool:
    return (toleration.get("key") or taint) == taint and toleration.get("effect") in (None, "", "NoExecute")


def _toleration(taint: str) -> Object:
    return {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
