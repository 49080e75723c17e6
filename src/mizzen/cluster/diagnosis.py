"""Asking a running cluster why a pod waits: the scheduler's own plugins on what the API tells this user."""

from typing import Any

import msgspec

from mizzen.api.views.core import Node, Pod
from mizzen.client.cache import Cache
from mizzen.client.client import Client, Resource
from mizzen.client.informer import decoded
from mizzen.client.resources import NODES, PODS
from mizzen.machinery.errors import ApiError
from mizzen.scheduler.config import DEFAULT_NAME, Configuration
from mizzen.scheduler.tables import FOLLOWED, budgets, lookups, open_tables
from mizzen.scheduler.why import Answer, ask

_PAGE = 1000


async def why(client: Client, namespace: str, name: str, configuration: Configuration | None = None) -> Answer:
    """The answer for one pod. Raises ApiError, for a pod that there is not and for what this user may not read."""
    pod = await client.get(PODS, name, namespace, view=Pod)
    cache = Cache()
    open_tables(cache)
    needed = {NODES, PODS}
    for resource, view in FOLLOWED.items():
        try:
            await _fill(client, cache, resource, view)
        except ApiError as error:
            # Without a permission, or on an older server, the plugins do without what cannot be read.
            if resource in needed or error.code not in (403, 404):
                raise
    profiles = {one.name: one for one in (configuration or Configuration()).profiles}
    profile = profiles.get(pod.spec.schedulerName) or profiles.get(DEFAULT_NAME) or Configuration().profiles[0]
    nodes, pods = cache.of(NODES, Node), cache.of(PODS, Pod)
    return ask(pod, tuple(nodes), tuple(pods), lookups(cache), profile.plugins, budgets(cache))


async def _fill(client: Client, cache: Cache, resource: Resource, view: type[Any]) -> None:
    found: list[Any] = []
    page, revision = "", ""
    while True:
        listed = await client.list(resource, view=msgspec.Raw, limit=_PAGE, next=page)
        found += [seen for raw in listed.items if (seen := decoded(raw, view)) is not None]
        page, revision = listed.next, listed.resource_version
        if not page:
            break
    cache.of(resource, view).replace(found, revision)
