"""Devices under watch lag, lost writes and crashes of the scheduler: none is ever given to two claims."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from tests.sim import test_scheduler

from mizzen.api.views.resource import ResourceClaim
from mizzen.client.cache import Table
from mizzen.client.resources import NODES, PODS, RESOURCE_CLAIMS
from mizzen.machinery.errors import Object
from mizzen.scheduler.cycle import Unschedulable

SEEDS = 100
GROUP = "resource.k8s.io"
CLAIMS = (GROUP, "resourceclaims")
DRIVER = "gpu.example.com"


class World(test_scheduler.World):
    """Four nodes with two devices each; pods with claims, and pods that ask for a device by number."""

    def start(self) -> None:
        if (GROUP, "deviceclasses") not in self.api.objects:
            self.api.changed = self.judge
            spec = {"extendedResourceName": "example.com/gpu"}
            self.api.create((GROUP, "deviceclasses"), {"metadata": {"name": "gpu"}, "spec": spec})
            for number in range(4):
                pool = {"name": f"n{number}", "generation": 1, "resourceSliceCount": 1}
                devices = [{"name": "x"}, {"name": "y"}]
                offered: Object = {"driver": DRIVER, "pool": pool, "nodeName": f"n{number}", "devices": devices}
                self.api.create((GROUP, "resourceslices"), {"metadata": {"name": f"n{number}"}, "spec": offered})
        super().start()

    def judge(self, where: Any, _old: Any, new: Any) -> None:
        if where != CLAIMS or new is None:
            return
        used = Counter(
            (one["pool"], one["device"]) for claim in self.api.all(RESOURCE_CLAIMS) for one in devices_of(claim)
        )
        twice = [device for device, count in used.items() if count > 1]
        assert not twice, f"{twice} have two users"

    def add_pod(self) -> None:
        self.made += 1
        name = f"p{self.made}"
        requests: Object = {"cpu": "300m"}
        spec: Object = {"containers": [{"name": "c", "resources": {"requests": requests}}]}
        if self.rng.random() < 0.5:
            request = {"name": "r", "exactly": {"deviceClassName": "gpu", "count": self.rng.choice((1, 1, 2))}}
            self.api.create(
                CLAIMS, {"metadata": {"name": name}, "spec": {"devices": {"requests": [request]}}}, "default"
            )
            spec["resourceClaims"] = [{"name": "gpu", "resourceClaimName": name}]
        else:
            requests["example.com/gpu"] = "1"
        self.api.create(("", "pods"), {"metadata": {"name": name}, "spec": spec}, "default")

    def deliver(self, table: Table[Any], limit: int) -> int:
        chosen = self.rng.choice([one for one in self.cache.tables if one.resource in (NODES, PODS, RESOURCE_CLAIMS)])
        return super().deliver(chosen if limit < 1000 else table, limit)

    def end_some_pod(self) -> None:
        """A pod is gone, and its claims with it, as their controllers see to it."""
        self.tidy()
        pods = [one for one in self.api.all(PODS) if one["spec"].get("nodeName")]
        if not pods or self.rng.random() > 0.5:
            return
        meta = self.rng.choice(pods)["metadata"]
        self.api.kill(PODS, "default", meta["name"])
        for one in self.api.all(RESOURCE_CLAIMS):
            owners = one["metadata"].get("ownerReferences") or ()
            if one["metadata"]["name"] == meta["name"] or any(owner["uid"] == meta["uid"] for owner in owners):
                self.api.patch(RESOURCE_CLAIMS, "default", one["metadata"]["name"], {"status": None}, "status")
                self.api.delete(CLAIMS, "default", one["metadata"]["name"])
        self.tidy()

    def tidy(self) -> bool:
        """Claims that are on their way out, and nobody's, go."""
        leaving = [
            one["metadata"]["name"]
            for one in self.api.all(RESOURCE_CLAIMS)
            if one["metadata"].get("deletionTimestamp") and not devices_of(one)
        ]
        for name in leaving:
            self.api.patch(RESOURCE_CLAIMS, "default", name, {"metadata": {"finalizers": None}})
        return bool(leaving)

    async def settle(self) -> None:
        await super().settle()
        while self.tidy():
            await super().settle()


def devices_of(claim: Object) -> list[Any]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return list((allocation.get("devices") or {}).get("results") or ())


@pytest.mark.parametrize("batch", range(2))
def test_no_device_has_two_users_and_every_placed_pod_has_its_own(batch: int) -> None:
    for seed in range(batch, SEEDS, 2):
        try:
            world = asyncio.run(test_scheduler.lived(seed, World))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        claims = [msgspec.convert(one, ResourceClaim) for one in world.api.all(RESOURCE_CLAIMS)]
        having = {user.uid for claim in claims if claim.status.allocation for user in claim.status.reservedFor}
        state = world.scheduler.state
        for pod in world.api.all(PODS):
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            if pod["spec"].get("nodeName"):
                assert uid in having, f"seed {seed}: {name} runs without its devices"
                continue
            waiting = state.queue.known(f"default/{name}")
            assert waiting is not None, f"seed {seed}: {name} is forgotten"
            assert isinstance(state.decide(waiting), Unschedulable), f"seed {seed}: {name} fits but waits"
