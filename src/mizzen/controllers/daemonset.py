"""DaemonSet: one pod on every node that should have one.

Ref: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from mizzen.api.views.apps import ControllerRevision, DaemonSet, DaemonSetStatus
from mizzen.api.views.core import Node, Pod, PodSpec, Toleration, pod_spec
from mizzen.api.views.meta import plain
from mizzen.client.cache import Cache
from mizzen.client.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from mizzen.controllers import pods as podlife
from mizzen.controllers import revisions
from mizzen.controllers.ownership import Identity, about, candidates, claim, keys_of_pod, selects
from mizzen.controllers.status import created_at, status_patch
from mizzen.machinery.errors import Object
from mizzen.machinery.intstr import scale_up
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import Action, Create, Delete, Note, Plan

IDENTITY = Identity("apps/v1", "DaemonSet")
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_FAILED_PAUSE = 5.0
_BURST = 250


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A DaemonSet, all nodes, and its pods and revisions (had or adoptable)."""

    set: DaemonSet
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    revisions: tuple[ControllerRevision, ...]
    namesake: ControllerRevision | None


def _selects(one: DaemonSet) -> Callable[[Mapping[str, str]], bool]:
    return selects(one.spec.selector)


def _owner(one: DaemonSet) -> revisions.Owner:
    return revisions.Owner(one.metadata, IDENTITY, one.spec.template, one.status.collisionCount)


def observe(cache: Cache, key: str) -> Snapshot | None:
    one = cache.of(DAEMON_SETS, DaemonSet).get(*split(key))
    if one is None:
        return None
    nodes = tuple(sorted(cache.of(NODES, Node), key=lambda node: node.metadata.name))
    table = cache.of(CONTROLLER_REVISIONS, ControllerRevision)
    pods = candidates(cache.of(PODS, Pod), one.metadata, _selects(one))
    known = candidates(table, one.metadata, _selects(one))
    return Snapshot(one, nodes, pods, known, table.get(one.metadata.namespace, revisions.name_for(_owner(one))[0]))


def tolerations(spec: PodSpec) -> tuple[Toleration, ...]:
    """What daemon pods tolerate besides what their template says."""
    extra = [Toleration(key=key, operator="Exists", effect=effect) for key, effect in _TOLERATED]
    if spec.hostNetwork:
        extra.append(Toleration(key="node.kubernetes.io/network-unavailable", operator="Exists", effect="NoSchedule"))
    return (*spec.tolerations, *extra)


def wants(spec: PodSpec, node: Node) -> tuple[bool, bool]:
    """Whether a pod should be started on the node, and whether one that runs there may stay."""
    name, labels = node.metadata.name, node.metadata.labels
    if spec.nodeName and spec.nodeName != name:
        return False, False
    if not spec.nodeSelector.items() <= labels.items():
        return False, False
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    if required is not None and not required.matches(name, labels):
        return False, False
    tolerated = tolerations(spec)
    refused = [taint for taint in node.spec.taints if not any(one.tolerates(taint) for one in tolerated)]
    may_stay = not any(taint.effect == "NoExecute" for taint in refused)
    return not any(taint.effect in ("NoSchedule", "NoExecute") for taint in refused), may_stay


def reconcile(seen: Snapshot, now: float) -> Plan:
    one = seen.set
    claimed = claim(one.metadata, IDENTITY, PODS, seen.pods, _selects(one))
    known = claim(one.metadata, IDENTITY, CONTROLLER_REVISIONS, seen.revisions, _selects(one))
    if claimed.patches or known.patches:
        return Plan((*claimed.patches, *known.patches))
    if one.metadata.deleting:
        return Plan()
    update = revisions.current(_owner(one), known.mine, seen.namesake)
    if update.collides:
        status = msgspec.structs.replace(one.status, collisionCount=one.status.collisionCount + 1)
        return Plan(status_patch(DAEMON_SETS, one.metadata, one.status, status))
    if update.action is not None:
        return Plan((update.action,))
    field = _field(seen, claimed.mine, update, now)
    actions = _manage(field) or _roll(field)
    told = status_patch(DAEMON_SETS, one.metadata, one.status, _status(field), always=_ALWAYS)
    live = (update.name, *(pod.metadata.labels.get(revisions.HASH_LABEL, "") for pod in claimed.mine))
    pruned = revisions.surplus(known.mine, live, one.spec.revisionHistoryLimit)
    waits = [podlife.next_available(claimed.mine, one.spec.minReadySeconds, now)]
    waits += [_FAILED_PAUSE for pod in claimed.mine if pod.status.phase == "Failed"]
    wait = min((each for each in waits if each is not None), default=None)
    return Plan((*told, *actions, *pruned), requeue_after=wait)


