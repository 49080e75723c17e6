"""ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1): rules in CEL that may refuse what is written."""

from collections.abc import Iterator

from mizzen.api.admissionregistration import policies
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.rules import expressions, fields
from mizzen.machinery.errors import FieldError, Object, duplicate, invalid, not_supported, required, too_long

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
ANNOTATION_LIMIT = 20
EXPRESSION_LIMIT = 5 << 10


def default(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    policies.default_constraints(spec.get("matchConstraints"))
    policy.setdefault("status", {})


def prepare(policy: Object, old: Object | None) -> None:
    policy["status"] = {} if old is None else old.get("status") or {}


def validate(policy: Object, old: Object | None) -> Iterator[FieldError]:
    spec = policy.get("spec") or {}
    yield from policies.spec_errors(spec)
    known = policies.variables(spec)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        yield required("spec.validations", "validations or auditAnnotations must be specified")
    for i, validation in enumerate(validations):
        yield from _validation_errors(f"spec.validations[{i}]", validation, known)
    if len(annotations) > ANNOTATION_LIMIT:
        yield invalid(
            "spec.auditAnnotations", len(annotations), f"must not have more than {ANNOTATION_LIMIT} auditAnnotations"
        )
    seen: set[str] = set()
    for i, annotation in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{i}]", annotation.get("key") or ""
        if not key:
            yield required(f"{path}.key")
        else:
            yield from fields.qualified_name(f"{path}.key", f"{name(policy)}/{key}")
        if key in seen:
            yield duplicate(f"{path}.key", key)
        seen.add(key)
        expression = annotation.get("valueExpression") or ""
        if len(expression) > EXPRESSION_LIMIT:
            yield too_long(f"{path}.valueExpression", EXPRESSION_LIMIT)
        yield from expressions.errors(f"{path}.valueExpression", expression, known, "dyn")


def _validation_errors(path: str, validation: Object, known: tuple[str, ...]) -> Iterator[FieldError]:
    yield from expressions.errors(f"{path}.expression", validation.get("expression"), known)
    message, spoken = validation.get("message"), validation.get("messageExpression")
    if message is not None and (not message.strip() or "\n" in message):
        detail = (
            "message must be non-empty if specified" if not message.strip() else "message must not contain line breaks"
        )
        yield invalid(f"{path}.message", message, detail)
    elif "\n" in (validation.get("expression") or "").strip() and not message and not spoken:
        yield required(f"{path}.message", "message must be specified if expression contains line breaks")
    if spoken:
        yield from expressions.errors(f"{path}.messageExpression", spoken, known, "string")
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
