"""Fields that came after the recordings."""

from typing import Any

import pytest

from mizzen.api.core.pod import POD
from mizzen.machinery.errors import Object

RULE = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}


def _errors(container: Object | None = None, **spec: Any) -> list[str]:
    containers = [{"name": "app", "image": "app:1", **(container or {})}]
    pod = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": containers, **spec}}
    assert POD.default and POD.validate
    POD.default(pod)
    return [error.path for error in POD.validate(pod, None)]


def test_a_container_may_have_a_restart_policy_with_rules() -> None:
    assert _errors({"restartPolicy": "Never", "restartPolicyRules": [RULE]}) == []


@pytest.mark.parametrize(
    ("container", "path"),
    [
        ({"restartPolicy": "Maybe"}, "restartPolicy"),
        ({"restartPolicyRules": [RULE]}, "restartPolicy"),
        (
            {"restartPolicy": "Never", "restartPolicyRules": [{"action": "Jump", "exitCodes": RULE["exitCodes"]}]},
            "restartPolicyRules[0].action",
        ),
        ({"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart"}]}, "restartPolicyRules[0].exitCodes"),
        ({"resizePolicy": [{"resourceName": "gpu", "restartPolicy": "NotRequired"}]}, "resizePolicy"),
        ({"lifecycle": {"stopSignal": "SIGTERM"}}, "lifecycle.stopSignal"),
        ({"lifecycle": {"preStop": {"sleep": {"seconds": 99}}}}, "lifecycle.preStop.sleep"),
        ({"securityContext": {"procMount": "Unmasked"}}, "securityContext.procMount"),
        (
            {"securityContext": {"appArmorProfile": {"type": "Localhost"}}},
            "securityContext.appArmorProfile.localhostProfile",
        ),
    ],
)
def test_a_container_field_is_checked(container: Object, path: str) -> None:
    assert _errors(container) == [f"spec.containers[0].{path}"]


def test_a_stop_signal_needs_the_operating_system() -> None:
    assert _errors({"lifecycle": {"stopSignal": "SIGUSR1"}}, os={"name": "linux"}) == []


def test_user_namespaces_exclude_the_hosts() -> None:
    assert _errors(hostUsers=False, hostNetwork=True) == ["spec.hostNetwork"]
    assert _errors({"securityContext": {"procMount": "Unmasked"}}, hostUsers=False) == []


def test_a_side_car_may_have_probes() -> None:
    side_car = {"name": "s", "image": "s:1", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}}}
    assert _errors(initContainers=[side_car]) == []


def test_a_recursively_read_only_mount_is_read_only() -> None:
    mount = {"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}
    volumes = [{"name": "v", "emptyDir": {}}]
    assert _errors({"volumeMounts": [mount]}, volumes=volumes) == ["spec.containers[0].volumeMounts.recursiveReadOnly"]
    assert _errors({"volumeMounts": [{**mount, "readOnly": True}]}, volumes=volumes) == []


def test_a_resource_claim_comes_from_one_place_and_is_known_where_it_is_used() -> None:
    used = {"resources": {"claims": [{"name": "gpu"}]}}
    assert _errors(used, resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}]) == []
    assert _errors(used, resourceClaims=[{"name": "gpu"}]) == ["spec.resourceClaims[0]"]
    assert _errors(used) == ["spec.containers[0].resources.claims[0]"]


def test_a_pod_certificate_has_a_signer_a_key_and_a_place() -> None:
    certificate = {"signerName": "acme.test/s", "keyType": "ED25519", "credentialBundlePath": "b.pem"}
    path = "spec.volumes[0].projected.sources[0].podCertificate"

    def volumes(**changes: Any) -> list[Object]:
        return [{"name": "v", "projected": {"sources": [{"podCertificate": {**certificate, **changes}}]}}]

    assert _errors(volumes=volumes()) == []
    assert _errors(volumes=volumes(keyType="DSA")) == [f"{path}.keyType"]
    assert _errors(volumes=volumes(credentialBundlePath="")) == [path]


def test_environment_names_may_hold_nearly_everything() -> None:
    assert _errors({"env": [{"name": "my.name-1 x", "value": "v"}]}) == []
    assert _errors({"env": [{"name": "a=b", "value": "v"}]}) == ["spec.containers[0].env[0].name"]


def test_a_host_name_override_excludes_the_full_name() -> None:
    assert _errors(hostnameOverride="a.b", setHostnameAsFQDN=True) == ["spec.hostnameOverride"]
