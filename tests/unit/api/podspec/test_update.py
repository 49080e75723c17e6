"""What may change of a pod once it exists."""

import json
from collections.abc import Callable
from typing import Any

from mizzen.api.core.pod import POD
from mizzen.machinery.errors import Object

CHANGE = Callable[[Object], Any]


def _pod(**spec: Any) -> Object:
    containers = [{"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "1"}}}]
    pod = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": containers, **spec}}
    assert POD.default and POD.prepare
    POD.default(pod)
    POD.prepare(pod, None)
    return pod


def _changed(pod: Object, change: CHANGE) -> list[str]:
    new = json.loads(json.dumps(pod))
    change(new["spec"])
    assert POD.validate
    return [error.path for error in POD.validate(new, pod)]


def _sub(name: str, pod: Object, spec: Object) -> tuple[Object, list[str]]:
    sub = next(one for one in POD.subresources if one.name == name)
    new = {"metadata": dict(pod["metadata"]), "spec": spec}
    assert POD.default and sub.prepare and sub.validate
    POD.default(new)
    sub.prepare(new, pod)
    return new, [error.path for error in sub.validate(new, pod)]


def test_an_image_may_change() -> None:
    assert _changed(_pod(), lambda spec: spec["containers"][0].update(image="app:2")) == []


def test_a_command_may_not_change() -> None:
    assert _changed(_pod(), lambda spec: spec["containers"][0].update(command=["sh"])) == ["spec"]


def test_what_is_absent_and_what_is_empty_are_the_same() -> None:
    assert _changed(_pod(), lambda spec: spec.update(nodeSelector={}, hostNetwork=False)) == []


def test_a_toleration_may_be_added_but_not_taken_away() -> None:
    one = {"key": "a", "operator": "Exists"}
    pod = _pod(tolerations=[one])
    assert _changed(pod, lambda spec: spec["tolerations"].append({"key": "b", "operator": "Exists"})) == []
    assert _changed(pod, lambda spec: spec.update(tolerations=[])) == ["spec.tolerations"]


def test_a_deadline_may_only_come_nearer() -> None:
    pod = _pod(activeDeadlineSeconds=30)
    assert _changed(pod, lambda spec: spec.update(activeDeadlineSeconds=10)) == []
    assert _changed(pod, lambda spec: spec.update(activeDeadlineSeconds=60)) == ["spec.activeDeadlineSeconds"]
    assert _changed(pod, lambda spec: spec.pop("activeDeadlineSeconds")) == ["spec.activeDeadlineSeconds"]


def test_a_negative_grace_period_may_become_one_second() -> None:
    pod = _pod()
    pod["spec"]["terminationGracePeriodSeconds"] = -5
    assert _changed(pod, lambda spec: spec.update(terminationGracePeriodSeconds=1)) == []
    assert _changed(_pod(), lambda spec: spec.update(terminationGracePeriodSeconds=1)) == ["spec"]


def test_a_gate_may_be_lifted_but_not_put_up() -> None:
    pod = _pod(schedulingGates=[{"name": "acme.test/a"}])
    assert _changed(pod, lambda spec: spec.update(schedulingGates=[])) == []
    assert _changed(_pod(), lambda spec: spec.update(schedulingGates=[{"name": "acme.test/a"}])) == [
        "spec.schedulingGates[0].name"
    ]


def test_only_a_gated_pod_takes_a_narrower_node_selector() -> None:
    gated = _pod(schedulingGates=[{"name": "acme.test/a"}], nodeSelector={"disk": "ssd"})
    assert _changed(gated, lambda spec: spec["nodeSelector"].update(zone="a")) == []
    assert _changed(gated, lambda spec: spec.update(nodeSelector={"disk": "hdd"})) == ["spec.nodeSelector"]
    assert _changed(_pod(), lambda spec: spec.update(nodeSelector={"zone": "a"})) == ["spec"]


def test_a_gated_pods_required_node_affinity_may_only_narrow() -> None:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    disk = {"key": "disk", "operator": "In", "values": ["ssd"]}
    zone = {"key": "zone", "operator": "Exists"}

    def affinity(*requirements: Object) -> Object:
        return {"nodeAffinity": {required: {"nodeSelectorTerms": [{"matchExpressions": list(requirements)}]}}}

    gated = _pod(schedulingGates=[{"name": "acme.test/a"}], affinity=affinity(disk))
    assert _changed(gated, lambda spec: spec.update(affinity=affinity(disk, zone))) == []
    assert _changed(gated, lambda spec: spec.update(affinity=affinity(zone))) == [
        f"spec.affinity.nodeAffinity.{required}.nodeSelectorTerms[0]"
    ]


def test_an_ephemeral_container_is_all_that_its_subresource_changes() -> None:
    new, errors = _sub(
        "ephemeralcontainers", _pod(), {"nodeName": "n", "ephemeralContainers": [{"name": "d", "image": "d"}]}
    )
    assert errors == []
    assert "nodeName" not in new["spec"]
    assert [one["name"] for one in new["spec"]["ephemeralContainers"]] == ["d"]
    assert _sub("ephemeralcontainers", new, {"ephemeralContainers": []})[1] == ["spec.ephemeralContainers"]


def test_an_ephemeral_container_takes_no_hooks_not_even_empty_ones() -> None:
    one = {"name": "d", "image": "d", "lifecycle": {}, "resources": {}}
    assert _sub("ephemeralcontainers", _pod(), {"ephemeralContainers": [one]})[1] == [
        "spec.ephemeralContainers[0].lifecycle"
    ]


def test_a_resize_changes_cpu_and_memory_alone() -> None:
    asked = {"containers": [{"name": "app", "image": "other", "resources": {"requests": {"cpu": "2"}}}]}
    new, errors = _sub("resize", _pod(), asked)
    assert errors == []
    assert new["spec"]["containers"][0]["image"] == "app:1"
    assert new["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "2"}}


def test_a_resize_keeps_the_quality_of_service() -> None:
    asked = {"containers": [{"name": "app", "resources": {}}]}
    assert _sub("resize", _pod(), asked)[1] == ["spec", "spec.containers[0].resources.requests"]


def test_a_resize_leaves_other_resources_alone() -> None:
    asked = {"containers": [{"name": "app", "resources": {"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}}]}
    assert _sub("resize", _pod(), asked)[1] == ["spec"]
