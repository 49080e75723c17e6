"""One round of an autoscaler: ask for scale and metrics, weigh what they wish for, and rescale within bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from mizzen.api.views.core import Pod
from mizzen.api.views.meta import Condition
from mizzen.api.views.policy import HorizontalPodAutoscaler, ScaleTarget
from mizzen.client.cache import Cache
from mizzen.client.client import Resource
from mizzen.client.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from mizzen.controllers.autoscaler import metrics, pace
from mizzen.controllers.autoscaler.metrics import Scale, Wish
from mizzen.controllers.ownership import Identity, about
from mizzen.controllers.status import created_at, restated, status_patch
from mizzen.machinery import labels as selectors
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import Action, Answer, Get, Note, Patch, Plan

IDENTITY = Identity("autoscaling/v2", "HorizontalPodAutoscaler")
Conditions = tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An autoscaler, where its target lives, the pods of its namespace, and what the API answered."""

    autoscaler: HorizontalPodAutoscaler
    target: Resource | None
    pods: tuple[Pod, ...]
    answers: Mapping[Get, Answer] = field(default_factory=dict)


def observe(cache: Cache, key: str) -> Snapshot | None:
    autoscaler = cache.of(HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler).get(*split(key))
    if autoscaler is None or autoscaler.metadata.deleting:
        return None
    target = _resource(cache, autoscaler.spec.scaleTargetRef)
    return Snapshot(autoscaler, target, tuple(cache.of(PODS, Pod).in_namespace(autoscaler.metadata.namespace)))


def _resource(cache: Cache, reference: ScaleTarget) -> Resource | None:
    """What a reference is to; a version that is no longer served stands for any of its group."""
    exact = cache.kinds.get((reference.apiVersion, reference.kind))
    if exact is not None:
        return exact
    group = reference.apiVersion.rpartition("/")[0]
    served = (one for (_, kind), one in cache.kinds.items() if (one.group, kind) == (group, reference.kind))
    return next(served, None)


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    return replace(seen, answers=answers)


def reconcile(seen: Snapshot, now: float) -> Plan:
    one = seen.autoscaler
    reference = one.spec.scaleTargetRef
    young = created_at(one.metadata) + pace.PERIOD - now
    if young > 0:
        return Plan(requeue_after=young)  # its target, made along with it, has no pods to speak of yet
    if seen.target is None:
        text = f'no matches for kind "{reference.kind}" in group "{reference.apiVersion.rpartition("/")[0]}"'
        return _unscalable(seen, text, now)
    question = Get(seen.target.path(one.metadata.namespace, reference.name, "scale"))
    if question not in seen.answers:
        asked = {metrics.question(one, metric) for metric in one.spec.metrics}
        return Plan(ask=(question, *sorted(asked, key=lambda each: each.path)))
    answer = seen.answers[question]
    if answer.status != 200:
        return _unscalable(seen, str(answer.body), now)
    status = answer.body.get("status") or {}
    replicas = (answer.body.get("spec") or {}).get("replicas", 0)
    return _decide(seen, seen.target, Scale(replicas, status.get("selector", ""), status.get("replicas", 0)), now)


def _unscalable(seen: Snapshot, why: str, now: float) -> Plan:
    one = seen.autoscaler
    text = f"the HPA controller was unable to get the target's current scale: {why}"
    conditions = restated(one.status.conditions, "AbleToScale", "False", "FailedGetScale", text, now)
    note = Note(about(one.metadata, IDENTITY), "FailedGetScale", why, "Warning")
    return Plan(_status(one, conditions), (note,), requeue_after=pace.PERIOD)


def _decide(seen: Snapshot, target: Resource, scale: Scale, now: float) -> Plan:
    one = seen.autoscaler
    spec, have = one.spec, scale.replicas
    text = "the HPA controller was able to get the target's current scale"
    conditions = restated(one.status.conditions, "AbleToScale", "True", "SucceededGetScale", text, now)
    if have == 0 and spec.minReplicas != 0:
        text = "scaling is disabled since the replica count of the target is zero"
        conditions = restated(conditions, "ScalingActive", "False", "ScalingDisabled", text, now)
        return _told(seen, scale, have, conditions, (), now)
    if not spec.minReplicas <= have <= spec.maxReplicas:
        return _back_within(seen, target, scale, conditions, now)
    chosen = selectors.parse(scale.selector)
    pods = [pod for pod in seen.pods if chosen.matches(pod.metadata.labels)]
    wishes = metrics.wishes(metrics.View(one, scale, pods, seen.answers, now))
    readable = [wish for wish in wishes if not wish.problem]
    largest = max(readable, key=lambda wish: wish.replicas, default=Wish(have, {}))
    problem = next((wish for wish in wishes if wish.problem), None)
    if problem is not None and (not readable or largest.replicas < have):  # never shrink on half the evidence
        text = f"the HPA was unable to compute the replica count: {problem.problem}"
        conditions = restated(conditions, "ScalingActive", "False", problem.reason, text, now)
        plan = _told(seen, scale, have, conditions, (), now)
        return replace(plan, notes=_unreadable(one, wishes))
    text = f"the HPA was able to successfully calculate a replica count from {largest.name}"
    conditions = restated(conditions, "ScalingActive", "True", "ValidMetricFound", text, now)
    memory = pace.remembered(one, now) or pace.unremembered(have, now)
    history = pace.held(memory, now)
    steady = pace.stabilized(one, have, largest.replicas, history, now)
    conditions = restated(conditions, "AbleToScale", "True", steady.reason, steady.message, now)
    limited = pace.limited(one, have, steady.replicas, memory, now)
    is_limited = "True" if limited.replicas != steady.replicas else "False"
    conditions = restated(conditions, "ScalingLimited", is_limited, limited.reason, limited.message, now)
    why = "All metrics below target" if limited.replicas < have else f"{largest.name} above target"
    actions, conditions = _rescaled(seen, target, scale, limited.replicas, why, conditions, now)
    noted = pace.noted(one, (*memory, (now, largest.replicas, have)), rescaled=limited.replicas != have)
    shown = tuple(wish.current for wish in readable)
    plan = _told(seen, scale, limited.replicas, conditions, shown, now)
    return replace(plan, actions=(*actions, *noted, *plan.actions))


