"""What the conformance suite found wrong on nodes, in Services and in storage, each as the smallest demo."""

import ipaddress
import json
from typing import Any

import pytest
from tests.kubectl.conftest import BUSYBOX, Kubectl, eventually

pytestmark = pytest.mark.timeout(60)


def pod(name: str, command: str, *, labels: dict[str, str] | None = None, **spec: Any) -> str:
    container = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", command], **spec.pop("main", {})}
    meta = {"name": name, "labels": labels or {}}
    whole = {"terminationGracePeriodSeconds": 1, **spec, "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole})


SERVE = "mkdir -p /www; hostname > /www/name; httpd -f -p 8080 -h /www"


def test_a_host_port_on_127_0_0_1_is_reached_from_the_node_itself(kubectl: Kubectl) -> None:
    node = kubectl.json("nodes")["items"][0]["metadata"]["name"]
    ports = {"ports": [{"containerPort": 8080, "hostPort": 54323, "hostIP": "127.0.0.1"}]}
    kubectl.apply(pod("served", SERVE, nodeName=node, main=ports))
    kubectl.apply(pod("client", "sleep 1000", nodeName=node, hostNetwork=True))
    kubectl.ready("served", "client")
    seen = eventually(lambda: kubectl.in_pod("client", "wget", "-qO-", "http://127.0.0.1:54323/name"))
    assert seen == "served\n"


def test_a_pod_that_ends_still_counts_as_serving(kubectl: Kubectl) -> None:
    hook = {
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "20"]}}},
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    kubectl.apply(pod("served", SERVE, labels={"app": "web"}, terminationGracePeriodSeconds=30, main=hook))
    kubectl.ready("served")
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    kubectl("delete", "pod", "served", "--wait=false")

    def conditions() -> Any:
        (only,) = kubectl.json("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
        found = only["endpoints"][0]["conditions"]
        return found if found["terminating"] else None

    assert eventually(conditions) == {"ready": False, "serving": True, "terminating": True}
    kubectl("delete", "pod", "served", "--grace-period=0", "--force")


def test_a_sysctl_that_is_not_known_to_be_safe_is_refused_by_the_node(kubectl: Kubectl) -> None:
    unsafe = {"sysctls": [{"name": "kernel.msgmax", "value": "10000"}]}
    kubectl.apply(pod("unsafe", "true", securityContext=unsafe))
    status = eventually(lambda: (s := kubectl.json("pod", "unsafe")["status"])["phase"] == "Failed" and s)
    assert status["reason"] == "SysctlForbidden"


def test_an_attachment_that_somebody_else_made_stays(kubectl: Kubectl) -> None:
    spec = {"attacher": "test.local", "nodeName": "nowhere", "source": {"persistentVolumeName": "none"}}
    meta = {"name": "made-by-hand"}
    kubectl.apply(
        json.dumps({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": meta, "spec": spec})
    )
    try:
        patch = '{"status":{"attached":true}}'
        # The controller would have deleted it before a pod is up.
        kubectl.apply(pod("later", "sleep 1000"))
        kubectl.ready("later")
        kubectl("patch", "volumeattachment", "made-by-hand", "--subresource=status", "--type=merge", "-p", patch)
        assert kubectl.json("volumeattachment", "made-by-hand")["status"]["attached"] is True
    finally:
        kubectl("delete", "volumeattachment", "made-by-hand", "--ignore-not-found")


def test_an_unused_volume_attributes_class_can_be_deleted(kubectl: Kubectl) -> None:
    meta = {"name": "unused"}
    body = {"kind": "VolumeAttributesClass", "metadata": meta, "driverName": "test.local", "parameters": {"a": "b"}}
    kubectl.apply(json.dumps({"apiVersion": "storage.k8s.io/v1", **body}))
    kubectl("delete", "volumeattributesclass", "unused", "--timeout=10s")


def test_a_node_says_which_addresses_its_pods_have(kubectl: Kubectl) -> None:
    # Proxies tell by it who is a pod: those of other ranges lose their address on the way through a Service.
    for node in kubectl.json("nodes")["items"]:
        name, ranges = node["metadata"]["name"], node["spec"]["podCIDRs"]
        kubectl.apply(pod(name, "sleep 1000", nodeName=name))
        kubectl.ready(name)
        address = kubectl.json("pod", name)["status"]["podIP"]
        assert [ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in ranges] == [True]
