"""ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1): rules in CEL that may refuse what is written."""

import re
from collections.abc import Iterator

from mizzen.api.admissionregistration import policies
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.rules import conditions, expressions, fields
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ANNOTATION_LIMIT = 20
EXPRESSION_LIMIT = 5 << 10
_has_break = re.compile(r"[\n\r]").search


def default(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    policies.default_constraints(spec.get("matchConstraints"))
    conditions.fill(policy.setdefault("status", {}))


def prepare(policy: Object, old: Object | None) -> None:
    policy["status"] = {} if old is None else old.get("status") or {}


def validate(policy: Object, old: Object | None) -> Iterator[FieldError]:
    spec = policy.get("spec") or {}
    yield from policies.spec_errors(spec)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        for field in ("validations", "auditAnnotations"):
            yield required(f"spec.{field}", "validations or auditAnnotations must contain at least one item")
    for i, validation in enumerate(validations):
        yield from _validation_errors(f"spec.validations[{i}]", validation, spec)
    if len(annotations) > ANNOTATION_LIMIT:
        yield invalid(
            "spec.auditAnnotations", len(annotations), f"must not have more than {ANNOTATION_LIMIT} auditAnnotations"
        )
    keys: list[str] = []
    for i, annotation in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{i}]", annotation.get("key") or ""
        if name(policy):
            yield from fields.qualified_name(f"{path}.key", f"{name(policy)}/{key}")
        else:
            yield invalid(f"{path}.key", key, "requires metadata.name be non-empty")
        if key in keys:
            yield duplicate(f"{path}.key", key)
        keys.append(key)
        yield from _annotation_errors(f"{path}.valueExpression", annotation.get("valueExpression") or "", spec)


def _annotation_errors(path: str, expression: str, spec: Object) -> Iterator[FieldError]:
    """What is noted is a text, or null for nothing."""
    if len(expression.strip().encode()) > EXPRESSION_LIMIT:
        yield required(path, f"must not exceed {EXPRESSION_LIMIT} bytes in length")
    else:
        known, declared = policies.variables(spec), policies.declared(spec)
        yield from expressions.errors(path, expression, known, "string", "null", declared=declared)


def _validation_errors(path: str, validation: Object, spec: Object) -> Iterator[FieldError]:
    known, declared = policies.variables(spec), policies.declared(spec)
    yield from expressions.errors(f"{path}.expression", validation.get("expression"), known, declared=declared)
    message, spoken = validation.get("message") or "", validation.get("messageExpression") or ""
    if message and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif _has_break(message.strip()):
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    if spoken and not spoken.strip():
        yield invalid(f"{path}.messageExpression", spoken, "must be non-empty if specified")
    elif spoken:
        calm = tuple(name for name in known if name != "authorizer")
        yield from expressions.errors(f"{path}.messageExpression", spoken, calm, "string", declared=declared)
    reason = validation.get("reason")
    if reason is not None and reason not in REASONS:
        yield not_supported(f"{path}.reason", reason, REASONS)


VALIDATING_ADMISSION_POLICY = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    namespaced=False,
    singular="validatingadmissionpolicy",
    categories=("api-extensions",),
    default=default,
    prepare=prepare,
    validate=validate,
    bare_finalizers=True,
    compares_metadata=0,
    has_status=True,
    status_leaves=METADATA,
    has_generation=True,
    unconditional_update=False,
    table=Table(
        columns=(NAME, Column("Validations", type="integer"), Column("ParamKind"), AGE),
        row=lambda policy, now: [
            name(policy),
            len(policy["spec"].get("validations") or ()),
            policies.param_kind_cell(policy),
            age(policy, now),
        ],
    ),
)
