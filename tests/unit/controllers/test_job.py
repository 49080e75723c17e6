"""What a Job decides about pods that failed, and which pods it makes and stops."""

from typing import Any

import msgspec
import pytest

from mizzen.api.views.batch import Job
from mizzen.api.views.core import Pod
from mizzen.controllers import job as jobs
from mizzen.controllers.job.controller import Snapshot
from mizzen.controllers.job.failures import COUNTED, IGNORED
from mizzen.controllers.job.pods import FINALIZER, INDEX
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Create, Delete, Patch, Plan

NOW = 1_700_000_000.0
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "work", "uid": "j", "controller": True}


def job(status: Object | None = None, **spec: Any) -> Job:
    body = {
        "metadata": {"name": "work", "namespace": "d", "uid": "j", "resourceVersion": "1"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "parallelism": 4, "template": {}, **spec},
        "status": {"startTime": times.format(NOW - 1), **(status or {})},
    }
    return msgspec.convert(body, Job)


def pod(name: str, phase: str = "Running", index: int | None = None, ago: float = 0.0, **more: Any) -> Pod:
    ended = {"terminated": {"exitCode": more.pop("code", 1), "finishedAt": times.format(NOW - ago)}}
    annotations = {INDEX: str(index)} if index is not None else {}
    meta = {
        "name": name,
        "namespace": "d",
        "uid": name,
        "labels": {"app": "a"},
        "annotations": annotations | more.pop("annotations", {}),
        "ownerReferences": [OWNER],
        "finalizers": [FINALIZER],
        **more,
    }
    statuses = [{"name": "c", "state": ended}] if phase in ("Failed", "Succeeded") else []
    return msgspec.convert({"metadata": meta, "status": {"phase": phase, "containerStatuses": statuses}}, Pod)


def decide(one: Job, *pods: Pod) -> Plan:
    return jobs.CONTROLLER.reconcile(Snapshot(one, pods), NOW)


def condition(plan: Plan, kind: str) -> Object:
    patches = [action.patch for action in plan.actions if isinstance(action, Patch) and action.subresource == "status"]
    [found] = [one for one in patches[0]["status"]["conditions"] if one["type"] == kind]  # type: ignore[call-overload]
    return dict(found)


def made(plan: Plan) -> list[Object]:
    return [action.body["metadata"]["annotations"] for action in plan.actions if isinstance(action, Create)]


EACH = {"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 3, "backoffLimit": 2**31 - 1}


def test_indexes_wait_each_for_themselves_after_a_failure() -> None:
    plan = decide(job(**EACH), pod("a", "Failed", 0, ago=5), pod("b", "Failed", 1, ago=11))
    assert made(plan) == [{INDEX: "1", COUNTED: "1"}]
    assert plan.requeue_after == 5.0


def test_the_wait_of_an_index_doubles_with_its_failures() -> None:
    third = pod("a", "Failed", 0, ago=39, annotations={COUNTED: "2"})
    assert decide(job(**{**EACH, "completions": 1}), third).requeue_after == 1.0


@pytest.mark.parametrize(("status", "wait"), [({"failed": 2}, 35.0), ({"failed": 2, "succeeded": 1}, 5.0), ({}, 5.0)])
def test_failed_pods_that_are_gone_count_for_the_wait_until_one_succeeds(status: Object, wait: float) -> None:
    plan = decide(job(status, completions=2, backoffLimit=6), pod("a", "Failed", ago=5))
    assert (made(plan), plan.requeue_after) == ([], wait)


def test_an_index_whose_pod_is_deleted_waits_from_then_on() -> None:
    meta = {"creationTimestamp": times.format(NOW - 100), "deletionTimestamp": times.format(NOW + 26)}
    leaving = pod("a", "Running", 0, deletionGracePeriodSeconds=30, **meta)
    assert decide(job(**{**EACH, "completions": 1}), leaving).requeue_after == 6.0


def test_a_failure_that_a_rule_ignores_does_not_count_for_its_index() -> None:
    rules = [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]
    one = job(**{**EACH, "completions": 1}, podFailurePolicy={"rules": rules})
    assert made(decide(one, pod("a", "Failed", 0, ago=60, code=7))) == [{INDEX: "0", COUNTED: "0", IGNORED: "1"}]


def test_a_limit_for_the_whole_job_holds_beside_one_for_each_index() -> None:
    plan = decide(job({"failed": 1}, **{**EACH, "backoffLimit": 1}), pod("a", "Failed", 0))
    assert condition(plan, "FailureTarget")["reason"] == "BackoffLimitExceeded"


def test_the_success_policy_names_the_rule_that_held() -> None:
    rules = [{"succeededIndexes": "1"}, {"succeededCount": 1}]
    plan = decide(
        job(completionMode="Indexed", completions=3, successPolicy={"rules": rules}), pod("a", "Succeeded", 0, code=0)
    )
    assert condition(plan, "SuccessCriteriaMet")["message"] == "Matched rules at index 1"


def test_a_smaller_indexed_job_stops_the_pods_beyond_its_completions() -> None:
    pods = [pod(f"p{index}", "Running", index) for index in range(4)]
    plan = decide(job(completionMode="Indexed", completions=2, parallelism=2), *pods)
    assert {action.name for action in plan.actions if isinstance(action, Delete)} == {"p2", "p3"}


def test_one_of_two_pods_with_the_same_index_is_stopped() -> None:
    pods = [pod("old", "Running", 0), pod("new", "Running", 0), pod("other", "Running", 1)]
    plan = decide(job(completionMode="Indexed", completions=2, parallelism=2), *pods)
    assert len([action for action in plan.actions if isinstance(action, Delete)]) == 1


def test_a_pod_that_was_deleted_before_it_ran_counts_as_failed_even_where_only_failed_ones_are_replaced() -> None:
    leaving = pod("a", "Pending", deletionTimestamp=times.format(NOW))
    plan = decide(job(completions=1, podReplacementPolicy="Failed"), leaving)
    assert any(isinstance(action, Patch) and action.name == "a" for action in plan.actions)


def test_containers_that_start_again_in_place_count_with_their_init_containers() -> None:
    restarted = msgspec.structs.replace(
        pod("a"),
        status=msgspec.convert(
            {"phase": "Running", "initContainerStatuses": [{"name": "i", "restartCount": 2}]}, type(pod("a").status)
        ),
    )
    one = job(completions=1, backoffLimit=2, template={"spec": {"restartPolicy": "OnFailure"}})
    assert condition(decide(one, restarted), "FailureTarget")["reason"] == "BackoffLimitExceeded"


@pytest.mark.parametrize(("owner", "labels", "finalizers"), [(False, "a", [FINALIZER]), (True, "b", None)])
def test_an_adopted_pod_is_tracked_and_one_that_is_let_go_is_not(
    owner: bool, labels: str, finalizers: list[str] | None
) -> None:
    one = pod("a", labels={"app": labels}, ownerReferences=[OWNER] if owner else [], finalizers=[FINALIZER] * owner)
    [patch] = decide(job(), one).actions
    assert isinstance(patch, Patch)
    assert patch.patch["metadata"]["finalizers"] == finalizers  # type: ignore[call-overload]
