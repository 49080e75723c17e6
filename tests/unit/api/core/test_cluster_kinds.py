"""Nodes, namespaces, bindings, events, limits and quotas, beyond what is recorded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.api.core import binding
from mizzen.api.core.event import EVENT
from mizzen.api.core.limitrange import LIMIT_RANGE
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.node import NODE
from mizzen.api.core.resourcequota import RESOURCE_QUOTA
from mizzen.api.events.event import EVENT as NEW_EVENT
from mizzen.api.kind import Kind
from mizzen.machinery.errors import Object


def _errors(kind: Kind, object_: Object, old: Object | None = None) -> list[str]:
    object_ = {"metadata": {"name": "x"}, **object_}
    if kind.default:
        kind.default(object_)
    assert kind.validate
    return [error.path for error in kind.validate(object_, old)]


def test_a_nodes_pod_range_is_kept_in_both_fields() -> None:
    node: Object = {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.1.0.0/24"}}
    assert NODE.default
    NODE.default(node)
    assert node["spec"]["podCIDRs"] == ["10.1.0.0/24"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"taints": [{"key": "a b", "effect": "NoSchedule"}]}, "metadata.taints[0].key"),
        ({"taints": [{"key": "a", "effect": "Sometimes"}]}, "metadata.taints[0].effect"),
        ({"taints": [{"key": "a"}]}, "metadata.taints[0].effect"),
        ({"taints": [{"key": "a", "effect": "NoExecute"}] * 2}, "metadata.taints[1]"),
        ({"podCIDRs": ["10.1.0.0/24", "10.2.0.0/24"]}, "spec.podCIDRs"),
    ],
)
def test_a_node_spec_is_checked(spec: Object, path: str) -> None:
    assert _errors(NODE, {"spec": spec}) == [path]


def test_a_new_namespace_is_active_and_held_by_kubernetes() -> None:
    namespace: Object = {"metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "b"}}}
    assert NAMESPACE.default and NAMESPACE.prepare
    NAMESPACE.default(namespace)
    NAMESPACE.prepare(namespace, None)
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}


def test_an_update_leaves_a_namespaces_finalizers_to_finalize() -> None:
    old = {"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    new: Object = {"metadata": {"name": "a"}, "spec": {}, "status": {}}
    assert NAMESPACE.prepare
    NAMESPACE.prepare(new, old)
    assert new["spec"] == {"finalizers": ["kubernetes"]}
    finalize = NAMESPACE.subresources[0]
    new = {"metadata": {"name": "a"}, "spec": {"finalizers": []}, "status": {}}
    assert finalize.prepare
    finalize.prepare(new, old)
    assert new["spec"] == {"finalizers": []}
    assert new["status"] == {"phase": "Active"}


def test_only_a_namespace_being_deleted_is_terminating() -> None:
    assert NAMESPACE.validate_status
    new: Object = {"metadata": {"name": "a", "deletionTimestamp": "t"}, "status": {"phase": "Terminating"}}
    assert list(NAMESPACE.validate_status(new, None)) == []
    del new["metadata"]["deletionTimestamp"]
    assert [error.path for error in NAMESPACE.validate_status(new, None)] == ["status.Phase"]


def test_a_pod_is_bound_once_and_not_behind_a_gate() -> None:
    pod: Object = {"metadata": {"name": "p"}, "spec": {}, "status": {}}
    assert binding.refusal(pod) == ""
    decision = {"metadata": {"annotations": {"a": "b"}}, "target": {"name": "n1"}}
    binding.bind(pod, decision, "2026-01-01T00:00:00Z")
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["metadata"]["annotations"] == {"a": "b"}
    assert [(one["type"], one["status"]) for one in pod["status"]["conditions"]] == [("PodScheduled", "True")]
    assert "already assigned" in binding.refusal(pod)
    gated = {"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}}
    assert "schedulingGates" in binding.refusal(gated)


def test_a_limits_default_is_the_request_and_the_maximum_the_default() -> None:
    limits: Object = {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"memory": "1Gi"}}]}}
    assert LIMIT_RANGE.default
    LIMIT_RANGE.default(limits)
    limit = limits["spec"]["limits"][0]
    assert limit["default"] == {"cpu": "2", "memory": "1Gi"}
    assert limit["defaultRequest"] == {"cpu": "2", "memory": "1Gi"}


def test_no_limits_at_all_are_null() -> None:
    limits: Object = {"spec": {"limits": []}}
    assert LIMIT_RANGE.default
    LIMIT_RANGE.default(limits)
    assert limits["spec"] == {"limits": None}


def test_a_pod_limit_has_no_defaults() -> None:
    limit = {"type": "Pod", "default": {"cpu": "1"}}
    assert _errors(LIMIT_RANGE, {"spec": {"limits": [limit]}}) == ["spec.limits[0].default"]


def test_scopes_of_a_quota_do_not_contradict() -> None:
    spec = {"hard": {"pods": "1"}, "scopes": ["Terminating", "NotTerminating"]}
    assert _errors(RESOURCE_QUOTA, {"spec": spec}) == ["spec.scopes"]


def test_a_quota_counts_any_resource_by_name() -> None:
    assert _errors(RESOURCE_QUOTA, {"spec": {"hard": {"count/widgets.acme.test": "3"}}}) == []


NEW: Object = {
    "metadata": {"name": "e", "namespace": "n"},
    "regarding": {"kind": "Pod", "namespace": "n", "name": "p"},
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "reportingController": "acme.test/c",
    "reportingInstance": "c-1",
    "action": "Doing",
    "reason": "Because",
    "type": "Normal",
}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"eventTime": None, "regarding": {"namespace": "n"}}, "eventTime"),
        ({"action": ""}, "action"),
        ({"type": "Odd"}, "type"),
        ({"reportingController": "a b"}, "reportingController"),
        ({"deprecatedCount": 3}, "count"),
        ({"series": {"count": 1, "lastObservedTime": "2026-01-01T00:00:00Z"}}, "series.count"),
        ({"note": "x" * 1025}, "message"),
    ],
)
def test_a_new_event_is_checked(change: Object, path: str) -> None:
    assert _errors(NEW_EVENT, {**NEW, **change}) == [path]


def test_an_event_may_only_be_counted_on() -> None:
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:00.000000Z"}
    assert _errors(NEW_EVENT, {**NEW, "series": series}, NEW) == []
    assert _errors(NEW_EVENT, {**NEW, "reason": "Other"}, NEW) == ["reason"]


def test_an_old_event_is_about_an_object_of_its_namespace() -> None:
    event = {"metadata": {"name": "e", "namespace": "n"}, "involvedObject": {"namespace": "other"}}
    assert _errors(EVENT, event) == ["involvedObject.namespace"]


_text = st.text(max_size=5)
_event = st.fixed_dictionaries(
    {},
    optional={
        "message": _text,
        "reason": _text,
        "count": st.integers(1, 9),
        "source": st.fixed_dictionaries({}, optional={"component": _text, "host": _text}),
        "series": st.fixed_dictionaries({"count": st.integers(2, 9)}),
        "involvedObject": st.fixed_dictionaries({}, optional={"kind": _text, "name": _text}),
        "reportingComponent": _text,
    },
)


@given(_event)
def test_an_event_survives_the_way_to_the_newer_group_and_back(body: dict[str, Any]) -> None:
    event: Object = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, **body}
    assert EVENT.default and NEW_EVENT.to_stored and NEW_EVENT.from_stored
    EVENT.default(event)
    assert NEW_EVENT.to_stored(NEW_EVENT.from_stored(event)) == event
