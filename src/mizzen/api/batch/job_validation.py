"""What a Job's spec must satisfy, and what may change of it.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/
"""

from collections.abc import Iterator

from mizzen.api.podspec.spec import template_errors
from mizzen.api.rules import fields, workloads
from mizzen.api.rules.equality import same
from mizzen.machinery import labels, names
from mizzen.machinery.errors import (
    FieldError,
    Object,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)

UID_LABEL = "batch.kubernetes.io/controller-uid"
NAME_LABEL = "batch.kubernetes.io/job-name"
OLD_UID_LABEL = "controller-uid"
OLD_NAME_LABEL = "job-name"
_MODES = ("Indexed", "NonIndexed")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_RESTARTS = ("OnFailure", "Never")
_STATUSES = ("False", "True", "Unknown")
_MAX_INDEXES = 100_000
_MOST_FOR_MANY_INDEXES = 10_000
_MAX_RULES = 20
_MAX_CODES = 255
_MAX_INDEX_TEXT = 64 << 10
_MAX_MANAGED_BY = 63
_WHILE_SUSPENDED = ("nodeSelector", "tolerations", "schedulingGates")


def generated_labels(name: str, uid: str) -> Object:
    """The labels by which the pods of a Job know it, in the newer and in the older form."""
    return {UID_LABEL: uid, NAME_LABEL: name, OLD_UID_LABEL: uid, OLD_NAME_LABEL: name}


def spec_errors(spec: Object) -> Iterator[FieldError]:
    """A Job's spec together with its selector."""
    yield from job_spec_errors("spec", spec)
    selector = spec.get("selector")
    if selector is None:
        yield required("spec.selector")
    else:
        yield from labels.validate_selector(selector, "spec.selector")
    if workloads.is_readable(selector):
        yield from workloads.match_errors("spec.template", selector, spec["template"])


def own_errors(job: Object) -> Iterator[FieldError]:
    """What must fit the Job's own name and identity."""
    spec = job["spec"]
    if not spec.get("manualSelector") and spec.get("selector") is not None:
        yield from _generated_errors(job)
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        own = job["metadata"].get("name") or ""
        longest = f"{own}-{spec['completions'] - 1}"
        if any(names.dns1123_label(longest)):
            detail = f"will not able to create pod with invalid DNS label: {longest}"
            yield invalid("metadata.name", own, detail)


def _generated_errors(job: Object) -> Iterator[FieldError]:
    """A selector nobody chose must be the generated one."""
    metadata, spec = job["metadata"], job["spec"]
    own = ((spec["template"].get("metadata") or {}).get("labels")) or {}
    if not metadata.get("uid"):
        yield required("metadata.uid")
    expected = generated_labels(metadata.get("name") or "", metadata.get("uid") or "")
    for label, value in expected.items():
        path = f"spec.template.metadata.labels[{label}]"
        if label not in own:
            yield required(path, f"must be '{value}'")
        elif own[label] != value:
            yield invalid(path, own, f"must be '{value}'")
    if workloads.is_readable(spec["selector"]) and not labels.from_object(spec["selector"]).matches(expected):
        yield invalid("spec.selector", spec["selector"], "`selector` not auto-generated")


