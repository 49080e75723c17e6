"""Policies that concern a request, each with one binding and one parameter object.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.api.kind import Kind
from mizzen.machinery import labels
from mizzen.machinery.cel import CelError, compile_expression, evaluate_variables
from mizzen.machinery.errors import Object
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.seams import Admission


class PolicyError(Exception):
    """A policy could not be evaluated; its failurePolicy says what that means."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A policy with a binding, and the variables its expressions see."""

    policy: Object
    binding: Object
    data: Mapping[str, Any]
    context: Context
    admission: Admission

    @property
    def spec(self) -> Object:
        spec: Object = self.policy["spec"]
        return spec

    @property
    def title(self) -> str:
        names = self.policy["metadata"]["name"], self.binding["metadata"]["name"]
        return f"{self.policy['kind']} '{names[0]}' with binding '{names[1]}'"

    @property
    def fails_open(self) -> bool:
        return bool(self.spec.get("failurePolicy") == "Ignore")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression. Raises CelError."""
        authorize = matching.authorize_by(self.context, self.admission)
        return compile_expression(expression, matching.VARIABLES).evaluate(self.data, authorize)


@dataclass(frozen=True, slots=True)
class Failed:
    """A policy that concerns the request but cannot be evaluated."""

    title: str
    why: str
    fails_open: bool


def concerned(context: Context, policies: Kind, bindings: Kind, admission: Admission) -> Iterator[Bound | Failed]:
    """Policies with each of their bindings and parameters, in order."""
    known = list(matching.configured(context.reader, policies))
    if not known:
        return
    by_policy: dict[str, list[Object]] = {}
    for binding in matching.configured(context.reader, bindings):
        by_policy.setdefault(binding["spec"].get("policyName", ""), []).append(binding)
    for policy in known:
        constraints = policy["spec"].get("matchConstraints") or {}
        held = by_policy.get(policy["metadata"]["name"])
        kind = matching.matched_kind(context, admission, constraints) if held else None
        if not held or kind is None or not matching.selects(context, admission, constraints):
            continue
        for binding in held:
            if _concerns(context, admission, binding):
                yield from _bound(context, admission, kind, policy, binding)


def _concerns(context: Context, admission: Admission, binding: Object) -> bool:
    limits = binding["spec"].get("matchResources")
    if not limits:
        return True
    if limits.get("resourceRules") and matching.matched_kind(context, admission, limits) is None:
        return False
    if matching.matched_kind(context, admission, {"resourceRules": limits.get("excludeResourceRules")}) is not None:
        return False
    return matching.selects(context, admission, limits)


def _bound(
    context: Context, admission: Admission, kind: Kind, policy: Object, binding: Object
) -> Iterator[Bound | Failed]:
    spec = policy["spec"]
    fails_open = spec.get("failurePolicy") == "Ignore"
    title = f"{policy['kind']} '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
    try:
        data = matching.data_of(context, admission, kind)
        if not matching.conditions_hold(context, admission, spec.get("matchConditions") or (), data):
            return
        parameters = list(_parameters(context, admission, spec.get("paramKind"), binding["spec"].get("paramRef")))
    except (CelError, PolicyError) as error:
        yield Failed(title, str(error), fails_open)
        return
    definitions = tuple((known["name"], known["expression"]) for known in spec.get("variables") or ())
    for parameter in parameters:
        seen = {**data, "params": parameter}
        if definitions:
            authorize = matching.authorize_by(context, admission)
            seen["variables"] = evaluate_variables(definitions, seen, matching.VARIABLES, authorize)
        yield Bound(policy, binding, seen, context, admission)


def _parameters(
    context: Context, admission: Admission, param_kind: Object | None, reference: Object | None
) -> Iterator[Object | None]:
    """The parameter objects to evaluate with; one None where the policy takes none. Raises PolicyError."""
    if not param_kind or not reference:
        yield None
        return
    kind = context.find_kind(param_kind.get("apiVersion", ""), param_kind.get("kind", ""))
    if kind is None:
        wanted = f"{param_kind.get('apiVersion')}, Kind={param_kind.get('kind')}"
        raise PolicyError(f"failed to find resource referenced by paramKind: '{wanted}'")
    namespace = reference.get("namespace") or (admission.namespace if kind.namespaced else "")
    if reference.get("name"):
        one = context.reader.get(kind, namespace, reference["name"])
        found = [one] if one is not None else []
    else:
        selector = labels.from_object(reference.get("selector"))
        objects = context.reader.list(kind, namespace)
        found = [obj for obj in objects if selector.matches(obj["metadata"].get("labels") or {})]
    if found:
        yield from found
    elif reference.get("parameterNotFoundAction", "Deny") != "Allow":
        raise PolicyError("no params found for policy binding with `Deny` parameterNotFoundAction")
