"""A routing as Envoy's resources: listeners, one route table, clusters, and a file of endpoints for each cluster. Pure.

Ref: Envoy's v3 API (envoy.config.*), read from files that are replaced by a rename.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from mizzen.ingress.routes import Backend, Certificate, Host, Path, Routing

Object = dict[str, Any]
_TYPE: Final = "type.googleapis.com/envoy."
_SAFE_METHODS: Final = "GET|HEAD|OPTIONS"
_USER_TIMEOUT: Final[Object] = {"level": 6, "name": 18, "int_value": 2000, "state": "STATE_PREBIND"}
"""TCP_USER_TIMEOUT, in milliseconds: a kept connection to a machine that is gone breaks soon, and is retried."""
_ALWAYS: Final = "connect-failure,refused-stream"


@dataclass(frozen=True, slots=True)
class Front:
    """Where Envoy listens, what it shows when no host's certificate fits, and the directory of its files."""

    directory: PurePath
    address: str
    http_port: int
    https_port: int
    certificate: Certificate


def files(routing: Routing, front: Front) -> dict[str, Object]:
    """The files of a routing by name, in the order in which they are to be written."""
    made = {_endpoint_file(backend): _response([_assignment(backend, ips)]) for backend, ips in routing.endpoints}
    made["clusters.json"] = _response([_cluster(backend, front) for backend, _ in routing.endpoints])
    made["routes.json"] = _response([_route_table(routing.hosts)])
    made["listeners.json"] = _response([_http_listener(front), _https_listener(front, routing.certificates)])
    return made


def bootstrap(front: Front) -> Object:
    """What Envoy is started with; everything else it reads from the files, whenever they change."""
    return {
        "node": {"id": "ingress", "cluster": "mizzen"},
        "dynamic_resources": {
            "lds_config": _file(front, "listeners.json"),
            "cds_config": _file(front, "clusters.json"),
        },
    }


def _file(front: Front, name: str) -> Object:
    return {"path_config_source": {"path": str(front.directory / name)}, "resource_api_version": "V3"}


def _response(found: Iterable[Object]) -> Object:
    return {"resources": list(found)}


def _endpoint_file(backend: Backend) -> str:
    return f"endpoints-{backend.name}.json"


def _assignment(backend: Backend, ips: Iterable[tuple[str, int]]) -> Object:
    return {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": backend.name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(ip, port)}} for ip, port in ips]}],
    }


def _address(ip: str, port: int) -> Object:
    return {"socket_address": {"address": ip, "port_value": port}}


def _cluster(backend: Backend, front: Front) -> Object:
    made: Object = {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": backend.name,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": _file(front, _endpoint_file(backend))},
        "upstream_bind_config": {"socket_options": [_USER_TIMEOUT]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 65535, "max_pending_requests": 65535, "max_requests": 65535, "max_retries": 1024}
            ]
        },
    }
    if backend.http2:
        options = {
            "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        made["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}
    return made


def _route_table(hosts: Iterable[Host]) -> Object:
    hosts = tuple(hosts)
    everywhere = next((host.paths for host in hosts if host.host == "*"), ())
    return {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": "ingress",
        "virtual_hosts": [_virtual_host(host, everywhere) for host in hosts],
        "validate_clusters": False,
        "ignore_port_in_host_matching": True,
    }


def _virtual_host(host: Host, everywhere: Iterable[Path]) -> Object:
    """A host's routes; `everywhere` is for names that Envoy counts to a wildcard and Kubernetes does not."""
    routes = [route for path in host.paths for route in _routes(host.host, path)]
    if host.host.startswith("*."):
        routes += [route for path in everywhere for route in _routes("*", path)]
    missing = {"match": {"prefix": "/"}, "direct_response": {"status": 404, "body": {"inline_string": "not found\n"}}}
    return {"name": host.host, "domains": [host.host], "routes": [*routes, missing]}


def _routes(host: str, path: Path) -> Iterable[Object]:
    """Requests that may be repeated safely are retried even when the connection broke under them."""
    match: Object = {"path": path.path} if path.exact else {"path_separated_prefix": path.path}
    if not path.exact and path.path == "/":
        match = {"prefix": "/"}
    headers = [_one_label(host)] if host.startswith("*.") else []
    if path.backend is None:
        response = {"status": 503, "body": {"inline_string": "no such backend\n"}}
        yield {"match": {**match, "headers": headers}, "direct_response": response}
        return
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": _SAFE_METHODS}}}
    yield {
        "match": {**match, "headers": [*headers, safe]},
        "route": _action(path.backend, "reset,connect-failure,refused-stream"),
    }
    yield {"match": {**match, "headers": headers}, "route": _action(path.backend, "connect-failure,refused-stream")}


def _one_label(host: str) -> Object:
    """Kubernetes lets `*` stand for exactly one label, Envoy for any number."""
    regex = r"[^.:]+" + re.escape(host[1:]).replace("\\-", "-") + r"(:[0-9]+)?"
    return {"name": ":authority", "string_match": {"safe_regex": {"regex": regex}}}


def _action(backend: Backend, retry_on: str) -> Object:
    previous = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": f"{_TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }
    return {
        "cluster": backend.name,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": 4,
            "retry_host_predicate": [previous],
            "host_selection_retry_max_attempts": 5,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.5s"},
        },
    }


def _http_listener(front: Front) -> Object:
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": "http",
        "address": _address(front.address, front.http_port),
        "filter_chains": [{"filters": [_connection_filter(front, "http")]}],
    }


def _https_listener(front: Front, certificates: Iterable[Certificate]) -> Object:
    inspector = {"@type": f"{_TYPE}extensions.filters.listener.tls_inspector.v3.TlsInspector"}
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": "https",
        "address": _address(front.address, front.https_port),
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        "filter_chains": [_tls_chain(front, certificate) for certificate in certificates],
        "default_filter_chain": _tls_chain(front, front.certificate),
    }


def _tls_chain(front: Front, certificate: Certificate) -> Object:
    pair = {
        "certificate_chain": {"inline_string": certificate.chain},
        "private_key": {"inline_string": certificate.key},
    }
    context = {
        "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [pair], "alpn_protocols": ["h2", "http/1.1"]},
    }
    chain: Object = {
        "name": ",".join(certificate.hosts) or "default",
        "filters": [_connection_filter(front, "https")],
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }
    if certificate.hosts:
        chain["filter_chain_match"] = {"server_names": list(certificate.hosts)}
    return chain


def _connection_filter(front: Front, prefix: str) -> Object:
    router = {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"}
    connection: Object = {
        "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": prefix,
        "rds": {"route_config_name": "ingress", "config_source": _file(front, "routes.json")},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "use_remote_address": True,
        "normalize_path": True,
        "stream_idle_timeout": "3600s",
        "server_header_transformation": "PASS_THROUGH",
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}
