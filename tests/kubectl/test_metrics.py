"""metrics.k8s.io from real nodes, `kubectl top`, and a HorizontalPodAutoscaler that follows it."""

import json

from tests.kubectl.conftest import BUSYBOX, Cluster, Kubectl, eventually

BUSY = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: busy}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: busy}}}}
  template:
    metadata: {{labels: {{app: busy}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: {BUSYBOX}
        command: [sh, -c, 'while true; do :; done']
        resources: {{requests: {{cpu: 20m}}, limits: {{cpu: 100m}}}}
      - name: idle
        image: {BUSYBOX}
        command: [sleep, "3600"]
        resources: {{requests: {{cpu: 1m}}}}
"""


def test_top_shows_nodes_pods_and_containers(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl.apply(BUSY)
    kubectl.rolled_out("deployment/busy")
    rows = eventually(lambda: kubectl("top", "nodes", "--no-headers").splitlines())
    assert len(rows) == len(kubectl.json("nodes")["items"])
    eventually(lambda: kubectl("top", "pods", "-l", "app=busy", "--no-headers"), seconds=40)
    containers = kubectl("top", "pods", "--containers", "--sort-by=cpu", "--no-headers").splitlines()
    assert [row.split()[1] for row in containers] == ["c", "idle"]
    assert int(containers[0].split()[2].removesuffix("m")) > 20
    assert kubectl.run("top", "pods", "-l", "app=nothing").stderr.startswith("No resources found")


def test_the_metrics_api_is_discovered_and_shown_as_tables(kubectl: Kubectl) -> None:
    assert "Local" in kubectl("get", "apiservice", "v1beta1.metrics.k8s.io")
    listed = json.loads(kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1"))
    assert [(one["name"], one["kind"], one["verbs"]) for one in listed["resources"]] == [
        ("nodes", "NodeMetrics", ["get", "list"]),
        ("pods", "PodMetrics", ["get", "list"]),
    ]
    assert eventually(lambda: kubectl("get", "nodes.metrics.k8s.io")).split()[:4] == ["NAME", "CPU", "MEMORY", "WINDOW"]
    assert "NotFound" in kubectl.run("get", "pods.metrics.k8s.io", "nobody").stderr
    assert "MethodNotAllowed" in kubectl.run("delete", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes/x").stderr
    reader = kubectl.json("clusterrole", "system:aggregated-metrics-reader")
    assert reader["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"


def test_an_autoscaler_grows_a_deployment_under_load(kubectl: Kubectl) -> None:
    kubectl.apply(BUSY)
    kubectl.rolled_out("deployment/busy")
    kubectl("autoscale", "deployment", "busy", "--cpu=50%", "--min=1", "--max=3")
    eventually(lambda: kubectl.json("deployment", "busy")["status"].get("readyReplicas") == 3, seconds=75)
    status = kubectl.json("hpa", "busy")["status"]
    assert status["desiredReplicas"] == 3
    assert status["currentMetrics"][0]["resource"]["current"]["averageUtilization"] > 50
    assert "SuccessfulRescale" in kubectl("get", "events")
