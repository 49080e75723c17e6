"""What the conformance suite asks of the API machinery, and what once was answered wrongly."""

import json

from tests.kubectl.conftest import BUSYBOX, Kubectl, eventually


def test_objects_that_own_each_other_in_a_circle_do_not_block_a_foreground_deletion(kubectl: Kubectl) -> None:
    owners = {"a": "c", "b": "a", "c": "b"}
    for name in owners:
        kubectl("create", "configmap", name)
    uids = {name: kubectl.json("configmap", name)["metadata"]["uid"] for name in owners}
    for name, owner in owners.items():
        one = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": uids[owner], "blockOwnerDeletion": True}
        patch = json.dumps({"metadata": {"ownerReferences": [one]}})
        kubectl("patch", "configmap", name, "--type=merge", "-p", patch)
    kubectl("delete", "configmap", "a", "--cascade=foreground", "--wait=false")
    eventually(lambda: not kubectl("get", "configmap", *owners, "--ignore-not-found", "-o", "name").strip(), 15)


def test_a_webhook_is_asked_before_somebody_attaches_to_a_pod(kubectl: Kubectl) -> None:
    kubectl("run", "held", f"--image={BUSYBOX}", "--command", "--", "sleep", "600")
    kubectl.ready("held")
    hook = {
        "name": "attach.example.com",
        "clientConfig": {"service": {"namespace": kubectl.namespace, "name": "absent"}},
        "rules": [{"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/attach"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    kind = "ValidatingWebhookConfiguration"
    named = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "attach"}}
    kubectl.apply(json.dumps({**named, "webhooks": [hook]}))
    try:
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/held/attach?stdout=true"
        told = eventually(lambda: _refusal(kubectl, path))
    finally:
        kubectl("delete", kind, "attach")
    assert 'service "absent" not found' in told


def _refusal(kubectl: Kubectl, path: str) -> str:
    told = kubectl.run("get", "--raw", path).stderr
    return told if "failed calling webhook" in told else ""
