"""Envoy in the machine's namespace, in front of pods on two nodes."""

import http.client
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.network.background import Background
from tests.node.network.conftest import GATEWAY, Pod, World

from mizzen.agent.network.netlink import inside
from mizzen.api.views.core import Secret, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.api.views.networking import Ingress
from mizzen.base.clock import SystemClock
from mizzen.ingress import certificate, envoy
from mizzen.ingress.resources import Front, bootstrap, files
from mizzen.ingress.routes import Sources, routing

HTTP, HTTPS = 8080, 8443


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.server.pod_name} {self.path}".encode()  # type: ignore[attr-defined]
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(self.rfile.read(4))
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _serve_http(pod: Pod) -> http.server.ThreadingHTTPServer:
    server = pod.run(lambda: http.server.ThreadingHTTPServer(("0.0.0.0", 8080), _Handler))
    server.daemon_threads = True
    server.pod_name = pod.name  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class Cluster:
    """What a test's Ingresses name, and the Envoy that serves them."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.front = Front(directory, "0.0.0.0", HTTP, HTTPS, certificate.default(directory, 1_700_000_000))
        self.services: dict[str, list[Pod]] = {}
        self.secrets: dict[str, Secret] = {}

    def apply(self, *ingresses: dict[str, Any]) -> None:
        made = [
            msgspec.convert({"metadata": {"name": f"i{n}", "namespace": "d"}, "spec": spec}, Ingress)
            for n, spec in enumerate(ingresses)
        ]
        found = routing(made, Sources(self._service, self._slices, lambda _, name: self.secrets.get(name)))
        envoy.write(self.directory, files(found, self.front))

    def _service(self, namespace: str, name: str) -> Service | None:
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80}]},
        }
        return msgspec.convert(body, Service) if name in self.services else None

    def _slices(self, namespace: str, name: str) -> tuple[EndpointSlice, ...]:
        body = {
            "endpoints": [{"addresses": [pod.ip]} for pod in self.services[name]],
            "ports": [{"name": "http", "port": 8080}],
        }
        return (msgspec.convert(body, EndpointSlice),)

    def get(self, host: str, path: str = "/", *, tls: bool = False) -> tuple[int, str]:
        def work() -> tuple[int, str]:
            connection = self._connection(host, tls)
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read().decode()

        return inside(self.world.machine, work)

    def subject(self, host: str) -> bytes:
        """The certificate shown for a host."""

        def work() -> bytes:
            with self._tls().wrap_socket(
                socket.create_connection((str(GATEWAY.ip), HTTPS), 5), server_hostname=host
            ) as tls:
                return tls.getpeercert(True) or b""

        return inside(self.world.machine, work)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _connection(self, host: str, tls: bool) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(str(GATEWAY.ip), HTTPS if tls else HTTP, timeout=5)
        connection.connect()
        if tls:
            connection.sock = self._tls().wrap_socket(connection.sock, server_hostname=host)
        return connection

    def settle(self, host: str, path: str, status: int) -> str:
        """The answer once Envoy has read its files: it watches them, so this ends soon or never."""
        for _ in range(400):
            try:
                got, body = self.get(host, path)
            except (ConnectionError, TimeoutError):
                got, body = 0, ""
            if got == status:
                return body
            threading.Event().wait(0.02)
        raise AssertionError(f"{host}{path} never answered {status}: {(self.directory / 'log').read_text()[-2000:]}")


def rule(host: str, *paths: tuple[str, str, str]) -> dict[str, Any]:
    listed = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": name, "port": {"name": "http"}}}}
        for path, kind, name in paths
    ]
    return {**({"host": host} if host else {}), "http": {"paths": listed}}


@pytest.fixture
def cluster(two_nodes: World) -> Iterator[Cluster]:
    made = Cluster(two_nodes, two_nodes.scratch / "ingress")
    servers = []
    for number, name in enumerate(("shop", "shop2", "blog")):
        pod = two_nodes.add_pod(two_nodes.nodes[number % 2], name)
        servers.append(_serve_http(pod))
        made.services.setdefault(name.rstrip("2"), []).append(pod)
    made.apply()
    with Background(two_nodes.machine, lambda: envoy.supervise(made.directory, bootstrap(made.front), SystemClock())):
        made.settle("nobody.test", "/", 404)
        yield made
    assert envoy.running(made.directory) is None
    for server in servers:
        server.shutdown()
        server.server_close()


def test_hosts_and_paths_lead_to_their_services_over_http_and_tls(cluster: Cluster) -> None:
    cluster.secrets["cert"] = _secret(cluster, "shop.test")
    cluster.apply(
        {
            "rules": [
                rule("shop.test", ("/", "Prefix", "shop"), ("/news", "Prefix", "blog"), ("/only", "Exact", "blog")),
                rule("*.blog.test", ("/", "Prefix", "blog")),
            ],
            "tls": [{"hosts": ["shop.test"], "secretName": "cert"}],
        }
    )
    cluster.settle("shop.test", "/", 200)
    assert {cluster.get("shop.test")[1] for _ in range(20)} == {"shop /", "shop2 /"}
    assert cluster.get("shop.test", "/news") == (200, "blog /news")
    assert cluster.get("shop.test", "/news/today") == (200, "blog /news/today")
    assert cluster.get("shop.test", "/newspaper")[1].startswith("shop")
    assert cluster.get("shop.test", "/only") == (200, "blog /only")
    assert cluster.get("shop.test", "/only/not")[1].startswith("shop")
    assert cluster.get("a.blog.test:8080") == (200, "blog /")
    assert cluster.get("a.b.blog.test")[0] == 404
    assert cluster.get("blog.test")[0] == 404
    assert cluster.get("shop.test", tls=True)[1].startswith("shop")
    assert cluster.subject("shop.test") == ssl.PEM_cert_to_DER_cert(_decoded(cluster.secrets["cert"]))
    assert cluster.subject("other.test") == ssl.PEM_cert_to_DER_cert(cluster.front.certificate.chain)
    cluster.apply({"rules": [rule("*.blog.test", ("/", "Prefix", "blog")), rule("", ("/any", "Prefix", "shop"))]})
    assert cluster.settle("a.b.blog.test", "/any", 200).startswith("shop")
    assert cluster.get("a.b.blog.test", "/")[0] == 404
    assert cluster.get("a.blog.test", "/any") == (200, "blog /any")


def test_a_pod_that_died_before_its_endpoint_was_removed_is_not_noticed(cluster: Cluster) -> None:
    cluster.apply({"rules": [rule("", ("/", "Prefix", "shop"))]})
    cluster.settle("any.test", "/", 200)
    node, pod = cluster.world.nodes[0], cluster.services["shop"][0]
    cluster.world.detach(node, pod)
    assert {cluster.get("any.test") for _ in range(10)} == {(200, "shop2 /")}


def test_endpoints_follow_without_a_restart_and_none_is_unavailable(cluster: Cluster) -> None:
    spec = {"rules": [rule("", ("/", "Prefix", "shop"))]}
    cluster.apply(spec)
    cluster.settle("any.test", "/", 200)
    pid = envoy.running(cluster.directory)
    both, cluster.services["shop"] = cluster.services["shop"], []
    cluster.apply(spec)
    cluster.settle("any.test", "/", 503)
    cluster.services["shop"] = both[1:]
    cluster.apply(spec)
    assert cluster.settle("any.test", "/", 200) == "shop2 /"
    assert envoy.running(cluster.directory) == pid


def test_a_websocket_passes(cluster: Cluster) -> None:
    cluster.apply({"defaultBackend": {"service": {"name": "blog", "port": {"number": 80}}}})
    cluster.settle("any.test", "/", 200)

    def work() -> bytes:
        with socket.create_connection((str(GATEWAY.ip), HTTP), 5) as client:
            head = "GET / HTTP/1.1\r\nHost: any.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            client.sendall(
                f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
            )
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.recv(1000)
            assert received.startswith(b"HTTP/1.1 101")
            client.sendall(b"ping")
            while not received.endswith(b"ping"):
                received += client.recv(1000)
            return received[-4:]

    assert inside(cluster.world.machine, work) == b"ping"


def _secret(cluster: Cluster, host: str) -> Secret:
    import base64

    made = certificate.default(cluster.world.scratch / host, 1_700_000_000)
    data = {"tls.crt": made.chain, "tls.key": made.key}
    return Secret(data={name: base64.b64encode(text.encode()).decode() for name, text in data.items()})


def _decoded(secret: Secret) -> str:
    import base64

    return base64.b64decode(secret.data["tls.crt"]).decode()
