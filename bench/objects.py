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


def widget(name: str, kind: str = "Widget") -> dict[str, Any]:
    """A custom resource with a list, a map and some scalars."""
    parts = [{"name": f"part-{i}", "size": i, "labels": {"a": "b"}} for i in range(10)]
    spec = {"replicas": 3, "most": 5, "mode": "fast", "parts": parts, "settings": {f"s{i}": "v" for i in range(10)}}
    return {"apiVersion": "bench.example.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def definition(plural: str, kind: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """The definition of such resources."""
    text = {"type": "string"}
    part = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "maxLength": 63, "pattern": "^[a-z0-9-]+$"},
            "size": {"type": "integer", "minimum": 0},
            "labels": {"type": "object", "additionalProperties": text},
        },
    }
    spec: dict[str, Any] = {
        "type": "object",
        "properties": {
            "replicas": {"type": "integer", "minimum": 0},
            "most": {"type": "integer"},
            "mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow"},
            "parts": {
                "type": "array",
                "maxItems": 100,
                "items": part,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
            "settings": {"type": "object", "additionalProperties": text},
        },
    }
    if rules:
        spec["x-kubernetes-validations"] = rules
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.bench.example.com"},
        "spec": {
            "group": "bench.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": kind + "List"},
            "versions": [version],
        },
    }


def event(name: str) -> dict[str, Any]:
    """An Event as the scheduler writes it."""
    now = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "bench"},
        "involvedObject": {"kind": "Pod", "namespace": "bench", "name": "pod", "uid": "1", "apiVersion": "v1"},
        "reason": "Scheduled",
        "message": "Successfully assigned bench/pod to node-1",
        "type": "Normal",
        "source": {"component": "default-scheduler"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def lease(name: str, holder: str) -> dict[str, Any]:
    """A lease as a node renews it."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def review(kind: str, spec: dict[str, Any], group: str = "authorization") -> dict[str, Any]:
    """A question to the API server."""
    return {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec}
