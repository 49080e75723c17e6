import base64
from pathlib import PurePath
from typing import Any

import msgspec

from mizzen.api.views.core import Secret, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.api.views.networking import Ingress, IngressClass
from mizzen.ingress.resources import Front, files
from mizzen.ingress.routes import (
    CONTROLLER,
    DEFAULT_ANNOTATION,
    Backend,
    Certificate,
    Host,
    Path,
    Problem,
    Routing,
    Sources,
    is_ours,
    routing,
)

WEB, API = Backend("d", "web", 80), Backend("d", "api", 8000, http2=True)


def backend(name: str, port: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"service": {"name": name, "port": port or {"name": "http"}}}


def rule(host: str, *paths: tuple[str, str, str]) -> dict[str, Any]:
    listed = [{"path": path, "pathType": kind, "backend": backend(name)} for path, kind, name in paths]
    return {"host": host, "http": {"paths": listed}}


def ingress(name: str = "i", created: str = "2026-01-01T00:00:00Z", **spec: Any) -> Ingress:
    body = {"metadata": {"name": name, "namespace": "d", "creationTimestamp": created}, "spec": spec}
    return msgspec.convert(body, Ingress)


def sources(*endpoints: dict[str, Any], secrets: dict[str, Secret] | None = None) -> Sources:
    ports = {
        "web": {"name": "http", "port": 80},
        "api": {"name": "http", "port": 8000, "appProtocol": "kubernetes.io/h2c"},
    }

    def service(namespace: str, name: str) -> Service | None:
        body = {"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": [ports.get(name)]}}
        return msgspec.convert(body, Service) if name in ports else None

    piece = msgspec.convert({"endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]}, EndpointSlice)
    return Sources(service, lambda *_: (piece,), lambda _, name: (secrets or {}).get(name))


def test_the_longest_path_comes_first_and_an_exact_one_before_a_prefix() -> None:
    seen = routing(
        [ingress(rules=[rule("x.org", ("/", "Prefix", "web"), ("/a/", "Prefix", "web"), ("/a", "Exact", "api"))])],
        sources(),
    )
    assert seen.hosts[1] == Host("x.org", (Path("/a", True, API), Path("/a", False, WEB), Path("/", False, WEB)))


def test_rules_without_a_host_hold_for_every_host_after_its_own_and_before_the_default() -> None:
    made = ingress(
        rules=[rule("x.org", ("/x", "Prefix", "web")), rule("", ("/any", "Prefix", "api"))],
        defaultBackend=backend("web"),
    )
    everywhere = (Path("/any", False, API), Path("/", False, WEB))
    assert routing([made], sources()).hosts == (
        Host("*", everywhere),
        Host("x.org", (Path("/x", False, WEB), *everywhere)),
    )


def test_a_host_falls_back_to_the_default_backend_of_its_own_ingress() -> None:
    first = ingress("a", rules=[rule("x.org", ("/x", "Prefix", "web"))], defaultBackend=backend("web"))
    second = ingress("b", rules=[rule("y.org", ("/y", "Prefix", "web"))], defaultBackend=backend("api"))
    seen = {host.host: host.paths[-2:] for host in routing([first, second], sources()).hosts}
    assert seen["*"] == (Path("/", False, WEB),)
    assert seen["x.org"] == (Path("/x", False, WEB), Path("/", False, WEB))
    assert seen["y.org"] == (Path("/", False, API), Path("/", False, WEB))


def test_of_two_equal_rules_the_older_ingress_wins() -> None:
    young = ingress("a", "2026-02-01T00:00:00Z", rules=[rule("x.org", ("/", "Prefix", "api"))])
    old = ingress("b", rules=[rule("x.org", ("/", "Prefix", "web"))])
    assert routing([young, old], sources()).hosts[1].paths == (Path("/", False, WEB),)


def test_a_missing_service_or_port_is_a_problem_that_is_told_and_a_path_that_fails() -> None:
    made = ingress(rules=[rule("x.org", ("/", "Prefix", "gone"))], defaultBackend=backend("web", {"number": 81}))
    seen = routing([made], sources())
    assert seen.hosts[1].paths[0] == Path("/", False, None)
    assert seen.problems == (
        Problem("d", "i", "BackendNotFound", "service 'gone' does not exist"),
        Problem("d", "i", "BackendNotFound", "service 'web' has no port 81"),
    )


def test_endpoints_that_terminate_are_dropped_unless_none_else_serves() -> None:
    leaving = {"addresses": ["10.1.0.9"], "conditions": {"ready": False, "serving": True, "terminating": True}}
    made = ingress(defaultBackend=backend("web"))
    assert routing([made], sources(leaving, {"addresses": ["10.1.0.2"]})).endpoints == ((WEB, (("10.1.0.2", 8080),)),)
    assert routing([made], sources(leaving)).endpoints == ((WEB, (("10.1.0.9", 8080),)),)


def test_certificates_come_from_secrets_and_a_missing_one_is_told() -> None:
    data = {"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "-----BEGIN PRIVATE KEY-----"}
    secret = Secret(data={name: base64.b64encode(text.encode()).decode() for name, text in data.items()})
    tls = [{"hosts": ["x.org"], "secretName": "good"}, {"hosts": ["y.org"], "secretName": "gone"}]
    seen = routing([ingress(tls=tls)], sources(secrets={"good": secret}))
    assert seen.certificates == (Certificate(("x.org",), *data.values()),)
    assert [problem.reason for problem in seen.problems] == ["CertificateNotFound"]


def test_an_ingress_is_ours_by_its_class_its_annotation_or_the_default() -> None:
    def one(name: str, controller: str, **annotations: str) -> IngressClass:
        return msgspec.convert(
            {"metadata": {"name": name, "annotations": annotations}, "spec": {"controller": controller}}, IngressClass
        )

    classes = (one("mizzen", CONTROLLER, **{DEFAULT_ANNOTATION: "true"}), one("other", "example.org/x"))
    annotated = {"metadata": {"annotations": {"kubernetes.io/ingress.class": "other"}}}
    assert is_ours(ingress(ingressClassName="mizzen"), classes)
    assert is_ours(ingress(), classes)
    assert not is_ours(ingress(ingressClassName="other"), classes)
    assert not is_ours(msgspec.convert(annotated, Ingress), classes)
    assert not is_ours(ingress(), classes[1:])


def test_endpoints_are_written_before_clusters_routes_and_listeners() -> None:
    front = Front(PurePath("/x"), "127.0.0.1", 80, 443, Certificate((), "c", "k"))
    made = files(Routing((Host("*", (Path("/", False, API),)),), (), ((API, (("10.1.0.2", 8080),)),), ()), front)
    assert list(made) == ["endpoints-d_api_8000.json", "clusters.json", "routes.json", "listeners.json"]
    assert "typed_extension_protocol_options" in made["clusters.json"]["resources"][0]
