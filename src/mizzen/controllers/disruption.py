"""How controllers mark a pod that they are about to take away."""

import msgspec

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import is_true
from mizzen.client.resources import PODS
from mizzen.controllers.status import with_condition
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Patch


def doomed(pod: Pod, reason: str, message: str, now: float, phase: str = "") -> tuple[Patch, ...]:
    """Set the DisruptionTarget condition (and a final phase); nothing when the pod carries them already."""
    status: Object = {}
    if not is_true(pod.status.conditions, "DisruptionTarget"):
        conditions = with_condition(pod.status.conditions, "DisruptionTarget", "True", reason, message, now)
        written = (msgspec.to_builtins(one) for one in conditions)
        status["conditions"] = [{k: v for k, v in one.items() if v not in (None, "")} for one in written]
    if phase and pod.status.phase not in ("Succeeded", "Failed"):
        status["phase"] = phase
    if not status:
        return ()
    meta = pod.metadata
    return (Patch(PODS, meta.namespace, meta.name, {"status": status}, subresource="status", uid=meta.uid),)
