"""What a cluster with nodes has besides the API's own objects: the default StorageClass and the DNS Service.

Made when the first Node appears, so that a control plane without nodes stays bare; what exists is left alone.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from mizzen.api.views.core import Node
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache
from mizzen.client.client import Client, Resource
from mizzen.client.resources import NODES, SERVICES, STORAGE_CLASSES
from mizzen.machinery.errors import ApiError, Object

_log = log.get("addons")
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Addon:
    """An object to create where it is missing."""

    resource: Resource
    namespace: str
    body: Object


def addons(dns_address: str) -> tuple[Addon, ...]:
    """The objects, given the address that nodes answer DNS on."""
    return (
        Addon(STORAGE_CLASSES, "", _local_path()),
        Addon(SERVICES, "kube-system", _dns_service(dns_address)),
    )


async def run(client: Client, cache: Cache, clock: Clock, dns_address: str) -> None:
    """Wait for a Node, then create what is missing; ends when everything is there."""
    arrived = asyncio.Event()

    def changed(old: Any, new: Any) -> None:
        if new is not None:
            arrived.set()

    nodes = cache.of(NODES, Node)
    nodes.subscribe(changed)
    try:
        await arrived.wait()
    finally:
        nodes.unsubscribe(changed)
    for addon in addons(dns_address):
        while not await _created(client, addon):
            await clock.sleep(_RETRY_SECONDS)


async def _created(client: Client, addon: Addon) -> bool:
    try:
        await client.create(addon.resource, addon.body, addon.namespace)
    except ApiError as error:
        if error.reason == "AlreadyExists":
            return True
        _log.warning("addon not created", name=addon.body["metadata"]["name"], error=error.message)
        return error.code < 500
    except ConnectionError:
        return False
    return True


def _local_path() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "local-path",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "mizzen.io/local-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _dns_service(address: str) -> Object:
    """The Service that tells the world where DNS is; every node answers on the address itself."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": address,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    }
