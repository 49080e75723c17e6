"""What a quota counts."""

from typing import Any

import msgspec
import pytest

from mizzen.api.views.core import PersistentVolumeClaim, Pod, ResourceQuota, Service
from mizzen.api.views.resource import ResourceClaim
from mizzen.controllers import quotas
from mizzen.reconcile.plan import Patch


def used(spec: dict[str, Any], pods: Any = (), claims: Any = (), devices: Any = ()) -> dict[str, str]:
    """What a quota is told to be used, given the specs of what is there."""
    quota = msgspec.convert({"metadata": {"name": "q", "namespace": "d"}, "spec": spec}, ResourceQuota)
    seen = quotas.Snapshot(
        quota,
        tuple(msgspec.convert({"spec": one}, Pod) for one in pods),
        (),
        tuple(msgspec.convert({"spec": one}, PersistentVolumeClaim) for one in claims),
        {},
        tuple(msgspec.convert({"spec": one}, ResourceClaim) for one in devices),
    )
    [patch] = quotas.CONTROLLER.reconcile(seen, 0.0).actions
    assert isinstance(patch, Patch)
    found: dict[str, str] = patch.patch["status"]["used"]  # type: ignore[call-overload]
    return found


def test_devices_count_by_class_and_alternatives_by_the_most_of_each() -> None:
    requests = [
        {"name": "a", "exactly": {"deviceClassName": "gpu"}},
        {"name": "b", "exactly": {"deviceClassName": "gpu", "count": 3, "allocationMode": "ExactCount"}},
        {"name": "c", "exactly": {"deviceClassName": "nic", "allocationMode": "All"}},
        {
            "name": "d",
            "firstAvailable": [{"deviceClassName": "gpu", "count": 2}, {"deviceClassName": "gpu", "count": 1}],
        },
    ]
    names = [f"{name}.deviceclass.resource.k8s.io/devices" for name in ("gpu", "nic", "other")]
    found = used({"hard": dict.fromkeys(names, "50")}, devices=[{"devices": {"requests": requests}}])
    assert [found[name] for name in names] == ["6", "32", "0"]


def selected(attributes: str) -> dict[str, Any]:
    one = {"scopeName": "VolumeAttributesClass", "operator": "In", "values": [attributes]}
    return {"scopeSelector": {"matchExpressions": [one]}}


@pytest.mark.parametrize(
    ("scope", "counted"),
    [
        ({}, "2"),
        ({"scopes": ["VolumeAttributesClass"]}, "1"),
        ({"scopes": ["BestEffort"]}, "0"),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "VolumeAttributesClass", "operator": "In", "values": ["fast"]}]
                }
            },
            "1",
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "VolumeAttributesClass", "operator": "In", "values": ["slow"]}]
                }
            },
            "0",
        ),
    ],
)
def test_claims_count_in_the_scope_of_their_attributes(scope: dict[str, Any], counted: str) -> None:
    claims = [
        {"resources": {"requests": {"storage": "1"}}, "volumeAttributesClassName": "fast"},
        {"resources": {"requests": {"storage": "1"}}},
    ]
    hard = {"requests.storage": "5", "persistentvolumeclaims": "5"}
    found = used({"hard": hard, **scope}, claims=claims)
    assert found["requests.storage"] == counted
    assert not scope or found["persistentvolumeclaims"] == counted


@pytest.mark.parametrize(("name", "counted"), [("wanted", "1"), ("current", "1"), ("target", "1"), ("other", "0")])
def test_a_claim_counts_for_every_class_of_attributes_that_it_refers_to(name: str, counted: str) -> None:
    status = {
        "currentVolumeAttributesClassName": "current",
        "modifyVolumeStatus": {"targetVolumeAttributesClassName": "target", "status": "InProgress"},
    }
    body = {"spec": {"volumeAttributesClassName": "wanted"}, "status": status}
    claim = msgspec.convert(body, PersistentVolumeClaim)
    spec = {"hard": {"persistentvolumeclaims": "5"}, **selected(name)}
    quota = msgspec.convert({"metadata": {"name": "q", "namespace": "d"}, "spec": spec}, ResourceQuota)
    [patch] = quotas.CONTROLLER.reconcile(quotas.Snapshot(quota, (), (), (claim,), {}), 0.0).actions
    assert isinstance(patch, Patch)
    assert patch.patch["status"]["used"] == {"persistentvolumeclaims": counted}  # type: ignore[call-overload]


