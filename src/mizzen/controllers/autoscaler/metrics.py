"""What each metric of an autoscaler asks for: where it is read, and what to say when it cannot be."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from mizzen.api.views.core import Container, Pod
from mizzen.api.views.meta import LabelSelector
from mizzen.api.views.policy import HorizontalPodAutoscaler, MetricSource, MetricSpec
from mizzen.controllers.autoscaler import pace
from mizzen.controllers.autoscaler.usage import Goal, Sample, grouped, replicas
from mizzen.controllers.pods import is_ready
from mizzen.machinery import labels as selectors
from mizzen.machinery import quantity, times
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Answer, Get


@dataclass(frozen=True, slots=True)
class Scale:
    """The target's size, the pods it selects, and how many there are by its status."""

    replicas: int
    selector: str
    present: int = 0


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
    first: str = ""
    """The problem as the summary of all problems quotes it."""


@dataclass(frozen=True, slots=True)
class View:
    """What wishes are made from: the autoscaler, its target's scale, that one's pods, and the answers."""

    autoscaler: HorizontalPodAutoscaler
    scale: Scale
    pods: Sequence[Pod]
    answers: Mapping[Get, Answer]
    now: float


def question(one: HorizontalPodAutoscaler, metric: MetricSpec) -> Get:
    """Where a metric is read: pods' resources, custom metrics of pods or an object, or external ones."""
    namespace = one.metadata.namespace
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


def wishes(view: View) -> list[Wish]:
    """What every metric asks for, in their order."""
    return [_named(metric, _wish(view, metric)) for metric in view.autoscaler.spec.metrics]


def _named(metric: MetricSpec, wish: Wish) -> Wish:
    """The wish with the names that its metric goes by."""
    source = _source(metric)
    match metric.type:
        case "Resource" | "ContainerResource":
            inside = "container " if metric.type == "ContainerResource" else ""
            share = " utilization (percentage of request)" if source.target.type == "Utilization" else ""
            name, goal = f"{source.name} {inside}resource{share}", "utilization" if share else "usage"
            problem = f"failed to get {source.name} {goal}: unable to get metrics for resource {source.name}"
            value = f"{source.name} {inside or 'resource '}metric value"
        case "Pods":
            name, problem = f"pods metric {source.metric.name}", f"unable to get metric {source.metric.name}"
            value = "pods metric value"
        case "Object":
            name = f"{source.describedObject.kind} metric {source.metric.name}"
            problem = f"unable to get metric {source.metric.name}: {source.describedObject.kind}"
            value = "object metric value"
        case _:
            name = f"external metric {source.metric.name}"
            problem = f"unable to get external metric {source.metric.name}"
            value = f"{source.metric.name} external metric value"
    if not wish.problem:
        return replace(wish, name=name)
    problem = f"{problem}: {wish.problem}"
    return replace(
        wish,
        name=name,
        reason=f"FailedGet{metric.type}Metric",
        problem=problem,
        first=f"failed to get {value}: {problem}",
    )


_API: Final = {"Resource": "resource", "ContainerResource": "resource", "External": "external"}
"""Which of the three APIs answers for a type of metric; for others it is the custom one."""


def _wish(view: View, metric: MetricSpec) -> Wish:
    answer = view.answers.get(question(view.autoscaler, metric))
    if answer is None or answer.status != 200:
        said = answer.body if answer is not None else "no answer"
        return Wish(0, {}, f"unable to fetch metrics from {_API.get(metric.type, 'custom')} metrics API: {said}")
    match metric.type:
        case "Resource" | "ContainerResource":
            return _resource_wish(view, metric, answer.body)
        case "Pods":
            return _pods_wish(view, metric, answer.body)
    return _value_wish(view, metric, answer.body)


