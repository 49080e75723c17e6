"""Where clients are told that something is wrong with a pod: not always where one would look."""

from typing import Any

import pytest

from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.core.pod import POD
from mizzen.machinery.errors import Object

from ..written import found, written


def _pod(container: Object | None = None, **spec: Any) -> Object:
    containers = [{"name": "app", "image": "app:1", **(container or {})}]
    return {"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": containers, **spec}}


def _causes(pod: Object, old: Object | None = None) -> list[tuple[str, str]]:
    assert POD.validate
    stored = written(POD, pod, old)
    return [next(iter(found([error]))) for error in POD.validate(stored, old)]


def _of_volume(**source: Any) -> list[tuple[str, str]]:
    return _causes(_pod(volumes=[{"name": "v", **source}]))


@pytest.mark.parametrize(
    ("source", "causes"),
    [
        ({"gcePersistentDisk": {}}, [("persistentDisk.pdName", "Required")]),
        ({"nfs": {"server": "s"}}, [("nfs.path", "Required"), ("nfs.path", "Invalid")]),
        ({"cinder": {"volumeID": "v", "secretRef": {"name": "s"}}}, []),
        ({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "A"}}}, [("csi.name", "Invalid")]),
        ({"scaleIO": {"gateway": "g", "system": "s", "volumeName": "v"}}, []),
        ({"azureDisk": {"diskName": "d"}}, [("azureDisk.diskURI", "Required"), ("azureDisk.diskURI", "NotSupported")]),
        ({"hostPath": {"path": "", "type": "Odd"}}, [("hostPath.path", "Required")]),
        (
            {"iscsi": {"targetPortal": "p", "iqn": "iqn.2026-01.test:x", "lun": 0, "initiatorName": "x"}},
            [("iscsi.initiatorname", "Invalid")],
        ),
        (
            {"iscsi": {"targetPortal": "p", "iqn": "iqn.2026-01.test", "lun": 0}},
            [("iscsi.iqn", "Invalid")],
        ),
        ({"emptyDir": {}, "cephfs": {"monitors": ["m"]}}, [("cephFS", "Forbidden")]),
        ({"projected": {"sources": [{"serviceAccountToken": {}}]}}, [("projected.path", "Required")]),
        (
            {"projected": {"sources": [{"secret": {}, "configMap": {}}]}},
            [
                ("projected.sources[0].secret.name", "Required"),
                ("projected.sources[0].configMap.name", "Required"),
                ("projected.sources[0]", "Forbidden"),
            ],
        ),
        (
            {"configMap": {"name": "c", "items": [{"key": "k", "path": ".."}]}},
            [("configMap.items[0].path", "Invalid"), ("configMap.items[0].path", "Invalid")],
        ),
    ],
)
def test_a_volumes_source_is_blamed_at_its_path(source: Object, causes: list[tuple[str, str]]) -> None:
    assert _of_volume(**source) == [(f"spec.volumes[0].{path}", reason) for path, reason in causes]


def test_a_volume_that_is_wrong_is_none_to_its_mounts() -> None:
    mount = {"name": "v", "mountPath": "/v"}
    assert _causes(_pod({"volumeMounts": [mount]}, volumes=[{"name": "v", "secret": {}}])) == [
        ("spec.volumes[0].secret.secretName", "Required"),
        ("spec.containers[0].volumeMounts[0].name", "NotFound"),
    ]


def test_a_pod_does_not_use_by_name_the_claim_that_is_made_for_it() -> None:
    claim = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    volumes = [
        {"name": "made", "ephemeral": {"volumeClaimTemplate": claim}},
        {"name": "used", "persistentVolumeClaim": {"claimName": "p-made"}},
    ]
    assert _causes(_pod(volumes=volumes)) == [("spec.volumes[1].persistentVolumeClaim.claimName", "Invalid")]