def test_a_claim_that_has_other_attributes_now_is_counted_again() -> None:
    old, new, same = (
        msgspec.convert({"status": {"currentVolumeAttributesClassName": name, "phase": phase}}, PersistentVolumeClaim)
        for name, phase in (("gold", "Bound"), ("silver", "Bound"), ("gold", "Lost"))
    )
    assert quotas.CONTROLLER.concerns_everything(old, new)
    assert not quotas.CONTROLLER.concerns_everything(old, same)


@pytest.mark.parametrize(
    ("spec", "counted"),
    [
        ({"type": "NodePort", "ports": [{"port": 80}, {"port": 443}]}, "2"),
        ({"type": "LoadBalancer", "ports": [{"port": 80, "nodePort": 30001}]}, "1"),
        ({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}, "0"),
        (
            {
                "type": "LoadBalancer",
                "allocateLoadBalancerNodePorts": False,
                "ports": [{"port": 80}, {"port": 443, "nodePort": 30001}],
            },
            "1",
        ),
    ],
)
def test_a_load_balancer_without_node_ports_takes_none(spec: dict[str, Any], counted: str) -> None:
    quota = {"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": {"services.nodeports": "5"}}}
    service = msgspec.convert({"spec": spec}, Service)
    seen = quotas.Snapshot(msgspec.convert(quota, ResourceQuota), (), (service,), (), {})
    [patch] = quotas.CONTROLLER.reconcile(seen, 0.0).actions
    assert isinstance(patch, Patch)
    assert patch.patch["status"]["used"] == {"services.nodeports": counted}  # type: ignore[call-overload]


def test_what_is_said_of_a_pod_counts_instead_of_its_containers() -> None:
    pod = {
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}},
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}],
    }
    assert used({"hard": {"requests.cpu": "5", "limits.cpu": "5"}}, [pod]) == {"requests.cpu": "2", "limits.cpu": "3"}
    best_effort = {"hard": {"pods": "5"}, "scopes": ["BestEffort"]}
    assert used(best_effort, [pod, {"containers": [{"name": "c", "resources": {"limits": {"x.io/y": "1"}}}]}]) == {
        "pods": "1"
    }


def test_finished_pods_count_as_objects_but_take_nothing() -> None:
    hard = {"pods": "5", "count/pods": "5", "requests.cpu": "2"}
    quota = msgspec.convert({"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": hard}}, ResourceQuota)
    containers = [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]
    pods = tuple(
        msgspec.convert(
            {"metadata": {"name": phase}, "spec": {"containers": containers}, "status": {"phase": phase}}, Pod
        )
        for phase in ("Running", "Succeeded")
    )
    [patch] = quotas.CONTROLLER.reconcile(quotas.Snapshot(quota, pods, (), (), {}), 0.0).actions
    assert isinstance(patch, Patch)
    told = patch.patch["status"]["used"]  # type: ignore[call-overload]
    assert told == {"pods": "1", "count/pods": "2", "requests.cpu": "500m"}


def test_what_was_let_in_before_a_limit_came_into_force_is_counted_once_more() -> None:
    quota = {"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": {"pods": "5"}}}
    pod = msgspec.convert({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}, Pod)

    def plan(status: dict[str, dict[str, str]], *pods: Pod) -> tuple[object, float | None]:
        seen = quotas.Snapshot(msgspec.convert({**quota, "status": status}, ResourceQuota), pods, (), (), {})
        made = quotas.CONTROLLER.reconcile(seen, 0.0)
        return [one.patch["status"] for one in made.actions if isinstance(one, Patch)], made.requeue_after

    counted = {"hard": {"pods": "5"}, "used": {"pods": "0"}}
    assert plan({}) == ([counted], 1.0)
    assert plan(counted, pod) == ([{"used": {"pods": "1"}}], None)
