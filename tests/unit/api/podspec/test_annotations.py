import pytest

from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.core.pod import POD

from ..written import causes, written

SPEC = {"containers": [{"name": "c", "image": "i"}]}
AT = "metadata.annotations"
APPARMOR = "container.apparmor.security.beta.kubernetes.io"


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("kubernetes.io/config.mirror", "x", f"{AT}[kubernetes.io/config.mirror]"),
        ("controller.kubernetes.io/pod-deletion-cost", "1.5", f"{AT}[controller.kubernetes.io/pod-deletion-cost]"),
        ("controller.kubernetes.io/pod-deletion-cost", "+1", f"{AT}[controller.kubernetes.io/pod-deletion-cost]"),
        (f"{APPARMOR}/c", "complain", f"{AT}[{APPARMOR}/c]"),
        (f"{APPARMOR}/other", "runtime/default", f"{AT}[{APPARMOR}/other]"),
        ("scheduler.alpha.kubernetes.io/tolerations", "{", f"{AT}.scheduler.alpha.kubernetes.io/tolerations"),
    ],
)
def test_an_annotation_that_the_server_reads_must_be_well_formed(key: str, value: str, path: str) -> None:
    assert causes(POD, {"metadata": {"annotations": {key: value}}, "spec": SPEC}) == {(path, "Invalid")}


def test_well_formed_annotations_pass() -> None:
    annotations = {"controller.kubernetes.io/pod-deletion-cost": "-100", f"{APPARMOR}/c": "localhost/mine"}
    assert causes(POD, {"metadata": {"annotations": annotations}, "spec": SPEC}) == set()


def test_templates_obey_the_same_rules() -> None:
    metadata = {"labels": {"a": "b"}, "annotations": {"controller.kubernetes.io/pod-deletion-cost": "cheap"}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": metadata, "spec": SPEC}}
    path = "spec.template.annotations[controller.kubernetes.io/pod-deletion-cost]"
    assert causes(DEPLOYMENT, {"spec": spec}) == {(path, "Invalid")}


def test_a_field_is_referred_to_in_version_v1_alone() -> None:
    reference = {"fieldRef": {"apiVersion": "v2", "fieldPath": "metadata.name"}}
    container = {"name": "c", "image": "i", "env": [{"name": "A", "valueFrom": reference}]}
    path = "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"
    assert causes(POD, {"spec": {"containers": [container]}}) == {(path, "Invalid")}


def test_resource_claims_are_asked_for_by_containers_alone() -> None:
    spec = {**SPEC, "resources": {"claims": [{"name": "gpu"}]}}
    assert causes(POD, {"spec": spec}) == {("spec.resources.claims", "Forbidden")}


def test_what_the_kubelet_relies_on_stays_as_it_was_created() -> None:
    key = f"{APPARMOR}/c"
    old = written(POD, {"metadata": {"annotations": {key: "unconfined"}}, "spec": SPEC})
    path = (f"{AT}[{key}]", "Forbidden")
    assert causes(POD, {"metadata": {"annotations": {key: "runtime/default"}}, "spec": SPEC}, old) == {path}
    assert causes(POD, {"metadata": {"annotations": {key: "unconfined", "a": "b"}}, "spec": SPEC}, old) == set()
