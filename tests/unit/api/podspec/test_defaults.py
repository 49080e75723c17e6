"""What pods and templates leave open, beyond what is recorded."""

import pytest

from mizzen.api.core.pod import POD
from mizzen.api.podspec import qos
from mizzen.api.podspec.images import pull_policy
from mizzen.machinery.errors import Object

ASKED = {"cpu": "1", "memory": "1Gi"}


def _made(**spec: object) -> Object:
    pod = {"metadata": {"name": "p", "namespace": "n", "labels": {"app": "web"}}, "spec": spec}
    assert POD.default and POD.prepare
    POD.default(pod)
    POD.prepare(pod, None)
    return pod


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("registry.test:5000/a/nginx", "Always"),
        ("registry.test:5000/a/nginx:1.2", "IfNotPresent"),
        (f"nginx@sha256:{'0' * 64}", "IfNotPresent"),
        (f"nginx:latest@sha256:{'0' * 64}", "Always"),
        ("Not An Image", "IfNotPresent"),
    ],
)
def test_only_the_latest_image_is_pulled_always(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_pod_level_requests_follow_the_containers_then_the_limits() -> None:
    containers = [{"name": "a", "resources": {"requests": {"cpu": "250m"}}}]
    pod = _made(containers=containers, resources={"limits": {"cpu": "2", "memory": "1Gi"}})
    assert pod["spec"]["resources"]["requests"] == {"cpu": "250m", "memory": "1Gi"}


def test_pod_level_resources_leave_room_for_the_containers() -> None:
    containers = [{"name": "a", "image": "i", "resources": {"requests": {"cpu": "2"}}}]
    pod = _made(containers=containers, resources={"requests": {"cpu": "1"}})
    assert POD.validate
    assert [error.path for error in POD.validate(pod, None)] == ["spec.resources.requests[cpu]"]


def test_an_image_volume_is_pulled_like_a_container() -> None:
    pod = _made(containers=[], volumes=[{"name": "v", "image": {"reference": "data:1"}}])
    assert pod["spec"]["volumes"][0]["image"]["pullPolicy"] == "IfNotPresent"


def test_match_label_keys_become_requirements_with_the_pods_own_values() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {},
        "matchLabelKeys": ["app", "absent"],
    }
    pod = _made(containers=[], topologySpreadConstraints=[constraint])
    assert pod["spec"]["topologySpreadConstraints"][0]["labelSelector"] == {
        "matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]
    }


def test_a_negative_grace_period_is_one_second() -> None:
    assert _made(containers=[], terminationGracePeriodSeconds=-7)["spec"]["terminationGracePeriodSeconds"] == 1


@pytest.mark.parametrize(
    ("resources", "class_"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "0"}}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"requests": ASKED, "limits": ASKED}], "Guaranteed"),
        ([{"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": ASKED}], "Guaranteed"),
        ([{"requests": ASKED, "limits": ASKED}, {}], "Burstable"),
    ],
)
def test_the_quality_of_service_follows_from_requests_and_limits(resources: list[Object], class_: str) -> None:
    containers = [{"name": str(i), "resources": one} for i, one in enumerate(resources)]
    assert qos.qos_class({"containers": containers}) == class_


def test_pod_level_resources_decide_the_quality_of_service() -> None:
    spec = {"containers": [{"name": "a"}], "resources": {"requests": ASKED, "limits": ASKED}}
    assert qos.qos_class(spec) == "Guaranteed"
