"""The status of ValidatingAdmissionPolicies: what a type checker says of their expressions.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from mizzen.api.admissionregistration.policies import VARIABLES
from mizzen.api.admissionregistration.validatingadmissionpolicy import VALIDATING_ADMISSION_POLICY
from mizzen.base import log
from mizzen.machinery.cel import typed
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.schema import Schema
from mizzen.server.bodies import schema_of_served
from mizzen.server.seams import Reader, Writer
from mizzen.server.served import Served

_log = log.get("admission")
_KINDS_CHECKED: Final = 10
"""Against how many kinds an expression is checked; the original stops there too."""
ServedKinds = Callable[[], Iterable[Served]]


class PolicyStatuses:
    """Writes the outcome of type checking into every policy whose spec is new."""

    def __init__(self, reader: Reader, writer: Writer, served: ServedKinds) -> None:
        self._writer = writer
        self._served = served
        self._unchecked: dict[str, Object] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        reader.subscribe(VALIDATING_ADMISSION_POLICY, self._changed)

    def start(self) -> None:
        """Check what is new until `close`."""
        self._task = asyncio.create_task(self._run(), name="policies")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._unchecked:
                await self._check(self._unchecked.popitem()[1])

    def _changed(self, key: str, _old: Object | None, new: Object | None) -> None:
        if new is None:
            self._unchecked.pop(key, None)
        elif (new.get("status") or {}).get("observedGeneration") != new["metadata"].get("generation"):
            self._unchecked[key] = new
            self._woken.set()

    async def _check(self, policy: Object) -> None:
        # A schema of some hundred messages takes milliseconds to learn, the first one a tenth of a second.
        found = await asyncio.to_thread(warnings, policy, tuple(self._served()))
        generation = policy["metadata"].get("generation")

        def change(obj: Object) -> None:
            if obj["metadata"].get("generation") == generation:
                checked = {"expressionWarnings": found} if found else {}
                obj["status"] = {**(obj.get("status") or {}), "observedGeneration": generation, "typeChecking": checked}

        try:
            await self._writer.modify(VALIDATING_ADMISSION_POLICY, "", policy["metadata"]["name"], change, "status")
        except ApiError as error:
            if error.code != 404:  # else it is gone, and its status with it
                _log.warning("status not written", policy=policy["metadata"]["name"], error=error.message)


def warnings(policy: Object, served: Iterable[Served]) -> list[Object]:
    """`{fieldRef, warning}` of every expression that does not fit a kind which the policy names."""
    known = list(served)
    parameter = _parameter(policy["spec"].get("paramKind"), known)
    matched = list(_matched(policy["spec"], known))[:_KINDS_CHECKED]
    found = []
    for path, expression in _expressions(policy["spec"]):
        lines = []
        for one in matched:
            schema = schema_of_served(one)
            schemas = {"object": schema, "oldObject": schema, **parameter}
            if problem := typed.problem(expression, (*VARIABLES, "params"), schemas):
                lines.append(f"{one.kind.api_version}, Kind={one.kind.kind}: {problem}\n")
        if lines:
            found.append({"fieldRef": path, "warning": "".join(lines)})
    return found


def _expressions(spec: Object) -> Iterator[tuple[str, str]]:
    for i, variable in enumerate(spec.get("variables") or ()):
        yield f"spec.variables[{i}].expression", variable["expression"]
    for i, validation in enumerate(spec.get("validations") or ()):
        yield f"spec.validations[{i}].expression", validation["expression"]
        if spoken := validation.get("messageExpression"):
            yield f"spec.validations[{i}].messageExpression", spoken


def _matched(spec: Object, served: Iterable[Served]) -> Iterator[Served]:
    """The kinds that the rules name one by one; a rule with a wildcard says nothing about types."""
    rules = (spec.get("matchConstraints") or {}).get("resourceRules") or ()
    names = {
        (group, version, resource)
        for rule in rules
        if not _is_wild(rule)
        for group in rule.get("apiGroups") or ()
        for version in rule.get("apiVersions") or ()
        for resource in rule.get("resources") or ()
    }
    for one in served:
        if (one.kind.group, one.kind.version, one.kind.plural) in names:
            yield one


def _is_wild(rule: Object) -> bool:
    return any("*" in text for field in ("apiGroups", "apiVersions", "resources") for text in rule.get(field) or ())


def _parameter(param_kind: Object | None, served: Iterable[Served]) -> Mapping[str, Schema]:
    if not param_kind:
        return {}
    wanted = param_kind.get("apiVersion"), param_kind.get("kind")
    found = next((one for one in served if (one.kind.api_version, one.kind.kind) == wanted), None)
    return {} if found is None else {"params": schema_of_served(found)}
