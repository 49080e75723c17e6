"""Pod specs that are right are known again, and nothing else is taken for them."""

import copy

from mizzen.api.podspec import spec as podspec
from mizzen.machinery.errors import Object


def _replica(volume: str, *, image: str = "nginx") -> Object:
    mount = {"name": volume, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "Always",
        "terminationMessagePolicy": "File",
        "terminationMessagePath": "/dev/termination-log",
        "volumeMounts": [mount],
    }
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    return {
        "containers": [container],
        "volumes": [{"name": volume, "projected": {"sources": [token], "defaultMode": 420}}],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
    }


def test_replicas_that_differ_in_the_name_of_their_token_volume_are_checked_once() -> None:
    podspec._right.clear()
    first, second = _replica("kube-api-access-bcdfg"), _replica("kube-api-access-2456x")
    assert list(podspec.spec_errors("spec", first)) == []
    assert list(podspec.spec_errors("spec", second)) == []
    assert len(podspec._right) == 1


def test_a_replica_whose_mount_names_another_token_volume_is_not_taken_for_a_right_one() -> None:
    assert list(podspec.spec_errors("spec", _replica("kube-api-access-bcdfg"))) == []
    wrong = copy.deepcopy(_replica("kube-api-access-bcdfg"))
    wrong["containers"][0]["volumeMounts"][0]["name"] = "kube-api-access-xxxxx"
    (error,) = podspec.spec_errors("spec", wrong)
    assert error.path == "spec.containers[0].volumeMounts[0].name"


def test_a_wrong_spec_is_wrong_whatever_its_token_volume_is_called() -> None:
    for volume in ("kube-api-access-bcdfg", "kube-api-access-2456x"):
        (error,) = podspec.spec_errors("spec", _replica(volume, image=""))
        assert error.path == "spec.containers[0].image"
