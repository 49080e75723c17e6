"""Manifests of workloads whose pods behave as their label `does` says."""

from typing import Any

import yaml

Object = dict[str, Any]


def template(does: str = "", image: str = "web:1", labels: Object | None = None, **spec: Any) -> Object:
    container = {"name": "c", "image": image, "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}}}
    return {
        "metadata": {"labels": {"app": "web", **({"does": does} if does else {}), **(labels or {})}},
        "spec": {"containers": [container], **spec},
    }


def workload(kind: str, name: str = "web", **spec: Any) -> str:
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet."""
    body: Object = {"selector": {"matchLabels": {"app": "web"}}, "template": template(), **spec}
    return yaml.safe_dump({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body})


def job_spec(does: str = "", **spec: Any) -> Object:
    pods = template(does, restartPolicy=spec.pop("restartPolicy", "Never"))
    del pods["metadata"]["labels"]["app"]
    return {"template": pods, **spec}


def job(name: str, does: str = "", **spec: Any) -> str:
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": job_spec(does, **spec)}
    return yaml.safe_dump(body)


def cron_job(name: str, schedule: str, does: str = "", job: Object | None = None, **spec: Any) -> str:
    body = {"schedule": schedule, "jobTemplate": {"spec": job_spec(does, **(job or {}))}, **spec}
    return yaml.safe_dump({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": body})