def _back_within(seen: Snapshot, target: Resource, scale: Scale, conditions: Conditions, now: float) -> Plan:
    """The bounds hold whatever the metrics say, and even when they say nothing."""
    spec = seen.autoscaler.spec
    wanted, why = spec.maxReplicas, "Current number of replicas above Spec.MaxReplicas"
    if scale.replicas < spec.minReplicas:
        wanted, why = spec.minReplicas, "Current number of replicas below Spec.MinReplicas"
    actions, conditions = _rescaled(seen, target, scale, wanted, why, conditions, now)
    plan = _told(seen, scale, wanted, conditions, (), now)
    return replace(plan, actions=(*actions, *plan.actions))


def _unreadable(one: HorizontalPodAutoscaler, wishes: Sequence[Wish]) -> tuple[Note, ...]:
    """A word on every metric that cannot be read, and one on what that means."""
    subject = about(one.metadata, IDENTITY)
    bad = [wish for wish in wishes if wish.problem]
    text = f"invalid metrics ({len(bad)} invalid out of {len(wishes)}), first error is: {bad[0].first}"
    each = (Note(subject, wish.reason, wish.problem, "Warning") for wish in bad)
    return (*each, Note(subject, "FailedComputeMetricsReplicas", text, "Warning"))


def _rescaled(
    seen: Snapshot, target: Resource, scale: Scale, wanted: int, why: str, conditions: Conditions, now: float
) -> tuple[tuple[Action, ...], Conditions]:
    """The write that rescales the target, if one is needed, and the conditions once it has succeeded."""
    one = seen.autoscaler
    if wanted == scale.replicas:
        return (), conditions
    subject = about(one.metadata, IDENTITY)
    text = "the HPA controller was unable to update the target scale: {error}"
    refused = restated(conditions, "AbleToScale", "False", "FailedUpdateScale", text, now)
    patch = Patch(
        target,
        one.metadata.namespace,
        one.spec.scaleTargetRef.name,
        {"spec": {"replicas": wanted}},
        subresource="scale",
        note=Note(subject, "SuccessfulRescale", f"New size: {wanted}; reason: {why}"),
        failed=Note(subject, "FailedRescale", f"New size: {wanted}; reason: {why}; error: {{error}}", "Warning"),
        otherwise=_status(one, refused),
    )
    text = f"the HPA controller was able to update the target scale to {wanted}"
    return (patch,), restated(conditions, "AbleToScale", "True", "SucceededRescale", text, now)


def _told(
    seen: Snapshot, scale: Scale, wanted: int, conditions: Conditions, shown: tuple[Object, ...], now: float
) -> Plan:
    one = seen.autoscaler
    status = msgspec.structs.replace(
        one.status,
        currentReplicas=scale.replicas,
        desiredReplicas=wanted,
        currentMetrics=shown or one.status.currentMetrics,
        lastScaleTime=times.format(now) if wanted != scale.replicas else one.status.lastScaleTime,
    )
    changed = msgspec.structs.replace(one, status=status)
    return Plan(_status(changed, conditions, one), requeue_after=pace.PERIOD)


def _status(
    one: HorizontalPodAutoscaler, conditions: Conditions, stored: HorizontalPodAutoscaler | None = None
) -> tuple[Patch, ...]:
    """The status with these conditions; nothing else writes it, and the plan itself may move the object on."""
    status = msgspec.structs.replace(one.status, conditions=conditions, observedGeneration=one.metadata.generation)
    before = (stored or one).status
    told = status_patch(HORIZONTAL_POD_AUTOSCALERS, one.metadata, before, status, always=("desiredReplicas",))
    return tuple(replace(patch, resource_version="") for patch in told)


CONTROLLER = Controller(
    name="horizontal-pod-autoscaler",
    watches=(
        Watch(HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler, own, lambda old, new: old.spec != new.spec),
        Watch(PODS, Pod),
    ),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    component="horizontal-pod-autoscaler",
)
