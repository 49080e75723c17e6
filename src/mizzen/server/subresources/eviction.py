"""Eviction: a delete that asks the pod's disruption budget first.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

from collections.abc import Mapping
from typing import Any, Final

from mizzen.api.core.pod import POD
from mizzen.api.policy.poddisruptionbudget import POD_DISRUPTION_BUDGET
from mizzen.base.clock import Clock
from mizzen.machinery import labels, times
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.server.call import Call, Write
from mizzen.server.options import DeleteOptions, WriteOptions, delete_options, write_options
from mizzen.server.registry import Registry
from mizzen.server.seams import Reader, Writer

_VIOLATION: Final = "Cannot evict pod as it would violate the pod's disruption budget."
_RETRY_SECONDS: Final = 10
_DISRUPTED_LIMIT: Final = 2_000
_DISRUPTED: Final = {
    "type": "DisruptionTarget",
    "status": "True",
    "lastProbeTime": None,
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}
_FINISHED: Final = ("Succeeded", "Failed", "Pending")


class Evictions:
    """Evicts pods."""

    def __init__(self, registry: Registry, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._registry = registry
        self._reader = reader
        self._writer = writer
        self._clock = clock

    async def __call__(self, call: Call, eviction: Object) -> Object:
        """Delete the pod if its budget allows. Raises ApiError 404, 429."""
        namespace, name = call.info.namespace, call.info.name
        if eviction["metadata"].get("name") != name:
            raise Errors.bad_request("name in URL does not match name in Eviction object")
        asked = write_options(call.request, "CreateOptions")
        options = delete_options(call.request, eviction.get("deleteOptions") or {})
        dry_run = asked.dry_run or options.dry_run
        pod = self._reader.get(POD, namespace, name)
        if pod is None:
            raise Errors.not_found("", "pods", name)
        if not _is_free(pod):
            await self._spend(pod, dry_run=dry_run)
        if not dry_run:
            await self._mark(namespace, name)
            deletion = Write(
                call.served, namespace, name, call.user, options=WriteOptions(), warnings=call.warnings, admitted=True
            )
            uid = options.uid or pod["metadata"]["uid"]
            await self._registry.delete(
                deletion, DeleteOptions(False, options.grace, options.propagation, uid, options.revision)
            )
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    async def _mark(self, namespace: str, name: str) -> None:
        """Let the pod say why it goes."""
        now = times.format(self._clock.now())

        def mark(pod: Object) -> None:
            status = pod.setdefault("status", {})
            others = [one for one in status.get("conditions") or () if one.get("type") != "DisruptionTarget"]
            status["conditions"] = [*others, {**_DISRUPTED, "lastTransitionTime": now}]

        await self._writer.modify(POD, namespace, name, mark, "status")

    async def _spend(self, pod: Object, *, dry_run: bool) -> None:
        """Take one disruption from the pod's budget. Raises ApiError 429."""
        meta = pod["metadata"]
        budgets = [
            budget
            for budget in self._reader.list(POD_DISRUPTION_BUDGET, meta["namespace"])
            if labels.from_object((budget.get("spec") or {}).get("selector")).matches(meta.get("labels"))
        ]
        if len(budgets) > 1:
            text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiError(500, "", text)
        if not budgets or _may_go_unhealthy(pod, budgets[0]):
            return
        check_budget(budgets[0])
        if dry_run:
            return
        now = times.format(self._clock.now())

        def spend(budget: Object) -> None:
            check_budget(budget)
            status = budget["status"]
            status["disruptionsAllowed"] -= 1
            status.setdefault("disruptedPods", {})[meta["name"]] = now

        name = budgets[0]["metadata"]["name"]
        await self._writer.modify(POD_DISRUPTION_BUDGET, meta["namespace"], name, spend, "status")


def _is_free(pod: Object) -> bool:
    """Whether no budget protects a pod: it is finished, not started, or on its way out."""
    return bool((pod.get("status") or {}).get("phase") in _FINISHED or pod["metadata"].get("deletionTimestamp"))


def _may_go_unhealthy(pod: Object, budget: Object) -> bool:
    """Whether a pod that is not ready may go, by the budget's policy for such."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions):
        return False
    policy = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") or "IfHealthyBudget"
    if policy == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy", 0)
    return bool(desired > 0 and status.get("currentHealthy", 0) >= desired)


def check_budget(budget: Mapping[str, Any]) -> None:
    """Raises ApiError 429 when a budget has nothing left to spend, 403 when it cannot be relied on."""
    status, meta = budget.get("status") or {}, budget["metadata"]
    name = meta["name"]
    allowed = status.get("disruptionsAllowed", 0)
    if (meta.get("generation") or 0) > (status.get("observedGeneration") or 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.")
    if allowed < 0:
        raise Errors.forbidden("policy", "poddisruptionbudgets", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or ()) > _DISRUPTED_LIMIT:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise Errors.forbidden("policy", "poddisruptionbudgets", name, why)
    if allowed == 0:
        needs, has = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refused(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently", retry=False)


def _refused(why: str, *, retry: bool = True) -> ApiError:
    error = Errors.too_many_requests(_VIOLATION, _RETRY_SECONDS)
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if not retry:
        error.retry_after = None
    return error
