"""The ingress controller: follows Ingresses and what they name, writes Envoy's files, and says where they answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mizzen.api.views.core import Secret, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.api.views.networking import Ingress, IngressClass
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache, Index
from mizzen.client.client import Client
from mizzen.client.resources import ENDPOINT_SLICES, EVENTS, INGRESS_CLASSES, INGRESSES, SECRETS, SERVICES
from mizzen.ingress import certificate, envoy
from mizzen.ingress.resources import Front, bootstrap, files
from mizzen.ingress.routes import CONTROLLER, DEFAULT_ANNOTATION, Problem, Routing, Sources, is_ours, routing
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError

_log = log.get("ingress")
_GATHER_SECONDS: Final = 0.01
CLASS: Final = "mizzen"
BY_SERVICE: Index[EndpointSlice] = Index(
    "service",
    lambda piece: ((piece.metadata.namespace, piece.metadata.labels.get("kubernetes.io/service-name", "")),),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the ingress listens, what addresses it tells the world, and where it keeps its files."""

    directory: Path
    address: str = "0.0.0.0"
    http_port: int = 80
    https_port: int = 443
    published: tuple[str, ...] = ()
    concurrency: int = 1


class Watched:
    """The tables that an ingress controller reads, and whether anything in them has changed."""

    def __init__(self, cache: Cache) -> None:
        self._ingresses = cache.of(INGRESSES, Ingress)
        self._classes = cache.of(INGRESS_CLASSES, IngressClass)
        self._services = cache.of(SERVICES, Service)
        self._slices = cache.of(ENDPOINT_SLICES, EndpointSlice)
        self._secrets = cache.of(SECRETS, Secret)
        self._tables = (self._ingresses, self._classes, self._services, self._slices, self._secrets)
        self.changed = asyncio.Event()
        self.synced = asyncio.Event()
        for table in self._tables:
            table.subscribe(self._told)

    @property
    def has_synced(self) -> bool:
        return all(table.has_synced for table in self._tables)

    def ours(self) -> list[Ingress]:
        """The Ingresses of our class."""
        classes = list(self._classes)
        return [ingress for ingress in self._ingresses if is_ours(ingress, classes)]

    def routing(self) -> Routing:
        sources = Sources(
            self._services.get,
            lambda namespace, name: self._slices.by(BY_SERVICE, (namespace, name)),
            self._secrets.get,
        )
        return routing(self.ours(), sources)

    def close(self) -> None:
        for table in self._tables:
            table.unsubscribe(self._told)

    def _told(self, old: Any, new: Any) -> None:
        self.changed.set()
        if self.has_synced:
            self.synced.set()


async def run(cache: Cache, client: Client, clock: Clock, settings: Settings) -> None:
    """Serve the cluster's Ingresses until cancelled. `settings.directory` must not move while Envoy runs."""
    directory = settings.directory
    front = Front(
        directory,
        settings.address,
        settings.http_port,
        settings.https_port,
        certificate.default(directory, clock.now()),
    )
    watched = Watched(cache)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(watched, client, clock, settings, front))
        await watched.synced.wait()  # an Envoy that outlived us must not lose its endpoints to an empty cache
        envoy.write(directory, files(watched.routing(), front))
        tasks.create_task(envoy.supervise(directory, bootstrap(front), clock, concurrency=settings.concurrency))


async def follow(watched: Watched, client: Client, clock: Clock, settings: Settings, front: Front) -> None:
    """Write files, statuses and events as the watched objects change, until cancelled."""
    await _ensure_class(client)
    told: set[Problem] = set()
    applied: Routing | None = None
    try:
        while True:
            await watched.changed.wait()
            await clock.sleep(_GATHER_SECONDS)
            watched.changed.clear()
            if not watched.has_synced:
                continue
            wanted = watched.routing()
            if wanted != applied:
                envoy.write(settings.directory, files(wanted, front))
                applied = wanted
            await _publish(watched.ours(), client, settings.published)
            for problem in set(wanted.problems) - told:
                await _tell(problem, client, clock)
            told = set(wanted.problems)
    finally:
        watched.close()


async def _ensure_class(client: Client) -> None:
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": CLASS, "annotations": {DEFAULT_ANNOTATION: "true"}},
        "spec": {"controller": CONTROLLER},
    }
    try:
        await client.create(INGRESS_CLASSES, body)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            _log.warning("the ingress class was refused", error=str(error))
    except ConnectionError as error:
        _log.warning("the ingress class could not be made", error=str(error))


async def _publish(ingresses: Sequence[Ingress], client: Client, published: tuple[str, ...]) -> None:
    """Write the ingress's addresses to the Ingresses that do not have them yet."""
    for ingress in ingresses:
        if tuple(one.ip for one in ingress.status.loadBalancer.ingress) == published:
            continue
        status = {"status": {"loadBalancer": {"ingress": [{"ip": ip} for ip in published]}}}
        meta = ingress.metadata
        try:
            await client.patch(INGRESSES, meta.name, status, meta.namespace, subresource="status")
        except (ApiError, ConnectionError) as error:  # the next change of anything tries again
            _log.warning("an ingress's status was refused", ingress=f"{meta.namespace}/{meta.name}", error=str(error))


async def _tell(problem: Problem, client: Client, clock: Clock) -> None:
    now = times.format(clock.now())
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{problem.name}.{int(clock.now() * 1e6):016x}", "namespace": problem.namespace},
        "involvedObject": {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "namespace": problem.namespace,
            "name": problem.name,
        },
        "type": "Warning",
        "reason": problem.reason,
        "message": problem.message,
        "source": {"component": "mizzen-ingress"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        await client.create(EVENTS, event, problem.namespace)
    except (ApiError, ConnectionError) as error:
        _log.warning("an event was refused", reason=problem.reason, error=str(error))
