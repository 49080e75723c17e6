"""Which kinds are served, kept current in the cache: built-in ones, custom ones, and those of aggregated servers.

The garbage collector and the namespace controller follow all of them by their metadata alone.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from mizzen.api.views.apiextensions import APIService, CustomResourceDefinition
from mizzen.api.views.meta import Partial, is_true
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.cache import Cache
from mizzen.client.client import Client, Resource
from mizzen.client.resources import API_SERVICES, BUILT_IN, CUSTOM_RESOURCE_DEFINITIONS, EVENTS
from mizzen.machinery.errors import ApiError

_log = log.get("discovery")
_SETTLE = 0.05

Kinds = dict[tuple[str, str], Resource]


async def follow_kinds(client: Client, cache: Cache, clock: Clock) -> None:
    """Open a table for every served kind that can be watched, until cancelled."""
    changed = asyncio.Event()

    def note(_old: Any, _new: Any) -> None:
        changed.set()

    definitions = cache.of(CUSTOM_RESOURCE_DEFINITIONS, CustomResourceDefinition)
    services = cache.of(API_SERVICES, APIService)
    definitions.subscribe(note)
    services.subscribe(note)
    while True:
        await changed.wait()
        await clock.sleep(_SETTLE)
        changed.clear()
        if not (definitions.has_synced and services.has_synced):
            continue
        kinds = built_in() | custom(definitions)
        for service in services:
            if service.spec.service is not None and is_true(service.status.conditions, "Available"):
                kinds |= await _aggregated(client, service)
        _open(cache, kinds)


def open_built_in(cache: Cache) -> None:
    """Open a table for every built-in kind."""
    _open(cache, built_in())


def built_in() -> Kinds:
    """The built-in kinds that the garbage collector cares for; events are left to their time to live."""
    return {kind: resource for kind, resource in BUILT_IN.items() if resource != EVENTS}


def custom(definitions: Any) -> Kinds:
    """The kinds of established definitions; all versions lead to the stored one."""
    kinds: Kinds = {}
    for definition in definitions:
        spec = definition.spec
        served = [version.name for version in spec.versions if version.served]
        if not served or not is_true(definition.status.conditions, "Established"):
            continue
        stored = next((one.name for one in spec.versions if one.storage and one.served), served[0])
        resource = Resource(spec.group, stored, spec.names.plural, spec.scope == "Namespaced")
        kinds |= {(f"{spec.group}/{version}", spec.names.kind): resource for version in served}
    return kinds


async def _aggregated(client: Client, service: APIService) -> Kinds:
    group, version = service.spec.group, service.spec.version
    try:
        listed = orjson.loads(await client.raw("GET", f"/apis/{group}/{version}"))
    except (ApiError, ConnectionError) as error:
        _log.info("aggregated API does not answer", group=group, version=version, error=str(error))
        return {}
    return {
        (f"{group}/{version}", one["kind"]): Resource(group, version, one["name"], one["namespaced"])
        for one in listed.get("resources") or ()
        if "/" not in one["name"] and {"list", "watch", "delete"} <= set(one["verbs"])
    }


def _open(cache: Cache, kinds: Mapping[tuple[str, str], Resource]) -> None:
    before = set(cache.kinds.values())
    cache.learn(kinds)
    now = set(kinds.values())
    for resource in now:
        cache.of(resource, Partial)
    for resource in before - now:
        cache.close(resource)
