"""The objects that benchmarks write and read."""

from typing import Any


def config_map(name: str, size: int = 3072) -> dict[str, Any]:
    """A ConfigMap of about this many bytes."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "bench", "tier": "data"}},
        "data": {f"key-{i}": "x" * 256 for i in range(max(1, size // 270))},
    }


def pod(name: str) -> dict[str, Any]:
    """A pod as a Deployment would make it: one container with probes, resources and an environment."""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {
        "name": "app",
        "image": "registry.example/app:1.0",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(5)],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "readinessProbe": probe,
        "livenessProbe": probe,
        "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench", "pod-template-hash": "5d9f7c6b8"}},
        "spec": {"containers": [container], "volumes": [{"name": "cache", "emptyDir": {}}]},
    }


def pod_status(message: str) -> dict[str, Any]:
    """What a node tells of a pod that runs."""
    now = "2026-01-01T00:00:00Z"
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now, "message": message}
    container = {
        "name": "app",
        "image": "registry.example/app:1.0",
        "imageID": "registry.example/app@sha256:0",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    status = {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [ready]}
    return {"status": {**status, "containerStatuses": [container]}}


def deployment(name: str) -> dict[str, Any]:
    """A Deployment of three such pods."""
    template = {"metadata": {"labels": {"app": "bench"}}, "spec": pod(name)["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "bench"}}, "template": template},
    }
