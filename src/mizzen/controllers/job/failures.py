"""Failed pods of a Job: what the pod failure policy says of each, and how long to wait before the next."""

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen.api.views.batch import FailureRule, Job
from mizzen.api.views.core import Pod
from mizzen.controllers.status import created_at
from mizzen.machinery import times

COUNTED = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
_FIRST, _LONGEST = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed pod means for its Job: action Count, Ignore, FailJob or FailIndex."""

    action: str
    message: str = ""


def judge(job: Job, pod: Pod) -> Verdict:
    """The first rule that matches decides; without one the failure counts."""
    policy = job.spec.podFailurePolicy
    for number, rule in enumerate(policy.rules if policy is not None else ()):
        matched = _matches(rule, pod)
        if matched is not None:
            where = f"{pod.metadata.namespace}/{pod.metadata.name}"
            return Verdict(rule.action, matched.format(where=where, action=rule.action, number=number))
    return Verdict("Count")


def _matches(rule: FailureRule, pod: Pod) -> str | None:
    if (codes := rule.onExitCodes) is not None:
        for status in (*pod.status.containerStatuses, *pod.status.initContainerStatuses):
            ended = status.state.terminated
            if ended is None or ended.exitCode == 0 or codes.containerName not in (None, status.name):
                continue
            if (ended.exitCode in codes.values) == (codes.operator == "In"):
                text = f"Container {status.name} for pod {{where}} failed with exit code {ended.exitCode}"
                return text + " matching {action} rule at index {number}"
        return None
    for pattern in rule.onPodConditions:
        for one in pod.status.conditions:
            if (one.type, one.status) == (pattern.type, pattern.status):
                return f"Pod {{where}} has condition {one.type} matching {{action}} rule at index {{number}}"
    return None


def ended_at(pod: Pod) -> float:
    """When the pod's last container ended; of one that is deleted while it runs, when that was asked for."""
    ends = [
        times.parse(status.state.terminated.finishedAt)
        for status in pod.status.containerStatuses
        if status.state.terminated is not None and status.state.terminated.finishedAt
    ]
    meta = pod.metadata
    if not ends and meta.deletionTimestamp is not None:
        return times.parse(meta.deletionTimestamp) - (meta.deletionGracePeriodSeconds or 0)
    return max(ends, default=created_at(meta))


def pause(failed: Iterable[Pod], gone: int, now: float) -> float:
    """Seconds to wait before a replacement: ten after the first failure in a row, doubled by each further one.

    `gone`: how many have failed in this row at least, of which some may have been deleted since.
    """
    ordered = sorted(failed, key=ended_at)
    return pause_of(ordered[-1], max(len(ordered), gone), now) if ordered else 0.0


def pause_of(last: Pod, count: int, now: float) -> float:
    """Seconds to wait after so many failures, of which this pod was the last."""
    delay = min(_LONGEST, _FIRST * 2.0 ** min(count - 1, 10))
    return max(0.0, ended_at(last) + delay - now)


def earlier(pod: Pod, annotation: str) -> int:
    """How often the pod's index had failed before it."""
    text = pod.metadata.annotations.get(annotation, "0")
    return int(text) if text.isdecimal() else 0


def counts(job: Job, pod: Pod) -> tuple[int, int]:
    """How often an index has failed with this pod, its latest: failures that count, and those a rule ignores."""
    counted, ignored = earlier(pod, COUNTED), earlier(pod, IGNORED)
    if judge(job, pod).action == "Ignore":
        return counted, ignored + 1
    return counted + 1, ignored
