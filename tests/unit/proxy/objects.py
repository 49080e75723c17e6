"""Services and slices as tests of the proxy need them."""

from typing import Any

import msgspec

from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice


def service(
    name: str = "web",
    ip: str = "10.96.0.5",
    *,
    status: dict[str, Any] | None = None,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> Service:
    spec.setdefault("ports", [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}])
    body = {
        "metadata": {"name": name, "namespace": "d", "labels": labels or {}},
        "spec": {"clusterIP": ip, **spec},
        "status": status or {},
    }
    return msgspec.convert(body, Service)


def endpoint(ip: str, node: str = "n1", hints: dict[str, Any] | None = None, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions, "hints": hints}


def slice_of(*endpoints: dict[str, Any], name: str = "web", ports: list[dict[str, Any]] | None = None) -> EndpointSlice:
    body = {
        "metadata": {"name": name + "-1", "namespace": "d", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": endpoints,
        "ports": ports or [{"name": "http", "protocol": "TCP", "port": 8080}],
    }
    return msgspec.convert(body, EndpointSlice)