_ALWAYS = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")


@dataclass(frozen=True, slots=True)
class _Field:
    """Pods by node, and what each node wants."""

    set: DaemonSet
    revision: revisions.Current
    by_node: Mapping[str, tuple[Pod, ...]]
    wanted: Mapping[str, tuple[bool, bool]]
    now: float

    def is_new(self, pod: Pod) -> bool:
        return pod.metadata.labels.get(revisions.HASH_LABEL) in self.revision.alike

    def is_available(self, pod: Pod) -> bool:
        return podlife.is_available(pod, self.set.spec.minReadySeconds, self.now)

    @property
    def desired(self) -> tuple[str, ...]:
        return tuple(name for name, (run, _) in self.wanted.items() if run)


def _field(seen: Snapshot, mine: tuple[Pod, ...], revision: revisions.Current, now: float) -> _Field:
    by_node: dict[str, list[Pod]] = defaultdict(list)
    for pod in mine:
        by_node[node_of(pod)].append(pod)
    spec = pod_spec(seen.set.spec.template)
    wanted = {node.metadata.name: wants(spec, node) for node in seen.nodes}
    ordered = {
        name: tuple(sorted(pods, key=lambda pod: (created_at(pod.metadata), pod.metadata.name)))
        for name, pods in by_node.items()
    }
    return _Field(seen.set, revision, ordered, wanted, now)


def node_of(pod: Pod) -> str:
    """The node a daemon pod runs on or is meant for."""
    if pod.spec.nodeName or pod.spec.affinity is None or pod.spec.affinity.nodeAffinity is None:
        return pod.spec.nodeName
    required = pod.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    for term in required.nodeSelectorTerms if required is not None else ():
        for field in term.matchFields:
            if field.key == "metadata.name" and field.values:
                return field.values[0]
    return ""


def _manage(field: _Field) -> tuple[Action, ...]:
    """Pods that are missing, surplus, misplaced or failed."""
    actions: list[Action] = []
    missing: list[str] = []
    for name, (run, stay) in field.wanted.items():
        pods = field.by_node.get(name, ())
        alive = [pod for pod in pods if not pod.metadata.deleting]
        if run and not pods:
            missing.append(name)
        if not alive:
            continue
        if not stay:
            actions += (_delete(field, pod) for pod in alive)
            continue
        failed = [pod for pod in alive if pod.status.phase == "Failed"]
        actions += (_fail(field, pod, name) for pod in failed if created_at(pod.metadata) + _FAILED_PAUSE <= field.now)
        rest = [pod for pod in alive if pod not in failed]
        actions += (_delete(field, pod) for pod in _surplus(field, rest))
    for name, pods in field.by_node.items():
        if name and name not in field.wanted:
            actions += (_delete(field, pod) for pod in pods if not pod.metadata.deleting)
    actions += (_create(field, name) for name in missing[:_BURST])
    return tuple(actions)


def _surplus(field: _Field, alive: list[Pod]) -> list[Pod]:
    """All but one pod of a node; during a surge, the old one stays until the new one is available."""
    if len(alive) <= 1:
        return []
    new = [pod for pod in alive if field.is_new(pod)]
    old = [pod for pod in alive if not field.is_new(pod)]
    if _surge(field) and new and old:
        return [*new[1:], *(old if field.is_available(new[0]) else old[1:])]
    keep = next((pod for pod in alive if podlife.is_ready(pod)), alive[0])
    return [pod for pod in alive if pod is not keep]


def _surge(field: _Field) -> int:
    strategy = field.set.spec.updateStrategy
    if strategy.type != "RollingUpdate":
        return 0
    return scale_up(strategy.rollingUpdate.maxSurge, len(field.desired))


def _roll(field: _Field) -> tuple[Action, ...]:
    """Replace old pods: by surge (new before old) or by absence (old before new)."""
    strategy = field.set.spec.updateStrategy
    if strategy.type != "RollingUpdate":
        return ()
    nodes = field.desired
    surge = _surge(field)
    if surge:
        surging = sum(len([p for p in field.by_node.get(name, ()) if not p.metadata.deleting]) > 1 for name in nodes)
        waiting = [name for name in nodes if _needs_surge(field, name)]
        return tuple(_create(field, name) for name in waiting[: max(0, surge - surging)])
    allowed = max(1, scale_up(strategy.rollingUpdate.maxUnavailable, len(nodes)))
    down = [name for name in nodes if not any(_serves(field, pod) for pod in field.by_node.get(name, ()))]
    free = allowed - len(down)
    actions: list[Action] = []
    for name in nodes:
        for pod in field.by_node.get(name, ()):
            if field.is_new(pod) or pod.metadata.deleting:
                continue
            if name in down:
                actions.append(_delete(field, pod))
            elif free > 0:
                actions.append(_delete(field, pod))
                free -= 1
    return tuple(actions)


