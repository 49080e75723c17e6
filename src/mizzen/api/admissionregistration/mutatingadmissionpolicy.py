"""MutatingAdmissionPolicy (admissionregistration.k8s.io/v1): changes in CEL to what is written."""

from collections.abc import Iterator

from mizzen.api.admissionregistration import policies
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import expressions, fields
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

PATCHES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
REINVOCATION = ("IfNeeded", "Never")


def default(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    policies.default_constraints(spec.get("matchConstraints"))


def validate(policy: Object, old: Object | None) -> Iterator[FieldError]:
    spec = policy.get("spec") or {}
    yield from policies.spec_errors(spec)
    for i, rule in enumerate((spec.get("matchConstraints") or {}).get("resourceRules") or ()):
        for j, operation in enumerate(rule.get("operations") or ()):
            if operation == "DELETE":
                path = f"spec.matchConstraints.resourceRules[{i}].operations[{j}]"
                yield invalid(path, operation, "may not be matched: what is deleted cannot be mutated")
    mutations = spec.get("mutations") or ()
    if not mutations:
        yield required("spec.mutations", "mutations must contain at least one item")
    for i, mutation in enumerate(mutations):
        yield from _mutation_errors(f"spec.mutations[{i}]", mutation, spec)
    yield from fields.one_of("spec.reinvocationPolicy", spec.get("reinvocationPolicy"), REINVOCATION)


def _mutation_errors(path: str, mutation: Object, spec: Object) -> Iterator[FieldError]:
    known, declared = policies.variables(spec), policies.declared(spec)
    type_ = mutation.get("patchType") or ""
    if not type_:
        yield required(f"{path}.patchType")
        return
    if type_ not in PATCHES:
        yield not_supported(f"{path}.patchType", type_, tuple(PATCHES))
        return
    for other, field in PATCHES.items():
        given = mutation.get(field)
        if other == type_ and given is None:
            yield required(f"{path}.{field}", f"must be specified when patchType is {type_}")
        elif other == type_ and given is not None:
            expression = given.get("expression")
            yield from expressions.errors(f"{path}.{field}.expression", expression, known, "dyn", declared=declared)
        elif given is not None:
            yield invalid(f"{path}.{field}", given, f"must not be specified when patchType is {type_}")


MUTATING_ADMISSION_POLICY = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    namespaced=False,
    singular="mutatingadmissionpolicy",
    categories=("api-extensions",),
    default=default,
    validate=validate,
    bare_finalizers=True,
    compares_metadata=0,
    has_generation=True,
    unconditional_update=False,
    table=Table(
        columns=(NAME, Column("Mutations", type="integer"), Column("ParamKind"), AGE),
        row=lambda policy, now: [
            name(policy),
            len(policy["spec"].get("mutations") or ()),
            policies.param_kind_cell(policy),
            age(policy, now),
        ],
    ),
)