@pytest.mark.parametrize(
    ("container", "causes"),
    [
        (
            {"livenessProbe": {"httpGet": {"port": 80, "httpHeaders": [{"name": "a b"}]}}},
            [("livenessProbe.httpGet.httpHeaders", "Invalid")],
        ),
        (
            {"resizePolicy": [{"resourceName": "cpu"}]},
            [("resizePolicy", "Required")],
        ),
        ({"envFrom": [{"secretRef": {"name": "ends-"}}]}, []),
        ({"resources": {"claims": [{}]}}, [("resources.claims[0]", "Required")]),
    ],
)
def test_a_container_is_blamed_at_its_path(container: Object, causes: list[tuple[str, str]]) -> None:
    assert _causes(_pod(container)) == [(f"spec.containers[0].{path}", reason) for path, reason in causes]


def test_on_the_hosts_network_the_host_port_is_the_one_that_is_wrong() -> None:
    ports = [{"containerPort": 80, "hostPort": 81}]
    assert _causes(_pod({"ports": ports}, hostNetwork=True)) == [("spec.containers[0].ports[0].hostPort", "Invalid")]


def test_blanks_around_an_image_are_for_templates_alone() -> None:
    blank = {"name": "app", "image": " "}
    assert _causes(_pod(blank)) == [("spec.containers[0].image", "Invalid")]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [blank]}}
    content = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    assert DEPLOYMENT.validate
    assert list(DEPLOYMENT.validate(written(DEPLOYMENT, content), None)) == []


def test_an_update_looks_at_images_and_annotations_twice() -> None:
    old = written(POD, _pod())
    new = _pod({"image": ""})
    assert _causes(new, old) == [("spec.containers[0].image", "Required")] * 2
    new = {**_pod(), "metadata": {"name": "p", "annotations": {"controller.kubernetes.io/pod-deletion-cost": "much"}}}
    path = "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]"
    assert _causes(new, old) == [(path, "Invalid")] * 2


def test_values_of_a_preferred_node_may_be_anything() -> None:
    requirement = {"key": "k", "operator": "In", "values": ["a b"]}
    term = {"matchExpressions": [requirement]}
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    assert _causes(_pod(affinity={"nodeAffinity": preferred})) == []
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
    assert _causes(_pod(affinity={"nodeAffinity": required})) == [(f"{path}.matchExpressions[0].values[0]", "Invalid")]


def test_profiles_in_annotations_and_fields_agree() -> None:
    key = "container.seccomp.security.alpha.kubernetes.io/app"
    pod = _pod({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})
    pod["metadata"]["annotations"] = {key: "runtime/default"}
    assert _causes(pod) == [("spec.containers[0].securityContext.seccompProfile.type", "Forbidden")]
    pod["metadata"]["annotations"] = {key: "unconfined"}
    assert _causes(pod) == []
    pod["metadata"]["annotations"] = {"seccomp.security.alpha.kubernetes.io/pod": "odd"}
    assert _causes(pod) == [("metadata.annotations.seccomp.security.alpha.kubernetes.io/pod", "Invalid")]


def test_a_status_names_conditions_addresses_and_claims_properly() -> None:
    old = written(POD, _pod())
    status = {
        "qosClass": "BestEffort",
        "conditions": [{"type": "a b", "status": "True"}],
        "podIP": "10.0.0.1",
        "podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.1"}],
        "hostIP": "10.1.0.1",
        "hostIPs": [{"ip": "10.1.0.2"}],
        "resourceClaimStatuses": [{"name": "none"}],
    }
    assert POD.validate_status
    assert found(POD.validate_status({**old, "status": status}, old)) == {
        ("metadata.conditions[0].Type", "Invalid"),
        ("status.podIPs", "Invalid"),
        ("status.podIPs[1]", "Duplicate"),
        ("status.hostIPs[0].ip", "Invalid"),
        ("status.resourceClaimStatuses[0].name", "Invalid"),
    }


def test_a_static_pod_takes_no_ephemeral_containers_and_no_resize() -> None:
    pod = _pod(nodeName="n")
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    for sub in POD.subresources:
        if sub.name in {"ephemeralcontainers", "resize"}:
            assert sub.validate
            assert found(sub.validate(pod, pod)) >= {("[]", "Forbidden")}
