"""How long a pod waits for what it needs before it is bound."""

import asyncio
from typing import Any, cast

from tests.unit.scheduler.test_volumes import claim, using

from mizzen.api.views.core import PersistentVolumeClaim
from mizzen.base.clock import VirtualClock
from mizzen.client.cache import Cache
from mizzen.client.resources import PERSISTENT_VOLUME_CLAIMS
from mizzen.scheduler.binding import Hands
from mizzen.scheduler.config import DEFAULT_NAME, Patience, parse

HEAD: dict[str, Any] = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


async def test_volumes_are_waited_for_as_long_as_the_configuration_says() -> None:
    settings = [{"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 0}}]
    (profile,) = parse({**HEAD, "profiles": [{"pluginConfig": settings}]}).profiles
    cache, nobody = Cache(), cast(Any, None)
    cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).put(claim("x"))
    slots = asyncio.Semaphore(0)
    hands = Hands(nobody, cache, VirtualClock(), {}, slots, {DEFAULT_NAME: profile.patience})
    waiting = hands._claims_bound(using("x", schedulerName=DEFAULT_NAME), "a")
    assert await asyncio.wait_for(waiting, 5) == "context deadline exceeded"


def test_patience_is_ten_minutes_unless_said_otherwise() -> None:
    settings = [{"name": "DynamicResources", "args": {"bindingTimeout": "1m30s"}}]
    profiles = [{"schedulerName": "one"}, {"schedulerName": "two", "pluginConfig": settings}]
    one, two = parse({**HEAD, "profiles": profiles}).profiles
    assert (one.patience, two.patience) == (Patience(600.0, 600.0), Patience(600.0, 90.0))
