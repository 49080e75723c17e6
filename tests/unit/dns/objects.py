"""Services and slices as tests of the DNS need them."""

from typing import Any

import msgspec

from mizzen.api.views.core import Service
from mizzen.api.views.discovery import EndpointSlice


def service(name: str, cluster_ip: str, **spec: Any) -> Service:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
    body = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": cluster_ip, "ports": ports, **spec},
    }
    return msgspec.convert(body, Service)


def headless(name: str, **spec: Any) -> Service:
    return service(name, "None", **spec)


def endpoints(name: str, *listed: dict[str, Any], ports: tuple[dict[str, Any], ...] = ()) -> EndpointSlice:
    labels = {"kubernetes.io/service-name": name}
    body = {
        "metadata": {"name": f"{name}-1", "namespace": "default", "labels": labels},
        "endpoints": listed,
        "ports": ports or [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    return msgspec.convert(body, EndpointSlice)
