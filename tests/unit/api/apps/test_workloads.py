"""Deployments, StatefulSets and DaemonSets, beyond what is recorded."""

import json
from typing import Any

import pytest

from mizzen.api.apps.daemonset import DAEMON_SET, TEMPLATE_GENERATION
from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.apps.statefulset import STATEFUL_SET
from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object


def _made(kind: Kind, **spec: Any) -> Object:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    body = {"selector": {"matchLabels": labels}, "template": template, **spec}
    object_ = {"metadata": {"name": "x", "namespace": "n"}, "spec": json.loads(json.dumps(body))}
    assert kind.default and kind.prepare
    kind.default(object_)
    kind.prepare(object_, None)
    return object_


def _errors(kind: Kind, new: Object, old: Object | None = None) -> list[str]:
    assert kind.validate
    return [error.path for error in kind.validate(new, old)]


@pytest.mark.parametrize(
    ("rolling", "path"),
    [
        ({"maxUnavailable": 0, "maxSurge": 0}, "maxUnavailable"),
        ({"maxUnavailable": "0%", "maxSurge": 0}, "maxUnavailable"),
        ({"maxUnavailable": "101%"}, "maxUnavailable"),
        ({"maxSurge": -1}, "maxSurge"),
    ],
)
def test_a_rolling_update_makes_progress(rolling: Object, path: str) -> None:
    deployment = _made(DEPLOYMENT, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    assert _errors(DEPLOYMENT, deployment) == [f"spec.strategy.rollingUpdate.{path}"]


def test_more_cannot_be_ready_than_there_are() -> None:
    assert DEPLOYMENT.validate_status
    status = {"replicas": 1, "readyReplicas": 2}
    assert [error.path for error in DEPLOYMENT.validate_status({"status": status}, None)] == ["status.readyReplicas"]


def test_a_selector_that_cannot_be_evaluated_is_blamed_and_not_the_template() -> None:
    broken = {"matchLabels": {"app": "a b"}}
    where = ["spec.selector.matchLabels", "spec.selector"]
    assert _errors(DEPLOYMENT, _made(DEPLOYMENT, selector=broken)) == where
    assert _errors(STATEFUL_SET, _made(STATEFUL_SET, selector=broken)) == where
    assert _errors(DAEMON_SET, _made(DAEMON_SET, selector=broken)) == where[:1]


@pytest.mark.parametrize("kind", [DEPLOYMENT, DAEMON_SET, STATEFUL_SET])
def test_the_count_of_names_that_were_taken_never_shrinks(kind: Kind) -> None:
    assert kind.validate_status
    old, less, more = ({"status": {"collisionCount": count}} for count in (2, 1, 3))
    assert [error.path for error in kind.validate_status(less, old)] == ["status.collisionCount"]
    assert list(kind.validate_status(more, old)) == []


def test_a_deployments_status_cannot_be_set_on_create_nor_by_an_update() -> None:
    new = _made(DEPLOYMENT)
    new["status"] = {"replicas": 9}
    assert DEPLOYMENT.prepare
    DEPLOYMENT.prepare(new, {**new, "status": {"replicas": 1}})
    assert new["status"] == {"replicas": 1}


def test_a_stateful_set_replaces_one_pod_at_a_time_unless_told_otherwise() -> None:
    rolling = _made(STATEFUL_SET)["spec"]["updateStrategy"]["rollingUpdate"]
    assert rolling == {"partition": 0, "maxUnavailable": 1}
    none = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
    assert _errors(STATEFUL_SET, _made(STATEFUL_SET, updateStrategy=none)) == [
        "spec.updateStrategy.rollingUpdate.maxUnavailable"
    ]


def test_a_stateful_set_may_change_its_history_but_not_its_service() -> None:
    old = _made(STATEFUL_SET)
    assert _errors(STATEFUL_SET, _made(STATEFUL_SET, revisionHistoryLimit=3, replicas=5), old) == []
    assert _errors(STATEFUL_SET, _made(STATEFUL_SET, serviceName="other"), old) == ["spec"]


def test_the_name_of_a_stateful_set_fits_the_host_names_of_its_pods() -> None:
    assert STATEFUL_SET.check_name
    assert list(STATEFUL_SET.check_name("a.b")) == ["must not contain dots"]


def test_a_daemon_set_counts_its_templates() -> None:
    old = _made(DAEMON_SET)
    assert old["metadata"]["annotations"] == {TEMPLATE_GENERATION: "1"}
    same, other = _made(DAEMON_SET), _made(DAEMON_SET)
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    assert DAEMON_SET.prepare
    DAEMON_SET.prepare(same, old)
    DAEMON_SET.prepare(other, old)
    assert same["metadata"]["annotations"] == {TEMPLATE_GENERATION: "1"}
    assert other["metadata"]["annotations"] == {TEMPLATE_GENERATION: "2"}


def test_a_daemon_set_surges_or_takes_away_but_not_both() -> None:
    both = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    assert _errors(DAEMON_SET, _made(DAEMON_SET, updateStrategy=both)) == ["spec.updateStrategy.rollingUpdate.maxSurge"]
