"""What load balancers and probes hear of the proxy: how a Service with externalTrafficPolicy Local and the node fare.

Ref: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/ and KEP-3836.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from mizzen.api.views.core import Node
from mizzen.base import metrics
from mizzen.machinery import times
from mizzen.proxy.listeners import answer
from mizzen.proxy.rules import Health

LATE_SECONDS = 60.0
"""A change that waits longer than this to be applied makes the proxy unhealthy: twice kube-proxy's period."""
_LEAVING = "ToBeDeletedByClusterAutoscaler"
_OK, _UNAVAILABLE, _NOT_FOUND = "200 OK", "503 Service Unavailable", "404 Not Found"
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Standing:
    """How far the proxy is; times in seconds since the epoch."""

    applied: float | None = None
    """When rules were last in place."""
    waiting: float | None = None
    """Since when a change is not in place, if one is."""


def is_eligible(node: Node) -> bool:
    """Whether new traffic may come to a node: nobody is deleting it, the cluster autoscaler included."""
    return node.metadata.deletionTimestamp is None and all(taint.key != _LEAVING for taint in node.spec.taints)


def service_answer(health: Health, _path: str) -> bytes:
    """The HTTP answer to any request on a Service's health check port."""
    body = orjson.dumps(
        {
            "service": {"namespace": health.namespace, "name": health.name},
            "localEndpoints": health.endpoints,
            "serviceProxyHealthy": True,
        }
    )
    status = _OK if health.endpoints else _UNAVAILABLE
    return answer(status, body, f"X-Load-Balancing-Endpoint-Weight: {health.endpoints}")


def node_answer(standing: Standing, path: str, now: float, *, eligible: bool) -> bytes:
    """The HTTP answer on the node's health port.

    `/healthz` is for load balancers and minds whether the node is eligible, `/livez` is about the proxy alone.
    """
    if path not in ("/healthz", "/livez"):
        return answer(_NOT_FOUND, b"404 page not found\n", kind=_TEXT)
    current = standing.applied is not None and now - (standing.waiting or now) <= LATE_SECONDS
    updated = now if current else standing.applied or 0.0
    body = {"lastUpdated": times.format_micro(updated), "currentTime": times.format_micro(now)}
    if path == "/livez":
        return answer(_OK if current else _UNAVAILABLE, orjson.dumps(body))
    status = _OK if current and eligible else _UNAVAILABLE
    return answer(status, orjson.dumps({**body, "nodeEligible": eligible}))


def proxy_answer(standing: Standing, durations: metrics.Histogram, path: str) -> bytes:
    """The HTTP answer on the proxy's own port, for those on the node; `durations`: how long applying rules took."""
    match path:
        case "/proxyMode":
            text = "nftables"
        case "/healthz":
            text = "ok"
        case "/metrics":
            text = "".join(f"{line}\n" for line in _metrics(standing, durations))
        case _:
            return answer(_NOT_FOUND, b"404 page not found\n", kind=_TEXT)
    return answer(_OK, text.encode(), kind=_TEXT)


def _metrics(standing: Standing, durations: metrics.Histogram) -> Iterator[str]:
    name = "kubeproxy_sync_proxy_rules_{}_seconds".format
    yield from metrics.family(
        name("last_timestamp"), "gauge", "The last time proxy rules were in place", [("", standing.applied or 0.0)]
    )
    yield from metrics.head(name("duration"), "histogram", "How long it took to put proxy rules in place")
    yield from durations.lines(name("duration"), "")
