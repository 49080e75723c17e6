"""The order in which a StatefulSet stops its pods, and what it waits for before it makes one."""

from typing import Any

import msgspec

from mizzen.api.views.apps import ControllerRevision, StatefulSet
from mizzen.api.views.core import PersistentVolumeClaim, Pod
from mizzen.controllers import revisions, statefulset
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Action, Create, Delete, Patch

OWNER = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "s", "controller": True}
TEMPLATE = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "a"}]}}


def stateful_set(replicas: int, **spec: Any) -> StatefulSet:
    body = {
        "metadata": {"name": "db", "namespace": "d", "uid": "s"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "db"}}, "template": TEMPLATE, **spec},
    }
    return msgspec.convert(body, StatefulSet)


def pod(number: int, *, ready: bool = True, **meta: Any) -> Pod:
    labels = {"app": "db", "apps.kubernetes.io/pod-index": str(number)}
    labels["statefulset.kubernetes.io/pod-name"] = f"db-{number}"
    meta = {"name": f"db-{number}", "namespace": "d", "labels": labels, "ownerReferences": [OWNER], **meta}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return msgspec.convert({"metadata": meta, "status": {"phase": "Running", "conditions": conditions}}, Pod)


def decide(one: StatefulSet, *pods: Pod, claims: Object | None = None) -> tuple[Action, ...]:
    owner = revisions.Owner(one.metadata, statefulset.IDENTITY, one.spec.template, 0)
    name, digest = revisions.name_for(owner)
    meta = {"name": name, "namespace": "d", "labels": {"app": "db", revisions.HASH_LABEL: digest}}
    revision = {"metadata": {**meta, "ownerReferences": [OWNER]}, "revision": 1}
    known = msgspec.convert({**revision, "data": revisions.data_of(one.spec.template)}, ControllerRevision)
    seen = statefulset.Snapshot(one, pods, (known,), known, claims or {})
    return statefulset.CONTROLLER.reconcile(seen, 1e9).actions


def stopped(actions: tuple[Action, ...]) -> list[str]:
    return [action.name for action in actions if isinstance(action, Delete)]


def test_scaling_down_halts_at_a_pod_that_is_not_well_while_one_below_it_is_not_either() -> None:
    sick = [pod(number, ready=False) for number in range(3)]
    assert stopped(decide(stateful_set(0), *sick)) == []
    assert stopped(decide(stateful_set(0), pod(0), pod(1), pod(2, ready=False))) == ["db-2"]
    assert stopped(decide(stateful_set(0), pod(0, ready=False), pod(1), pod(2))) == ["db-2"]


def test_in_parallel_all_go_at_once() -> None:
    sick = [pod(number, ready=False) for number in range(3)]
    assert stopped(decide(stateful_set(0, podManagementPolicy="Parallel"), *sick)) == ["db-2", "db-1", "db-0"]


def test_no_pod_is_made_for_a_claim_that_is_on_its_way_out() -> None:
    one = stateful_set(1, volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    meta = {"name": "data-db-0", "namespace": "d"}
    there = msgspec.convert({"metadata": meta}, PersistentVolumeClaim)
    leaving = msgspec.convert(
        {"metadata": {**meta, "deletionTimestamp": "2026-01-01T00:00:00Z"}}, PersistentVolumeClaim
    )
    assert any(isinstance(action, Create) for action in decide(one, claims={"data-db-0": there}))
    assert not any(isinstance(action, Create) for action in decide(one, claims={"data-db-0": leaving}))


def test_a_pod_that_has_failed_is_neither_ready_nor_available_whatever_its_conditions_say() -> None:
    failed = msgspec.structs.replace(pod(0), status=msgspec.structs.replace(pod(0).status, phase="Failed"))
    (told,) = (action for action in decide(stateful_set(1), failed) if isinstance(action, Patch) and action.subresource)
    status = told.patch["status"]
    assert (status.get("readyReplicas", 0), status.get("availableReplicas", 0)) == (0, 0)