def _serves(field: _Field, pod: Pod) -> bool:
    return not pod.metadata.deleting and field.is_available(pod)


def _needs_surge(field: _Field, name: str) -> bool:
    pods = [pod for pod in field.by_node.get(name, ()) if not pod.metadata.deleting]
    return len(pods) == 1 and not field.is_new(pods[0])


def _create(field: _Field, node: str) -> Create:
    one = field.set
    body = podlife.from_template(one.spec.template, one.metadata, IDENTITY)
    labels = {revisions.HASH_LABEL: field.revision.digest, "pod-template-generation": str(one.metadata.generation)}
    meta = {**body["metadata"], "labels": {**body["metadata"].get("labels", {}), **labels}}
    spec = {**body["spec"]}
    spec["affinity"] = _pinned(spec.get("affinity") or {}, node)
    spec["tolerations"] = _merged_tolerations(spec.get("tolerations") or [], pod_spec(one.spec.template))
    subject = about(one.metadata, IDENTITY)
    return Create(
        PODS,
        {**body, "metadata": meta, "spec": spec},
        note=Note(subject, "SuccessfulCreate", "Created pod: {name}"),
        failed=Note(subject, "FailedCreate", "Error creating: {error}", "Warning"),
    )


def _merged_tolerations(written: list[Object], spec: PodSpec) -> list[Object]:
    extra = [plain(one) for one in tolerations(spec)[len(spec.tolerations) :]]
    return [*written, *(one for one in extra if one not in written)]


def _pinned(affinity: Object, node: str) -> Object:
    """The template's affinity with the node pinned; the terms it replaces have been checked already."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    node_affinity = {
        **(affinity.get("nodeAffinity") or {}),
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
    }
    return {**affinity, "nodeAffinity": node_affinity}


def _delete(field: _Field, pod: Pod) -> Delete:
    subject = about(field.set.metadata, IDENTITY)
    return Delete(
        PODS,
        pod.metadata.namespace,
        pod.metadata.name,
        uid=pod.metadata.uid,
        note=Note(subject, "SuccessfulDelete", "Deleted pod: {name}"),
        failed=Note(subject, "FailedDelete", "Error deleting: {error}", "Warning"),
    )


def _fail(field: _Field, pod: Pod, node: str) -> Delete:
    where = f"{pod.metadata.namespace}/{pod.metadata.name}"
    text = f"Found failed daemon pod {where} on node {node}, will try to kill it"
    note = Note(about(field.set.metadata, IDENTITY), "FailedDaemonPod", text, "Warning")
    return replace(_delete(field, pod), note=note)


def _status(field: _Field) -> DaemonSetStatus:
    one = field.set
    desired = set(field.desired)
    current = ready = available = updated = misscheduled = 0
    for name in field.wanted:
        alive = [pod for pod in field.by_node.get(name, ()) if not pod.metadata.deleting]
        if name not in desired:
            misscheduled += bool(alive)
            continue
        if not alive:
            continue
        current += 1
        newest = max(alive, key=lambda pod: (field.is_new(pod), created_at(pod.metadata)))
        ready += any(podlife.is_ready(pod) for pod in alive)
        available += any(field.is_available(pod) for pod in alive)
        updated += field.is_new(newest)
    return DaemonSetStatus(
        observedGeneration=one.metadata.generation,
        currentNumberScheduled=current,
        desiredNumberScheduled=len(desired),
        numberMisscheduled=misscheduled,
        numberReady=ready,
        numberAvailable=available,
        numberUnavailable=len(desired) - available,
        updatedNumberScheduled=updated,
        collisionCount=one.status.collisionCount,
    )


def _all_keys(cache: Cache, _node: Node) -> tuple[str, ...]:
    return tuple(f"{one.metadata.namespace}/{one.metadata.name}" for one in cache.of(DAEMON_SETS, DaemonSet))


def _node_concerns(old: Node, new: Node) -> bool:
    return old.metadata.labels != new.metadata.labels or old.spec.taints != new.spec.taints


CONTROLLER = Controller(
    name="daemonset",
    watches=(
        Watch(DAEMON_SETS, DaemonSet, own),
        Watch(PODS, Pod, keys_of_pod("DaemonSet", DAEMON_SETS, DaemonSet, _selects)),
        Watch(CONTROLLER_REVISIONS, ControllerRevision, keys_of_pod("DaemonSet", DAEMON_SETS, DaemonSet, _selects)),
        Watch(NODES, Node, _all_keys, _node_concerns),
    ),
    observe=observe,
    reconcile=reconcile,
)