def size_warnings(path: str, spec: Object) -> Iterator[str]:
    """A Job of so many pods may forget which of them failed."""
    is_indexed = spec.get("completionMode") == "Indexed"
    if is_indexed and (spec.get("completions") or 0) > 100_000 and (spec.get("parallelism") or 0) > 10_000:
        yield (
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4"
            ", Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )


def job_spec_errors(path: str, spec: Object) -> Iterator[FieldError]:
    """A Job's spec without its selector, as CronJobs have it too."""
    counts = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    yield from workloads.not_negative(path, spec, *counts, "backoffLimitPerIndex", "maxFailedIndexes")
    yield from _completion_errors(path, spec)
    template = spec["template"]
    if (policy := spec.get("podFailurePolicy")) is not None:
        yield from _failure_policy_errors(f"{path}.podFailurePolicy", policy, spec)
    if (policy := spec.get("successPolicy")) is not None:
        yield from _success_policy_errors(f"{path}.successPolicy", policy, spec)
    if (policy := spec.get("podReplacementPolicy")) is not None:
        choices = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        if policy not in choices:
            yield not_supported(f"{path}.podReplacementPolicy", policy, choices)
    if (manager := spec.get("managedBy")) is not None:
        yield from fields.domain_prefixed_path(f"{path}.managedBy", manager)
        if len(manager) > _MAX_MANAGED_BY:
            yield too_long(f"{path}.managedBy", _MAX_MANAGED_BY)
    yield from template_errors(f"{path}.template", template)
    restart = template["spec"].get("restartPolicy")
    if restart in {"Always", "", None}:
        yield required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif restart not in _RESTARTS:
        yield not_supported(f"{path}.template.spec.restartPolicy", restart, _RESTARTS)
    elif restart != "Never" and spec.get("podFailurePolicy") is not None:
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        yield invalid(f"{path}.template.spec.restartPolicy", restart, detail)


def _completion_errors(path: str, spec: Object) -> Iterator[FieldError]:
    mode = spec.get("completionMode")
    most, per_index = spec.get("maxFailedIndexes"), spec.get("backoffLimitPerIndex")
    if mode is not None and mode not in _MODES:
        yield not_supported(f"{path}.completionMode", mode, _MODES)
    if most is not None and per_index is None:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if mode in {None, "NonIndexed"}:
        for field, value in (("backoffLimitPerIndex", per_index), ("maxFailedIndexes", most)):
            if value is not None:
                yield invalid(f"{path}.{field}", value, "requires indexed completion mode")
    elif mode == "Indexed":
        yield from _indexed_errors(path, spec)


def _indexed_errors(path: str, spec: Object) -> Iterator[FieldError]:
    completions = spec.get("completions")
    most, per_index = spec.get("maxFailedIndexes"), spec.get("backoffLimitPerIndex")
    if completions is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if (parallelism := spec.get("parallelism")) is not None and parallelism > _MAX_INDEXES:
        detail = f"must be less than or equal to {_MAX_INDEXES} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", parallelism, detail)
    if most is not None and completions is not None and most > completions:
        yield invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions")
    if most is not None and most > _MAX_INDEXES:
        yield invalid(f"{path}.maxFailedIndexes", most, f"must be less than or equal to {_MAX_INDEXES}")
    if per_index is not None and completions is not None and completions > _MAX_INDEXES:
        if most is None:
            yield required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {_MAX_INDEXES}")
        for field, value in (("parallelism", parallelism), ("maxFailedIndexes", most)):
            if value is not None and value > _MOST_FOR_MANY_INDEXES:
                detail = (
                    f"must be less than or equal to {_MOST_FOR_MANY_INDEXES} when completions are above "
                    f"{_MAX_INDEXES} and used with backoff limit per index"
                )
                yield invalid(f"{path}.{field}", value, detail)


def _failure_policy_errors(path: str, policy: Object, spec: Object) -> Iterator[FieldError]:
    rules = policy.get("rules") or ()
    pod = spec["template"]["spec"]
    known = {one.get("name") for field in ("containers", "initContainers") for one in pod.get(field) or ()}
    if len(rules) > _MAX_RULES:
        yield too_many(f"{path}.rules", _MAX_RULES)
    for i, rule in enumerate(rules):
        at = f"{path}.rules[{i}]"
        action = rule.get("action") or ""
        if not action:
            yield required(f"{at}.action", f"valid values: {', '.join(_ACTIONS)}")
        elif action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield invalid(f"{at}.action", action, "requires the backoffLimitPerIndex to be set")
        elif action not in _ACTIONS:
            yield not_supported(f"{at}.action", action, _ACTIONS)
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or ()
        if codes is not None:
            yield from _exit_code_errors(f"{at}.onExitCodes", codes, known)
        yield from _condition_errors(f"{at}.onPodConditions", conditions)
        if codes is not None and conditions:
            yield invalid(at, "", "specifying both OnExitCodes and OnPodConditions is not supported")
        elif codes is None and not conditions:
            yield invalid(at, "", "specifying one of OnExitCodes and OnPodConditions is required")


def _exit_code_errors(path: str, codes: Object, known: set[str | None]) -> Iterator[FieldError]:
    operator, values = codes.get("operator") or "", codes.get("values") or []
    if not operator:
        yield required(f"{path}.operator", "valid values: In, NotIn")
    elif operator not in {"In", "NotIn"}:
        yield not_supported(f"{path}.operator", operator, ("In", "NotIn"))
    if (container := codes.get("containerName")) is not None and container not in known:
        detail = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", container, detail)
    if not values:
        yield invalid(f"{path}.values", values, "at least one value is required")
    elif len(values) > _MAX_CODES:
        yield too_many(f"{path}.values", _MAX_CODES)
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            yield invalid(f"{path}.values[{i}]", value, "must not be 0 for the In operator")
        if value in values[:i]:
            yield duplicate(f"{path}.values[{i}]", value)
    if values != sorted(values):
        yield invalid(f"{path}.values", values, "must be ordered")


