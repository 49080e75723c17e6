"""MutatingAdmissionPolicy: expressions that yield an apply configuration or a JSON patch for the object.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

import time
from typing import Any, Final

from mizzen.api.admissionregistration.mutatingadmissionpolicy import MUTATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.mutatingadmissionpolicybinding import MUTATING_ADMISSION_POLICY_BINDING
from mizzen.api.kind import Kind
from mizzen.machinery.cel import CelError
from mizzen.machinery.cel.timing import limited
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.patch import json as json_patch
from mizzen.machinery.patch.apply import check, combine
from mizzen.machinery.schema import DEDUCED
from mizzen.machinery.schema import registry as schemas
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.admission.policies import bound
from mizzen.server.admission.policies.bound import Bound, Failed
from mizzen.server.seams import Admission, Operation

_UNTOUCHABLE: Final = ("apiVersion", "kind")


class MutatingAdmissionPolicy(Plugin):
    """Evaluates the mutating policies, each on what the one before has made."""

    name = "MutatingAdmissionPolicy"

    def __init__(self, context: Context) -> None:
        self._context = context

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        if kind.group == matching.REGISTRATION or kind.group in matching.REVIEWS:
            return False
        return operation in ("CREATE", "UPDATE")

    def mutate(self, admission: Admission) -> None:
        kinds = MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING
        with limited(time.thread_time, matching.CEL_SECONDS):
            for found in bound.concerned(self._context, *kinds, admission):
                if isinstance(found, Failed):
                    if not found.fails_open:
                        raise refusal(admission, f"{found.title} denied request: {found.why}")
                    continue
                self._apply(admission, found)

    @staticmethod
    def _apply(admission: Admission, found: Bound) -> None:
        obj = admission.object
        try:
            for mutation in found.spec.get("mutations") or ():
                obj = _mutated(obj or {}, found, mutation, admission.kind)
            if obj is not None and obj != admission.object and not matching.is_foreign(admission):
                obj = matching.complete(admission.kind, obj)
        except (CelError, ApiError, ValueError) as error:
            if found.fails_open:
                return
            raise refusal(admission, f"{found.title} denied request: {error}") from error
        if obj is not None:
            admission.object = obj


def _mutated(obj: Object, found: Bound, mutation: Object, kind: Kind) -> Object:
    seen = Bound(found.policy, found.binding, {**found.data, "object": obj}, found.context, found.admission)
    if mutation.get("patchType") == "JSONPatch":
        patched: Object = json_patch.apply(obj, seen.evaluate(mutation["jsonPatch"]["expression"]))
        return patched
    wanted: Any = seen.evaluate(mutation["applyConfiguration"]["expression"])
    if not isinstance(wanted, dict):
        raise ValueError("an apply configuration must be an object")
    if any(name in wanted for name in _UNTOUCHABLE):
        raise ValueError("may not set apiVersion or kind")
    schema = kind.structure or schemas.find(kind.group, kind.version, kind.kind) or DEDUCED
    check({"apiVersion": kind.api_version, "kind": kind.kind, **wanted}, schema)
    merged: Object = combine.merge(obj, wanted, schema)
    return merged
