"""Finished Jobs with a time to live are deleted when it is over.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
"""

from mizzen.api.views.batch import Job
from mizzen.client.cache import Cache
from mizzen.client.resources import JOBS
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Delete, Plan


def observe(cache: Cache, key: str) -> Job | None:
    return cache.of(JOBS, Job).get(*split(key))


def reconcile(job: Job, now: float) -> Plan:
    ttl = job.spec.ttlSecondsAfterFinished
    ended = next(
        (one for one in job.status.conditions if one.type in ("Complete", "Failed") and one.status == "True"), None
    )
    if ttl is None or ended is None or ended.lastTransitionTime is None or job.metadata.deleting:
        return NOTHING
    left = times.parse(ended.lastTransitionTime) + ttl - now
    if left > 0:
        return Plan(requeue_after=left)
    meta = job.metadata
    return Plan(
        (
            Delete(
                JOBS,
                meta.namespace,
                meta.name,
                uid=meta.uid,
                resource_version=meta.resourceVersion,
                propagation="Foreground",
            ),
        )
    )


CONTROLLER = Controller(
    name="ttl-after-finished", watches=(Watch(JOBS, Job, own),), observe=observe, reconcile=reconcile
)
