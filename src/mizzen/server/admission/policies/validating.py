"""ValidatingAdmissionPolicy: expressions that must be true, or the request is refused, warned of, or noted.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

import time
from typing import Final

import orjson

from mizzen.api.admissionregistration.validatingadmissionpolicy import VALIDATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.validatingadmissionpolicybinding import VALIDATING_ADMISSION_POLICY_BINDING
from mizzen.api.kind import Kind
from mizzen.machinery.cel import CelError
from mizzen.machinery.cel.timing import limited
from mizzen.machinery.errors import Object
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.admission.policies import bound
from mizzen.server.admission.policies.bound import Bound, Failed
from mizzen.server.seams import Admission, Operation

_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}
_ANNOTATION: Final = "validation.policy.admission.k8s.io/validation_failure"


class ValidatingAdmissionPolicy(Plugin):
    """Evaluates the validating policies."""

    name = "ValidatingAdmissionPolicy"

    def __init__(self, context: Context) -> None:
        self._context = context

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return kind.group != matching.REGISTRATION and kind.group not in matching.REVIEWS

    def validate(self, admission: Admission) -> None:
        kinds = VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING
        with limited(time.thread_time, matching.CEL_SECONDS):
            for found in bound.concerned(self._context, *kinds, admission):
                if isinstance(found, Failed):
                    if not found.fails_open:
                        _deny(admission, found.title, found.why, "Invalid")
                    continue
                self._check(admission, found)

    def _check(self, admission: Admission, found: Bound) -> None:
        actions = found.binding["spec"].get("validationActions") or ("Deny",)
        noted: list[Object] = []
        for position, validation in enumerate(found.spec.get("validations") or ()):
            problem = _problem(found, validation)
            if problem is None:
                continue
            if "Warn" in actions:
                text = f"Validation failed for {found.title}: {problem}"
                admission.warnings.append(text)
            if "Audit" in actions:
                noted.append(
                    {
                        "message": problem,
                        "policy": found.policy["metadata"]["name"],
                        "binding": found.binding["metadata"]["name"],
                        "expressionIndex": position,
                        "validationActions": list(actions),
                    }
                )
            if "Deny" in actions:
                _deny(admission, found.title, problem, validation.get("reason") or "Invalid")
        if noted:
            admission.annotations[_ANNOTATION] = orjson.dumps(noted).decode()
        self._annotate(admission, found)

    @staticmethod
    def _annotate(admission: Admission, found: Bound) -> None:
        for annotation in found.spec.get("auditAnnotations") or ():
            try:
                value = found.evaluate(annotation["valueExpression"])
            except CelError as error:
                if not found.fails_open:
                    _deny(admission, found.title, str(error), "Invalid")
                continue
            if value:
                admission.annotations[f"{found.policy['metadata']['name']}/{annotation['key']}"] = str(value)


def _problem(found: Bound, validation: Object) -> str | None:
    """What a validation has against the request; None when it holds."""
    try:
        if found.evaluate(validation["expression"]) is True:
            return None
    except CelError as error:
        return None if found.fails_open else str(error)
    if validation.get("messageExpression"):
        try:
            message = found.evaluate(validation["messageExpression"])
        except CelError:
            message = None
        if isinstance(message, str) and message.strip() and "\n" not in message.strip():
            return message.strip()
    return str(validation.get("message") or f"failed expression: {validation['expression'].strip()}")


def _deny(admission: Admission, title: str, why: str, reason: str) -> None:
    told = f"{title} denied request: {why}"
    error = refusal(admission, told)
    error.reason, error.code = reason, _CODES.get(reason, 422)
    # kubectl shows nothing but the causes of what is Invalid.
    error.details["causes"] = [{"message": told}]
    raise error
