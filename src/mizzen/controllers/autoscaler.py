"""HorizontalPodAutoscaler: as many replicas as the metrics ask for, within bounds and behaviour.

Metrics and the target's scale are asked of the API every fifteen seconds; what past rounds recommended is kept in an
annotation of the autoscaler's own, so that a restart forgets no stabilization window.
Ref: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import Condition, LabelSelector
from mizzen.api.views.policy import (
    HorizontalPodAutoscaler,
    MetricSource,
    MetricSpec,
    ScalingPolicy,
    ScalingRules,
)
from mizzen.client.cache import Cache
from mizzen.client.client import Resource
from mizzen.client.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from mizzen.controllers.ownership import Identity, about
from mizzen.controllers.pods import is_finished, is_ready
from mizzen.controllers.status import status_patch, with_condition
from mizzen.machinery import labels as selectors
from mizzen.machinery import quantity, times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, key_of, own, split
from mizzen.reconcile.plan import Action, Answer, Get, Note, Patch, Plan

IDENTITY = Identity("autoscaling/v2", "HorizontalPodAutoscaler")
MEMORY = "mizzen.io/autoscaler-recommendations"
PERIOD = 15.0
_REMIND = 120.0
"""Seconds after which an unchanged recommendation is remembered once more."""
_TOLERANCE = 0.1
_UP = ScalingRules(0, "Max", (ScalingPolicy("Percent", 100, 15), ScalingPolicy("Pods", 4, 15)))
_DOWN = ScalingRules(300, "Max", (ScalingPolicy("Percent", 100, 15),))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An autoscaler, where its target lives, the pods of its namespace, and what the API answered."""

    autoscaler: HorizontalPodAutoscaler
    target: Resource | None
    pods: tuple[Pod, ...]
    answers: Mapping[Get, Answer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scale:
    """The target's size and the pods it selects."""

    replicas: int
    selector: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What one metric asks for, and how it reads now; `problem` when it cannot be read."""

    replicas: int
    current: Object
    problem: str = ""
    name: str = ""
    """The metric as conditions and events name it."""
    reason: str = ""
    """What kind of failure the problem is."""


def observe(cache: Cache, key: str) -> Snapshot | None:
    autoscaler = cache.of(HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler).get(*split(key))
    if autoscaler is None or autoscaler.metadata.deleting:
        return None
    reference = autoscaler.spec.scaleTargetRef
    target = cache.kinds.get((reference.apiVersion, reference.kind))
    return Snapshot(autoscaler, target, tuple(cache.of(PODS, Pod).in_namespace(autoscaler.metadata.namespace)))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    return replace(seen, answers=answers)


def _scale_question(seen: Snapshot, target: Resource) -> Get:
    meta, reference = seen.autoscaler.metadata, seen.autoscaler.spec.scaleTargetRef
    return Get(target.path(meta.namespace, reference.name, "scale"))


def _metric_question(seen: Snapshot, metric: MetricSpec) -> Get:
    """Where a metric is read: pods' resources, custom metrics of pods or an object, or external ones."""
    namespace = seen.autoscaler.metadata.namespace
    source = _source(metric)
    name = source.metric.name
    chosen = _text(source.metric.selector)
    match metric.type:
        case "Pods":
            path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/*/{name}"
            return Get(path, (("metricLabelSelector", chosen),) if chosen else ())
        case "Object":
            described = source.describedObject
            plural = f"{described.kind.lower()}s"
            group = described.apiVersion.rpartition("/")[0]
            kind = f"{plural}.{group}" if group else plural
            path = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/{kind}/{described.name}/{name}"
            return Get(path, (("metricLabelSelector", chosen),) if chosen else ())
        case "External":
            path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{name}"
            return Get(path, (("labelSelector", chosen),) if chosen else ())
    return Get(f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")


def _text(selector: LabelSelector | None) -> str:
    return selectors.format_object(msgspec.to_builtins(selector)) if selector is not None else ""


def _source(metric: MetricSpec) -> MetricSource:
    found = metric.resource or metric.containerResource or metric.pods or metric.object or metric.external
    return found or MetricSource()


def reconcile(seen: Snapshot, now: float) -> Plan:
    if seen.target is None:
        return _refused(seen, "AbleToScale", "FailedGetScale", "the target's kind is not known", now)
    question = _scale_question(seen, seen.target)
    if question not in seen.answers:
        metrics = {_metric_question(seen, metric) for metric in seen.autoscaler.spec.metrics}
        return Plan(ask=(question, *sorted(metrics, key=lambda one: one.path)))
    answer = seen.answers[question]
    if answer.status != 200:
        text = f"the HPA controller was unable to get the target's current scale: {answer.body}"
        return _refused(seen, "AbleToScale", "FailedGetScale", text, now)
    body = answer.body
    replicas = (body.get("spec") or {}).get("replicas", 0)
    scale = Scale(replicas, (body.get("status") or {}).get("selector", ""))
    return _decide(seen, seen.target, scale, now)


def _refused(seen: Snapshot, kind: str, reason: str, text: str, now: float) -> Plan:
    one = seen.autoscaler
    conditions = with_condition(one.status.conditions, kind, "False", reason, text, now)
    status = msgspec.structs.replace(one.status, conditions=conditions, observedGeneration=one.metadata.generation)
    told = status_patch(HORIZONTAL_POD_AUTOSCALERS, one.metadata, one.status, status, always=("currentReplicas",))
    return Plan(told, (Note(about(one.metadata, IDENTITY), reason, text, "Warning"),), requeue_after=PERIOD)


def _decide(seen: Snapshot, target: Resource, scale: Scale, now: float) -> Plan:
    one = seen.autoscaler
    spec = one.spec
    conditions = with_condition(
        one.status.conditions, "AbleToScale", "True", "SucceededGetScale",
        "the HPA controller was able to get the target's current scale", now,
    )  # fmt: skip
    if scale.replicas == 0 and spec.minReplicas != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        conditions = with_condition(conditions, "ScalingActive", "False", "ScalingDisabled", text, now)
        return _told(seen, scale, scale.replicas, conditions, (), now, ())
    wishes = [_named(metric, _wish(seen, metric, scale)) for metric in spec.metrics]
    readable = [wish for wish in wishes if not wish.problem]
    problems = [wish for wish in wishes if wish.problem]
    if problems and not readable:
        text = f"the HPA was unable to compute the replica count: {problems[0].problem}"
        conditions = with_condition(conditions, "ScalingActive", "False", problems[0].reason, text, now)
        plan = _told(seen, scale, scale.replicas, conditions, (), now, ())
        return replace(plan, notes=_unreadable(one, wishes))
    largest = max(readable, key=lambda wish: wish.replicas, default=Wish(scale.replicas, {}))
    wanted = largest.replicas
    if problems and wanted < scale.replicas:
        wanted = scale.replicas  # never shrink on half the evidence
    text = f"the HPA was able to successfully calculate a replica count from {largest.name}"
    conditions = with_condition(conditions, "ScalingActive", "True", "ValidMetricFound", text, now)
    history = _remembered(one, now)
    steady = _stabilized(one, scale.replicas, wanted, _held(history, now), now)
    bounded = max(spec.minReplicas, min(spec.maxReplicas, steady))
    conditions = with_condition(conditions, "ScalingLimited", *_limitation(steady, bounded), now)
    actions = _rescale(seen, target, scale, bounded, largest)
    able = _ability(scale.replicas, wanted, bounded)
    conditions = with_condition(conditions, "AbleToScale", "True", *able, now)
    remembered = (*history, (now, wanted, scale.replicas))
    return _told(
        seen,
        scale,
        bounded,
        conditions,
        tuple(wish.current for wish in readable),
        now,
        (*actions, *_note(one, remembered)),
    )


def _limitation(steady: int, bounded: int) -> tuple[str, str, str]:
    """Status, reason and message of ScalingLimited."""
    if bounded < steady:
        return "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    if bounded > steady:
        return "True", "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    return "False", "DesiredWithinRange", "the desired count is within the acceptable range"


def _ability(have: int, wanted: int, bounded: int) -> tuple[str, str]:
    """Reason and message of AbleToScale."""
    if bounded != have:
        return "SucceededRescale", f"the HPA controller was able to update the target scale to {bounded}"
    if wanted < have:
        text = "recent recommendations were higher than current one, applying the highest recent recommendation"
        return "ScaleDownStabilized", text
    return "ReadyForNewScale", "recommended size matches current size"


def _unreadable(one: HorizontalPodAutoscaler, wishes: Sequence[Wish]) -> tuple[Note, ...]:
    """A word on every metric that cannot be read, and one on what that means."""
    subject = about(one.metadata, IDENTITY)
    bad = [wish for wish in wishes if wish.problem]
    text = f"invalid metrics ({len(bad)} invalid out of {len(wishes)}), first error is: {bad[0].problem}"
    each = (Note(subject, wish.reason, wish.problem, "Warning") for wish in bad)
    return (*each, Note(subject, "FailedComputeMetricsReplicas", text, "Warning"))


def _named(metric: MetricSpec, wish: Wish) -> Wish:
    """The wish with the names that its metric goes by."""
    source = _source(metric)
    match metric.type:
        case "Resource" | "ContainerResource":
            inside = "container " if metric.type == "ContainerResource" else ""
            share = " utilization (percentage of request)" if source.target.type == "Utilization" else ""
            name, goal = f"{source.name} {inside}resource{share}", "utilization" if share else "usage"
            problem = f"failed to get {source.name} {goal}: {wish.problem}"
        case "Pods":
            name, problem = f"pods metric {source.metric.name}", f"unable to get metric {source.metric.name}"
            problem += f": {wish.problem}"
        case "Object":
            name = f"{source.describedObject.kind} metric {source.metric.name}"
            problem = f"unable to get metric {source.metric.name}: {wish.problem}"
        case _:
            name = f"external metric {source.metric.name}"
            problem = f"unable to get external metric {source.metric.name}: {wish.problem}"
    kind = f"{metric.type}Metric"
    return replace(wish, name=name, reason=f"FailedGet{kind}", problem=problem if wish.problem else "")


def _rescale(seen: Snapshot, target: Resource, scale: Scale, wanted: int, largest: Wish) -> tuple[Action, ...]:
    one = seen.autoscaler
    if wanted == scale.replicas:
        return ()
    name = one.spec.scaleTargetRef.name
    why = "All metrics below target" if wanted < scale.replicas else f"{largest.name} above target"
    subject = about(one.metadata, IDENTITY)
    note = Note(subject, "SuccessfulRescale", f"New size: {wanted}; reason: {why}")
    failed = Note(subject, "FailedRescale", f"New size: {wanted}; reason: {why}; error: {{error}}", "Warning")
    patch = {"spec": {"replicas": wanted}}
    return (Patch(target, one.metadata.namespace, name, patch, subresource="scale", note=note, failed=failed),)


def _told(
    seen: Snapshot,
    scale: Scale,
    wanted: int,
    conditions: tuple[Condition, ...],
    metrics: tuple[Object, ...],
    now: float,
    actions: tuple[Action, ...],
) -> Plan:
    one = seen.autoscaler
    status = msgspec.structs.replace(
        one.status,
        observedGeneration=one.metadata.generation,
        currentReplicas=scale.replicas,
        desiredReplicas=wanted,
        currentMetrics=metrics or one.status.currentMetrics,
        conditions=conditions,
        lastScaleTime=times.format(now) if wanted != scale.replicas else one.status.lastScaleTime,
    )
    told = status_patch(HORIZONTAL_POD_AUTOSCALERS, one.metadata, one.status, status, always=("desiredReplicas",))
    return Plan((*actions, *(replace(patch, resource_version="") for patch in told)), requeue_after=PERIOD)


# -- metrics


def _wish(seen: Snapshot, metric: MetricSpec, scale: Scale) -> Wish:
    answer = seen.answers.get(_metric_question(seen, metric))
    if answer is None or answer.status != 200:
        return Wish(0, {}, f"unable to fetch metrics: {answer.body if answer is not None else 'no answer'}")
    if metric.type in ("Resource", "ContainerResource"):
        return _resource_wish(seen, metric, scale, answer.body)
    return _value_wish(metric, scale, answer.body)


def _pods_of(seen: Snapshot, scale: Scale) -> list[Pod]:
    chosen = selectors.parse(scale.selector)
    return [
        pod
        for pod in seen.pods
        if chosen.matches(pod.metadata.labels) and not is_finished(pod) and not pod.metadata.deleting
    ]


def _resource_wish(seen: Snapshot, metric: MetricSpec, scale: Scale, body: Object) -> Wish:
    """Utilization or average value of pods' own resources; pods not ready yet count as idle when growing."""
    source = _source(metric)
    only = source.container if metric.type == "ContainerResource" else ""
    pods = _pods_of(seen, scale)
    usage: dict[str, int] = {}
    for one in body.get("items") or ():
        amounts = [
            quantity.parse(str(container["usage"].get(source.name, "0"))).nanos
            for container in one.get("containers") or ()
            if not only or container["name"] == only
        ]
        usage[one["metadata"]["name"]] = sum(amounts)
    ready = [pod for pod in pods if is_ready(pod) and pod.metadata.name in usage]
    idle = [pod for pod in pods if not is_ready(pod)]
    if not ready:
        return Wish(
            0, {}, f"unable to get metrics for resource {source.name}: no metrics returned from resource metrics API"
        )
    used = sum(usage[pod.metadata.name] for pod in ready)
    requested = sum(_requested(pod, source.name, only) for pod in ready)
    if source.target.type == "Utilization":
        if not requested:
            return Wish(0, {}, f"missing request for {source.name}")
        percent = used * 100 // requested
        ratio = percent / max(1, source.target.averageUtilization or 1)
    else:
        percent = None
        goal = quantity.parse(str(source.target.averageValue or "1")).nanos
        ratio = used / len(ready) / max(1, goal)
    average = str(quantity.Quantity(used // len(ready)))
    current: Object = {"averageValue": average} | ({"averageUtilization": percent} if percent is not None else {})
    shown_name: Object = {"name": source.name} | ({"container": only} if only else {})
    shown_key = "containerResource" if only else "resource"
    shown: Object = {"type": metric.type, shown_key: {**shown_name, "current": current}}
    if abs(ratio - 1) <= _TOLERANCE:
        return Wish(scale.replicas, shown)
    count = len(ready) + (len(idle) if ratio > 1 else 0)
    if ratio > 1 and idle:
        ratio = ratio * len(ready) / count
        if ratio <= 1 + _TOLERANCE:
            return Wish(scale.replicas, shown)
    return Wish(math.ceil(ratio * count), shown)


def _requested(pod: Pod, name: str, only: str) -> int:
    return sum(
        quantity.parse(str(container.resources.requests.get(name, "0"))).nanos
        for container in pod.spec.containers
        if not only or container.name == only
    )


def _value_wish(metric: MetricSpec, scale: Scale, body: Object) -> Wish:
    """Custom and external metrics: a value for all, or an average per pod."""
    source = _source(metric)
    values = [quantity.parse(str(one["value"])).nanos for one in body.get("items") or ()]
    if not values:
        return Wish(0, {}, f"no metrics returned for {source.metric.name}")
    total = sum(values)
    key = metric.type.lower()
    head: Object = {"metric": {"name": source.metric.name}}
    if metric.type == "Object":
        head["describedObject"] = msgspec.to_builtins(source.describedObject)
    if source.target.type == "Value":
        ratio = total / max(1, quantity.parse(str(source.target.value or "1")).nanos)
        shown: Object = {"type": metric.type, key: {**head, "current": {"value": str(quantity.Quantity(total))}}}
        wanted = scale.replicas if abs(ratio - 1) <= _TOLERANCE else math.ceil(ratio * scale.replicas)
        return Wish(wanted, shown)
    goal = max(1, quantity.parse(str(source.target.averageValue or "1")).nanos)
    each = total // max(1, len(values) if metric.type == "Pods" else scale.replicas)
    shown = {"type": metric.type, key: {**head, "current": {"averageValue": str(quantity.Quantity(each))}}}
    share = each / goal if metric.type == "Pods" else total / goal / max(1, scale.replicas)
    if abs(share - 1) <= _TOLERANCE:
        return Wish(scale.replicas, shown)
    return Wish(math.ceil(share * scale.replicas) if metric.type == "Pods" else math.ceil(total / goal), shown)


# -- behaviour

Memory = tuple[tuple[float, int, int], ...]
"""(when, recommended, size at that time)."""


def _remembered(one: HorizontalPodAutoscaler, now: float) -> Memory:
    text = one.metadata.annotations.get(MEMORY, "")
    try:
        found = orjson.loads(text) if text else []
        kept = tuple((float(when), int(wanted), int(size)) for when, wanted, size in found)
    except (ValueError, TypeError):
        return ()
    return tuple(entry for entry in kept if entry[0] > now - 3600)


def _held(memory: Memory, now: float) -> Memory:
    """The memory by when each entry ceased to hold: at the next one, or a little after nobody repeated it."""
    ends = [*(entry[0] for entry in memory[1:]), now]
    held = zip(memory, ends, strict=False)  # without a memory there is an end too many
    return tuple((min(end, at + _REMIND + PERIOD), wanted, size) for (at, wanted, size), end in held)


def _note(one: HorizontalPodAutoscaler, memory: Memory) -> tuple[Patch, ...]:
    """Keep the memory, without entries that change nothing; one that tells nothing new is not written at all."""
    if len(memory) > 1 and memory[-1][1:] == memory[-2][1:] and memory[-1][0] - memory[-2][0] < _REMIND:
        return ()
    meta = one.metadata
    text = orjson.dumps([[round(when, 1), wanted, size] for when, wanted, size in memory[-60:]]).decode()
    patch = {"metadata": {"annotations": {MEMORY: text}}}
    return (Patch(HORIZONTAL_POD_AUTOSCALERS, meta.namespace, meta.name, patch, uid=meta.uid),)


def _stabilized(one: HorizontalPodAutoscaler, have: int, wanted: int, history: Memory, now: float) -> int:
    """The wish within the stabilization windows and scaling policies."""
    behavior = one.spec.behavior
    up = _with_defaults(behavior.scaleUp if behavior is not None else None, _UP)
    down = _with_defaults(behavior.scaleDown if behavior is not None else None, _DOWN)
    low = min([wanted, *(w for end, w, _ in history if end > now - (up.stabilizationWindowSeconds or 0))])
    high = max([wanted, *(w for end, w, _ in history if end > now - (down.stabilizationWindowSeconds or 0))])
    steady = min(max(have, low), high)
    if steady > have:
        return min(steady, _limit(up, have, history, now, +1))
    if steady < have:
        return max(steady, _limit(down, have, history, now, -1))
    return have


def _with_defaults(rules: ScalingRules | None, defaults: ScalingRules) -> ScalingRules:
    if rules is None:
        return defaults
    window = rules.stabilizationWindowSeconds
    return ScalingRules(
        defaults.stabilizationWindowSeconds if window is None else window,
        rules.selectPolicy or defaults.selectPolicy,
        rules.policies or defaults.policies,
    )


def _limit(rules: ScalingRules, have: int, history: Memory, now: float, way: int) -> int:
    """How far the policies let the size go in one direction."""
    if rules.selectPolicy == "Disabled":
        return have
    limits = []
    for policy in rules.policies:
        start = next((size for end, _, size in history if end > now - policy.periodSeconds), have)
        if policy.type == "Pods":
            limits.append(start + way * policy.value)
        elif way > 0:
            limits.append(math.ceil(start * (1 + policy.value / 100)))
        else:
            limits.append(math.floor(start * (1 - policy.value / 100)))
    widest = max if (way > 0) == (rules.selectPolicy != "Min") else min
    return widest(limits, default=have)


CONTROLLER = Controller(
    name="horizontal-pod-autoscaler",
    watches=(
        Watch(HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, own, lambda old, new: old.spec != new.spec),
        Watch(PODS, Pod),
    ),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    resync=lambda cache: [key_of(one) for one in cache.of(HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler)],
    resync_seconds=PERIOD,
    component="horizontal-pod-autoscaler",
)
