"""Pods that wait to be counted by a Job that is gone, or was never theirs: nobody counts them, so they may vanish.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mizzen.api.views.batch import Job
from mizzen.api.views.core import Pod
from mizzen.client.cache import BY_CONTROLLER, Cache
from mizzen.client.resources import JOBS, PODS
from mizzen.controllers.job.pods import FINALIZER, IDENTITY, release
from mizzen.controllers.ownership import selects
from mizzen.reconcile.controller import Controller, Watch, key_of, split
from mizzen.reconcile.plan import Answer, Get, Plan

_LOOK_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tracked pod without a Job in the cache, and where its Job would be; `alone` once it is certain."""

    pod: Pod
    question: Get | None
    alone: bool = False


def observe(cache: Cache, key: str) -> Snapshot | None:
    pod = cache.of(PODS, Pod).get(*split(key))
    if pod is None or FINALIZER not in pod.metadata.finalizers:
        return None
    jobs, owner = cache.of(JOBS, Job), pod.metadata.controller
    if owner is None:
        takers = (one for one in jobs.in_namespace(pod.metadata.namespace) if not one.metadata.deleting)
        wanted = any(selects(one.spec.selector)(pod.metadata.labels) for one in takers)
        return None if wanted else Snapshot(pod, None, alone=True)
    if owner.kind != IDENTITY.kind:
        return Snapshot(pod, None, alone=True)
    job = jobs.get(pod.metadata.namespace, owner.name)
    if job is not None and job.metadata.uid == owner.uid:
        return None
    return Snapshot(pod, Get(JOBS.path(pod.metadata.namespace, owner.name)))


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """Only the API itself can tell that a Job is gone: the cache may merely lag."""
    [answer] = answers.values()
    owner = seen.pod.metadata.controller
    other = answer.status == 200 and owner is not None and answer.body["metadata"]["uid"] != owner.uid
    return replace(seen, question=None, alone=answer.status == 404 or other)


def reconcile(seen: Snapshot, now: float) -> Plan:
    if seen.question is not None:
        return Plan(ask=(seen.question,))
    return Plan((release(seen.pod),)) if seen.alone else Plan(requeue_after=_LOOK_AGAIN)


def _is_tracked(_cache: Cache, pod: Pod) -> Iterable[str]:
    return (key_of(pod),) if FINALIZER in pod.metadata.finalizers else ()


def _pods_of(cache: Cache, job: Job) -> Iterable[str]:
    return [key_of(pod) for pod in cache.of(PODS, Pod).by(BY_CONTROLLER, job.metadata.uid)]


CONTROLLER = Controller(
    name="job-orphans",
    watches=(Watch(PODS, Pod, _is_tracked), Watch(JOBS, Job, _pods_of, lambda _old, _new: False)),
    observe=observe,
    reconcile=reconcile,
    informed=informed,
    component="job-controller",
)
