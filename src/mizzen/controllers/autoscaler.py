"""HorizontalPodAutoscaler: as many replicas as the metrics ask for, within bounds and behaviour.

Metrics and the target's scale are asked of the API every fifteen seconds; what past rounds recommended is kept in an
annotation of the autoscaler's own, so that a restart forgets no stabilization window.
Ref: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""

import math
from collections.abc import Mapping
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
    wishes = [_wish(seen, metric, scale) for metric in spec.metrics]
    readable = [wish for wish in wishes if not wish.problem]
    problems = [wish.problem for wish in wishes if wish.problem]
    if problems and not readable:
        text = f"the HPA was unable to compute the replica count: {problems[0]}"
        conditions = with_condition(conditions, "ScalingActive", "False", "FailedGetMetrics", text, now)
        plan = _told(seen, scale, scale.replicas, conditions, (), now, ())
        return replace(
            plan, notes=(Note(about(one.metadata, IDENTITY), "FailedComputeMetricsReplicas", text, "Warning"),)
        )
    wanted = max((wish.replicas for wish in readable), default=scale.replicas)
    if problems and wanted < scale.replicas:
        wanted = scale.replicas  # never shrink on half the evidence
    text = "the HPA was able to successfully calculate a replica count"
    conditions = with_condition(conditions, "ScalingActive", "True", "ValidMetricFound", text, now)
    history = _remembered(one, now)
    steady = _stabilized(one, scale.replicas, wanted, history, now)
    bounded = max(spec.minReplicas, min(spec.maxReplicas, steady))
    limited = bounded != steady
    reason = "DesiredWithinRange"
    if limited:
        reason = "TooManyReplicas" if steady > spec.maxReplicas else "TooFewReplicas"
    text = "the desired count is within the acceptable range" if not limited else "the desired count is out of bounds"
    conditions = with_condition(conditions, "ScalingLimited", "True" if limited else "False", reason, text, now)
    actions = _rescale(seen, target, scale, bounded)
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


def _rescale(seen: Snapshot, target: Resource, scale: Scale, wanted: int) -> tuple[Action, ...]:
    one = seen.autoscaler
    if wanted == scale.replicas:
        return ()
    name = one.spec.scaleTargetRef.name
    why = "All metrics below target" if wanted < scale.replicas else "metrics above target"
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
        return Wish(0, {}, f"no metrics returned from resource metrics API for {source.name}")
    used = sum(usage[pod.metadata.name] for pod in ready)
    requested = sum(_requested(pod, source.name, only) for pod in ready)
    if source.target.type == "Utilization":
        if not requested:
            return Wish(0, {}, f"failed to get {source.name} utilization: missing request for {source.name}")
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


def _note(one: HorizontalPodAutoscaler, memory: Memory) -> tuple[Patch, ...]:
    """Keep the memory, without entries that change nothing."""
    kept = [entry for at, entry in enumerate(memory) if at in (0, len(memory) - 1) or entry[1:] != memory[at - 1][1:]]
    meta = one.metadata
    text = orjson.dumps([[round(when, 1), wanted, size] for when, wanted, size in kept[-60:]]).decode()
    patch = {"metadata": {"annotations": {MEMORY: text}}}
    return (Patch(HORIZONTAL_POD_AUTOSCALERS, meta.namespace, meta.name, patch, uid=meta.uid),)


def _stabilized(one: HorizontalPodAutoscaler, have: int, wanted: int, history: Memory, now: float) -> int:
    """The wish within the stabilization windows and scaling policies."""
    behavior = one.spec.behavior
    up = _with_defaults(behavior.scaleUp if behavior is not None else None, _UP)
    down = _with_defaults(behavior.scaleDown if behavior is not None else None, _DOWN)
    low = min([wanted, *(w for at, w, _ in history if at > now - (up.stabilizationWindowSeconds or 0))])
    high = max([wanted, *(w for at, w, _ in history if at > now - (down.stabilizationWindowSeconds or 0))])
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
        start = next((size for at, _, size in history if at > now - policy.periodSeconds), have)
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
