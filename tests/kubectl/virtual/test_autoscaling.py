"""Autoscalers that follow load, with patience; and metrics that extension servers answer for."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml
from tests.kubectl.virtual.conftest import Console
from tests.kubectl.virtual.manifests import template, workload


def replicas(console: Console) -> int:
    return int(console.field(".spec.replicas", "deploy", "web"))


def test_top_shows_what_nodes_and_pods_use(console: Console) -> None:
    console.apply(workload("Deployment", replicas=2, template=template("works")))
    console.cluster.advance(60)
    lines = [line.split() for line in console("top", "pods", "--no-headers").strip().split("\n")]
    assert [line[1:] for line in lines] == [["250m", "64Mi"]] * 2
    assert "node-1" in console("top", "nodes")


def test_an_autoscaler_grows_at_once_and_shrinks_only_after_its_window(console: Console) -> None:
    console.apply(workload("Deployment", replicas=1, template=template("works-hard")))
    console("autoscale", "deploy/web", "--cpu=80%", "--min=1", "--max=5")
    took = console.cluster.until(lambda: replicas(console) == 5, 120, 5)
    assert took <= 75
    console.cluster.advance(45)
    conditions = {one["type"]: one for one in console.json("hpa", "web")["status"]["conditions"]}
    assert (conditions["ScalingLimited"]["status"], conditions["ScalingLimited"]["reason"]) == (
        "True",
        "TooManyReplicas",
    )
    assert "cpu: 200%/80%" in console("get", "hpa", "web")
    told = [message for reason, message in console.events("web") if reason == "SuccessfulRescale"]
    assert told[0] == "New size: 3; reason: cpu resource utilization (percentage of request) above target"
    console.apply(workload("Deployment", replicas=5, template=template("idles")))
    console.cluster.advance(240)
    assert replicas(console) == 5
    assert console.field(".status.conditions[?(@.type=='AbleToScale')].reason", "hpa", "web") == "ScaleDownStabilized"
    console.cluster.advance(180)
    assert replicas(console) == 1
    assert console.events("web")[-1][1].startswith("Scaled down")
    assert "New size: 1; reason: All metrics below target" in console("describe", "hpa", "web")


def test_an_autoscaler_without_metrics_keeps_its_bounds_and_says_what_is_missing(console: Console) -> None:
    console.apply(workload("Deployment", replicas=1, template=template("hangs")))
    console("autoscale", "deploy/web", "--cpu=80%", "--min=2", "--max=5")
    console.cluster.advance(30)
    assert replicas(console) == 2
    console.cluster.advance(30)
    active = next(one for one in console.json("hpa", "web")["status"]["conditions"] if one["type"] == "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
    assert "cpu: <unknown>/80%" in console("get", "hpa", "web")


class Extension(BaseHTTPRequestHandler):
    """Answers for custom.metrics.k8s.io and external.metrics.k8s.io from a table of values."""

    values: dict[str, str]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        group, version = path.split("/")[2:4] if path.startswith("/apis/") else ("", "")
        name = path.rpartition("/")[2]
        body: dict[str, Any] = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}"}
        body["resources"] = []
        if "/namespaces/" in path:
            described = {"kind": "Service", "name": "web", "apiVersion": "v1"}
            item = {"metricName": name, "value": self.values.get(name, "0"), "describedObject": described}
            body = {"kind": "MetricValueList", "apiVersion": f"{group}/{version}", "metadata": {}, "items": [item]}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


@contextmanager
def serving(console: Console, values: dict[str, str]) -> Iterator[int]:
    """The extension server on a port of loopback, with the cluster's own serving certificate."""
    pki = console.cluster.kubeconfig.parent / "pki"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (Extension,), {"values": values}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def values(console: Console) -> Iterator[dict[str, str]]:
    """What the extension servers say, behind two APIServices."""
    found: dict[str, str] = {}
    with serving(console, found) as port:
        namespace = console.kubectl.namespace
        console("create", "service", "externalname", "metrics", "--external-name=localhost")
        for group, version in (("custom.metrics.k8s.io", "v1beta2"), ("external.metrics.k8s.io", "v1beta1")):
            spec = {
                "group": group,
                "version": version,
                "service": {"name": "metrics", "namespace": namespace, "port": port},
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            }
            meta = {"name": f"{version}.{group}"}
            body = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": meta, "spec": spec}
            console.apply(yaml.safe_dump(body))
        states = "jsonpath={.items[?(@.spec.service.name=='metrics')].status.conditions[?(@.type=='Available')].status}"
        console.cluster.until(lambda: console("get", "apiservices", "-o", states) == "True True", within=300, step=5)
        yield found
        console("delete", "apiservice", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")


def autoscaler(metric: dict[str, Any], **spec: Any) -> str:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    whole = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10, "metrics": [metric], **spec}
    body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}
    return yaml.safe_dump({**body, "spec": whole})


def test_an_autoscaler_follows_metrics_from_outside_at_the_pace_of_its_policies(
    console: Console, values: dict[str, str]
) -> None:
    console.apply(workload("Deployment", replicas=2))
    values["queue"] = "80"
    metric = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    behavior = {"scaleUp": {"policies": [policy]}, "scaleDown": {"stabilizationWindowSeconds": 60}}
    console.apply(autoscaler({"type": "External", "external": metric}, behavior=behavior))
    # By steps: what goes over a socket takes time that is not the cluster's.
    console.cluster.until(lambda: replicas(console) == 3, within=300, step=5)
    limited = "jsonpath={.status.conditions[?(@.type=='ScalingLimited')].reason}"
    console.cluster.advance(5)
    assert console("get", "hpa", "web", "-o", limited) == "ScaleUpLimit"
    assert 50 <= console.cluster.until(lambda: replicas(console) == 4, within=120, step=5) <= 80
    assert 50 <= console.cluster.until(lambda: replicas(console) == 5, within=120, step=5) <= 80
    values["queue"] = "10"
    assert console.cluster.until(lambda: replicas(console) == 1, within=200, step=5) >= 60


def test_an_autoscaler_follows_a_metric_of_an_object(console: Console, values: dict[str, str]) -> None:
    console.apply(workload("Deployment", replicas=2))
    console.cluster.advance(5)
    values["hits"] = "200"
    described = {"apiVersion": "v1", "kind": "Service", "name": "web"}
    metric = {"metric": {"name": "hits"}, "describedObject": described, "target": {"type": "Value", "value": "100"}}
    console.apply(autoscaler({"type": "Object", "object": metric}))
    console.cluster.until(lambda: replicas(console) == 4, within=300, step=5)
    assert '"hits" on Service/web (target value)' in console("describe", "hpa", "web")
