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


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ("runtime/default", {"type": "RuntimeDefault"}),
        ("unconfined", {"type": "Unconfined"}),
        ("localhost/mine", {"type": "Localhost", "localhostProfile": "mine"}),
        ("localhost/", None),
        ("complain", None),
        ("", None),
    ],
)
def test_apparmor_profiles_of_annotations_go_into_fields_of_new_pods(said: str, profile: dict[str, str] | None) -> None:
    body = {"metadata": {"annotations": {f"{APPARMOR}/c": said}}, "spec": SPEC}
    of_container = written(POD, body)["spec"]["containers"][0].get("securityContext") or {}
    assert of_container.get("appArmorProfile") == profile


def test_an_apparmor_profile_that_a_field_names_stays() -> None:
    profile = {"type": "RuntimeDefault"}
    spec = {**SPEC, "securityContext": {"appArmorProfile": profile}}
    container = written(POD, {"metadata": {"annotations": {f"{APPARMOR}/c": "runtime/default"}}, "spec": spec})
    assert "securityContext" not in container["spec"]["containers"][0]
    named = {"name": "c", "image": "i", "securityContext": {"appArmorProfile": profile}}
    body = {"metadata": {"annotations": {f"{APPARMOR}/c": "unconfined"}}, "spec": {"containers": [named]}}
    assert written(POD, body)["spec"]["containers"][0]["securityContext"] == {"appArmorProfile": profile}


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
    path, spec = (f"{AT}[{key}]", "Forbidden"), old["spec"]
    assert path in causes(POD, {"metadata": {"annotations": {key: "runtime/default"}}, "spec": spec}, old)
    assert causes(POD, {"metadata": {"annotations": {key: "unconfined", "a": "b"}}, "spec": spec}, old) == set()