def _condition_errors(path: str, conditions: list[Object] | tuple[()]) -> Iterator[FieldError]:
    if len(conditions) > _MAX_RULES:
        yield too_many(path, _MAX_RULES)
    for i, condition in enumerate(conditions):
        yield from fields.matches(f"{path}[{i}].type", condition.get("type") or "", names.qualified_name)
        status = condition.get("status") or ""
        if not status:
            yield required(f"{path}[{i}].status", f"valid values: {', '.join(_STATUSES)}")
        elif status not in _STATUSES:
            yield not_supported(f"{path}[{i}].status", status, _STATUSES)


def _success_policy_errors(path: str, policy: Object, spec: Object) -> Iterator[FieldError]:
    if spec.get("completionMode") != "Indexed":
        yield invalid(path, policy, "requires indexed completion mode")
        return
    rules = policy.get("rules") or ()
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > _MAX_RULES:
        yield too_many(f"{path}.rules", _MAX_RULES)
    completions = spec.get("completions") or 0
    for i, rule in enumerate(rules):
        yield from _success_rule_errors(f"{path}.rules[{i}]", rule, completions)


def _success_rule_errors(path: str, rule: Object, completions: int) -> Iterator[FieldError]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    limits = {"the number of specified completions": completions}
    if indexes is not None:
        if len(indexes.encode()) > _MAX_INDEX_TEXT:
            yield too_long(f"{path}.succeededIndexes", _MAX_INDEX_TEXT)
        problem, total = count_indexes(indexes, completions)
        if problem:
            yield invalid(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {problem}")
        limits["the number of indexes in the specified succeededIndexes field"] = total
    if count is None:
        return
    yield from fields.not_negative(f"{path}.succeededCount", count)
    for what, limit in limits.items():
        if count > limit:
            yield invalid(f"{path}.succeededCount", count, f"must be less than or equal to {limit} ({what})")


def count_indexes(text: str, completions: int) -> tuple[str, int]:
    """What is wrong with a list like `0,2-4`, and how many indexes it names."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() for end in ends):
            return f'cannot convert string to integer for index: "{part}"', 0
        first, final = int(ends[0]), int(ends[-1])
        if first <= last or (len(ends) == 2 and first >= final):
            return f'non-increasing order, previous: {last}, current: "{part}"', 0
        if final >= completions:
            return f'too large index: "{part}"', 0
        total, last = total + final - first + 1, final
    return "", total


def update_errors(spec: Object, old: Object, status: Object) -> Iterator[FieldError]:
    """A Job's work may not change once it exists; how fast and how patiently it is done may."""
    if (completions := spec.get("completions")) != old.get("completions"):
        if spec.get("completionMode") != "Indexed":
            yield invalid("spec.completions", completions, fields.IMMUTABLE)
        elif completions is not None and completions != spec.get("parallelism"):
            yield invalid("spec.completions", completions, "can only be modified in tandem with spec.parallelism")
    for field in (
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ):
        if not same(spec.get(field), old.get(field)):
            yield invalid(f"spec.{field}", spec.get(field), fields.IMMUTABLE)
    template, before = spec["template"], old["template"]
    if old.get("suspend") and not status.get("startTime"):
        template = _with_old_placement(template, before)
    if not same(template, before):
        yield invalid("spec.template", spec["template"], fields.IMMUTABLE)


def _with_old_placement(template: Object, before: Object) -> Object:
    """The template as it was where a suspended Job that never ran may still be told where to run, and how big."""
    pod, old_pod = dict(template["spec"]), before["spec"]
    for field in _WHILE_SUSPENDED:
        pod[field] = old_pod.get(field)
    affinity, old_affinity = pod.get("affinity") or {}, old_pod.get("affinity") or {}
    pod["affinity"] = {**affinity, "nodeAffinity": old_affinity.get("nodeAffinity")}
    for field in ("containers", "initContainers"):
        stored = {one.get("name"): one.get("resources") for one in old_pod.get(field) or ()}
        pod[field] = [{**one, "resources": stored.get(one.get("name"))} for one in pod.get(field) or ()]
    metadata, old_metadata = template.get("metadata") or {}, before.get("metadata") or {}
    kept = {field: old_metadata.get(field) for field in ("labels", "annotations")}
    return {"metadata": {**metadata, **kept}, "spec": pod}