def _resource_wish(view: View, metric: MetricSpec, body: Object) -> Wish:
    """Utilization or average value of the resources that pods, or one container of each, use."""
    source = _source(metric)
    only = source.container if metric.type == "ContainerResource" else ""
    samples = {one["metadata"]["name"]: _sample(one, source.name, only) for one in body.get("items") or ()}
    groups = grouped(view.pods, samples, view.now, cpu=source.name == "cpu")
    if not groups.usage:
        known = any(pod.metadata.name in samples for pod in view.pods)
        why = "did not receive metrics for targeted pods (pods might be unready)"
        return Wish(0, {}, why if known else "no metrics returned from resource metrics API")
    percent = None
    if source.target.type == "Utilization":
        requests = {pod.metadata.name: _requested(pod, source.name, only) for pod in view.pods}
        if lacking := next((pod for pod in view.pods if requests[pod.metadata.name] is None), None):
            where = f"container {_lacking(lacking, source.name, only)} of Pod {lacking.metadata.name}"
            return Wish(0, {}, f"missing request for {source.name} in {where}")
        known_requests = {name: amount for name, amount in requests.items() if amount is not None}
        goal = Goal(_tolerance(view), percent=source.target.averageUtilization or 1, requests=known_requests)
        percent = goal.share(groups.usage)
    else:
        goal = Goal(_tolerance(view), each=quantity.parse(str(source.target.averageValue or "1")).nanos)
    average = str(quantity.Quantity(sum(groups.usage.values()) // len(groups.usage)))
    current: Object = {"averageValue": average} | ({"averageUtilization": percent} if percent is not None else {})
    shown_name: Object = {"name": source.name} | ({"container": only} if only else {})
    shown_key = "containerResource" if only else "resource"
    shown: Object = {"type": metric.type, shown_key: {**shown_name, "current": current}}
    return Wish(replicas(groups, goal, view.scale.replicas), shown)


def _tolerance(view: View) -> tuple[float, float]:
    return pace.tolerance(view.autoscaler)


def _sample(one: Object, name: str, only: str) -> Sample:
    used = sum(
        quantity.parse(str(container["usage"].get(name, "0"))).nanos
        for container in one.get("containers") or ()
        if not only or container["name"] == only
    )
    at, window = one.get("timestamp"), one.get("window")
    return Sample(used, times.parse(at) if at else math.inf, times.parse_duration(window) if window else 0.0)


def _counted(pod: Pod, only: str) -> list[Container]:
    """The containers whose requests count: also those that run beside the others from the start."""
    beside = (one for one in pod.spec.initContainers if one.restartPolicy == "Always")
    return [one for one in (*pod.spec.containers, *beside) if not only or one.name == only]


def _requested(pod: Pod, name: str, only: str) -> int | None:
    """What a pod requests, in billionths; None when one of its containers requests nothing."""
    if _lacking(pod, name, only):
        return None
    return sum(quantity.parse(str(one.resources.requests[name])).nanos for one in _counted(pod, only))


def _lacking(pod: Pod, name: str, only: str) -> str:
    """The first container without a request; "" when all have one."""
    return next((one.name for one in _counted(pod, only) if name not in one.resources.requests), "")


def _pods_wish(view: View, metric: MetricSpec, body: Object) -> Wish:
    """A custom metric of each pod, as an average over those that the target selects."""
    source = _source(metric)
    mine = {pod.metadata.name for pod in view.pods}
    found = {one["describedObject"]["name"]: one["value"] for one in body.get("items") or ()}
    samples = {name: Sample(quantity.parse(str(value)).nanos) for name, value in found.items() if name in mine}
    groups = grouped(view.pods, samples, view.now, cpu=False)
    if not groups.usage:
        return Wish(0, {}, "did not receive metrics for targeted pods (pods might be unready)")
    goal = Goal(_tolerance(view), each=quantity.parse(str(source.target.averageValue or "1")).nanos)
    average = str(quantity.Quantity(sum(groups.usage.values()) // len(groups.usage)))
    shown: Object = {"type": metric.type, "pods": {"metric": _metric(source), "current": {"averageValue": average}}}
    return Wish(replicas(groups, goal, view.scale.replicas), shown)


def _metric(source: MetricSource) -> Object:
    selector = source.metric.selector
    chosen = {"selector": msgspec.to_builtins(selector)} if selector is not None else {}
    return {"name": source.metric.name, **chosen}


def _value_wish(view: View, metric: MetricSpec, body: Object) -> Wish:
    """Metrics of an object or from outside: one value for all, or shared out among the pods."""
    source, scale = _source(metric), view.scale
    values = [quantity.parse(str(one["value"])).nanos for one in body.get("items") or ()]
    if not values:
        return Wish(0, {}, f"no metrics returned for {source.metric.name}")
    total = sum(values)
    up, down = _tolerance(view)
    head: Object = {"metric": _metric(source)}
    if metric.type == "Object":
        head["describedObject"] = msgspec.to_builtins(source.describedObject)
    if source.target.type == "Value":
        ratio = total / max(1, quantity.parse(str(source.target.value or "1")).nanos)
        current: Object = {"value": str(quantity.Quantity(total))}
        ready = sum(pod.status.phase == "Running" and is_ready(pod) for pod in view.pods)
        wanted = scale.replicas if 1 - down <= ratio <= 1 + up else math.ceil(ratio * ready)
    else:
        goal = max(1, quantity.parse(str(source.target.averageValue or "1")).nanos)
        present = max(1, scale.present or scale.replicas)
        current = {"averageValue": str(quantity.Quantity(-(-total // present)))}
        wanted = math.ceil(total / goal)
        if 1 - down <= total / goal / present <= 1 + up:
            wanted = scale.present or scale.replicas
    return Wish(wanted, {"type": metric.type, metric.type.lower(): {**head, "current": current}})
