"""The controller's writes, seen by a fake API; Envoy itself is in tests/node/network."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from mizzen.api.views.core import Secret, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.api.views.networking import Ingress, IngressClass
from mizzen.base.clock import SystemClock
from mizzen.client.cache import Cache
from mizzen.client.client import Client
from mizzen.client.resources import ENDPOINT_SLICES, INGRESS_CLASSES, INGRESSES, SECRETS, SERVICES
from mizzen.ingress import certificate
from mizzen.ingress.resources import Front
from mizzen.ingress.routes import CONTROLLER
from mizzen.ingress.shell import Settings, Watched, follow
from mizzen.wire.message import Request, Response


class Api:
    """Takes every write and remembers it."""

    def __init__(self, expected: int) -> None:
        self.writes: list[tuple[str, str, Any]] = []
        self.expected = expected
        self.complete = asyncio.Event()

    async def call(self, request: Request) -> Response:
        self.writes.append((request.method, request.path, request.body))
        if len(self.writes) == self.expected:
            self.complete.set()
        return Response(200, body=orjson.dumps(request.body))

    async def close(self) -> None:
        pass


@pytest.fixture
def cache() -> Cache:
    made = Cache()
    ours = {"metadata": {"name": "mizzen"}, "spec": {"controller": CONTROLLER}}
    spec = {"ingressClassName": "mizzen", "defaultBackend": {"service": {"name": "gone", "port": {"number": 80}}}}
    made.of(INGRESS_CLASSES, IngressClass).replace([msgspec.convert(ours, IngressClass)], "1")
    ingress = {"metadata": {"name": "i", "namespace": "d"}, "spec": spec}
    made.of(INGRESSES, Ingress).replace([msgspec.convert(ingress, Ingress)], "1")
    made.of(SERVICES, Service).replace([], "1")
    made.of(ENDPOINT_SLICES, EndpointSlice).replace([], "1")
    made.of(SECRETS, Secret).replace([], "1")
    return made


async def test_it_makes_its_class_publishes_its_address_and_tells_of_missing_backends(
    cache: Cache, tmp_path: Path
) -> None:
    api = Api(3)
    settings = Settings(tmp_path, published=("192.0.2.1",))
    front = Front(tmp_path, "127.0.0.1", 80, 443, certificate.default(tmp_path, 1_700_000_000))
    task = asyncio.create_task(follow(Watched(cache), Client(api), SystemClock(), settings, front))
    await asyncio.wait_for(api.complete.wait(), 5)
    task.cancel()
    made, published, told = api.writes
    assert made[:2] == ("POST", "/apis/networking.k8s.io/v1/ingressclasses")
    assert published == (
        "PATCH",
        "/apis/networking.k8s.io/v1/namespaces/d/ingresses/i/status",
        {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}},
    )
    assert told[:2] == ("POST", "/api/v1/namespaces/d/events")
    assert (told[2]["reason"], told[2]["type"]) == ("BackendNotFound", "Warning")
    assert (tmp_path / "listeners.json").stat().st_mode & 0o777 == 0o600
