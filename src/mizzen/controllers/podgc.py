"""Pod garbage: pods of vanished nodes, pods that terminate unscheduled, and finished pods beyond a limit.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from mizzen.api.views.core import Node, Pod
from mizzen.api.views.meta import condition
from mizzen.client.cache import BY_NODE, Cache, Index
from mizzen.client.resources import NODES, PODS
from mizzen.controllers.config import Config
from mizzen.controllers.disruption import doomed
from mizzen.controllers.pods import is_finished
from mizzen.controllers.status import created_at
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import NOTHING, Action, Answer, Delete, Get, Patch, Plan

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
BY_FINISHED: Index[Pod] = Index("finished", lambda pod: (True,) if is_finished(pod) else ())
QUARANTINE_SECONDS = 40.0
"""For how long a node must be gone before its pods are: it may be about to come back."""
_KEY = "pods"


class Absences:
    """Since when nodes that pods name are gone, as this process has seen."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def left(self, names: Iterable[str], now: float) -> dict[str, float]:
        """Seconds of quarantine that are left of each of the nodes that are gone now; all others are forgotten."""
        self._since = {name: min(now, self._since.get(name, now)) for name in names}
        return {name: since + QUARANTINE_SECONDS - now for name, since in self._since.items()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Pods that may be garbage: by the name of a node that the cache lacks, by why, and the finished ones."""

    lost: Mapping[str, tuple[Pod, ...]]
    stuck: tuple[Pod, ...]
    unscheduled: tuple[Pod, ...]
    finished: tuple[Pod, ...]
    verified: bool = False


def observe(cache: Cache, key: str) -> Snapshot | None:
    nodes, pods = cache.of(NODES, Node), cache.of(PODS, Pod)
    names = {pod.spec.nodeName for pod in pods if pod.spec.nodeName}
    lost = {name: tuple(pods.by(BY_NODE, name)) for name in sorted(names) if nodes.get("", name) is None}
    unscheduled = tuple(pod for pod in pods.by(BY_NODE, "") if pod.metadata.deleting)
    out = [node.metadata.name for node in nodes if _is_out_of_service(node)]
    stuck = tuple(pod for name in out for pod in pods.by(BY_NODE, name) if pod.metadata.deleting)
    finished = tuple(pod for pod in pods.by(BY_FINISHED, True) if not pod.metadata.deleting)
    return Snapshot(lost, stuck, unscheduled, finished)


def _is_out_of_service(node: Node) -> bool:
    """Whether somebody vouches for it that nothing runs on a node any more; one that is ready contradicts."""
    ready = condition(node.status.conditions, "Ready")
    marked = any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)
    return marked and (ready is None or ready.status != "True")


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    """Only nodes that the API itself does not know are lost; those in quarantine are asked for later."""
    there = {name for name in seen.lost if (told := answers.get(_question(name))) is not None and told.status != 404}
    lost = {name: pods for name, pods in seen.lost.items() if name not in there}
    return replace(seen, lost=lost, verified=True)


def _question(name: str) -> Get:
    return Get(NODES.path("", name))


def reconcile(config: Config, absences: Absences, seen: Snapshot, now: float) -> Plan:
    left = absences.left(seen.lost, config.awake()[0] if config.awake is not None else now)
    gone = [name for name in seen.lost if left[name] <= 0]
    if gone and not seen.verified:
        return Plan(ask=tuple(_question(name) for name in gone))
    again = min((seconds for seconds in left.values() if seconds > 0), default=None)
    actions: list[Action] = []
    for name in gone:
        for pod in seen.lost[name]:
            actions += (*doomed(pod, "DeletionByPodGC", "PodGC: node no longer exists", now, "Failed"), _force(pod))
    for pod in seen.stuck:
        actions += (*doomed(pod, "DeletionByPodGC", "PodGC: node is out of service", now, "Failed"), _force(pod))
    for pod in seen.unscheduled:
        actions += (*_ended(pod), _force(pod))
    surplus = len(seen.finished) - config.finished_pods_kept
    if surplus > 0:
        oldest = sorted(seen.finished, key=lambda pod: (created_at(pod.metadata), pod.metadata.name))
        actions += (_force(pod) for pod in oldest[:surplus])
    return Plan(tuple(actions), requeue_after=again) if actions or again is not None else NOTHING


def _ended(pod: Pod) -> tuple[Patch, ...]:
    """No node will ever tell how the pod ended, and somebody may wait to hear it before the pod can go."""
    if is_finished(pod):
        return ()
    meta = pod.metadata
    return (
        Patch(PODS, meta.namespace, meta.name, {"status": {"phase": "Failed"}}, subresource="status", uid=meta.uid),
    )


def _force(pod: Pod) -> Delete:
    meta = pod.metadata
    return Delete(PODS, meta.namespace, meta.name, uid=meta.uid, grace_seconds=0)


def controller(config: Config) -> Controller:
    """Looks at all pods every twenty seconds."""
    return Controller(
        name="pod-garbage-collector",
        watches=(Watch(PODS, Pod), Watch(NODES, Node)),
        observe=observe,
        reconcile=partial(reconcile, config, Absences()),
        informed=informed,
        resync=lambda _cache: (_KEY,),
        resync_seconds=20.0,
    )
