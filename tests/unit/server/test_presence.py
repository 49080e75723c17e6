"""The Lease of each API server: made, renewed, taken over after a restart; those of lost servers are removed."""

import asyncio
from typing import Any

from tests.unit.server.conftest import Caller

from mizzen.server.presence import RENEW_SECONDS, Presence, lease_name

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def leases(api: Caller) -> dict[str, Any]:
    _, found = await api.call("GET", LEASES)
    return {one["metadata"]["name"]: one for one in found["items"]}


def presence(api: Caller, uid: str) -> "asyncio.Task[None]":
    server = api.server
    return asyncio.create_task(Presence(server.reader, server.writer, api.clock, "master-1", uid).run())


async def test_a_server_has_a_lease_which_it_renews_and_takes_over_when_it_starts_anew(api: Caller) -> None:
    name = lease_name("master-1")
    assert len(name) == len("apiserver-") + 26
    running = presence(api, "first")
    await settle()
    lease = (await leases(api))[name]
    assert lease["metadata"]["labels"] == {
        "apiserver.kubernetes.io/identity": "kube-apiserver",
        "kubernetes.io/hostname": "master-1",
    }
    assert lease["spec"] == {
        "holderIdentity": f"{name}_first",
        "leaseDurationSeconds": 3600,
        "renewTime": "2023-11-14T22:13:20.000000Z",
    }
    await api.clock.advance(RENEW_SECONDS)
    await settle()
    assert (await leases(api))[name]["spec"]["renewTime"] == "2023-11-14T22:13:30.000000Z"
    running.cancel()
    again = presence(api, "second")
    await settle()
    assert (await leases(api))[name]["spec"]["holderIdentity"] == f"{name}_second"
    again.cancel()


async def test_leases_of_lost_servers_are_removed_and_no_others(api: Caller) -> None:
    for name, label, renewed in (
        ("apiserver-lost", "kube-apiserver", "2023-11-14T21:13:19.000000Z"),
        ("apiserver-there", "kube-apiserver", "2023-11-14T21:13:30.000000Z"),
        ("other", "something-else", "2023-11-14T01:00:00.000000Z"),
    ):
        metadata = {"name": name, "labels": {"apiserver.kubernetes.io/identity": label}}
        spec = {"holderIdentity": "x", "leaseDurationSeconds": 3600, "renewTime": renewed}
        assert (await api.call("POST", LEASES, {"metadata": metadata, "spec": spec}))[0] == 201
    running = presence(api, "first")
    await settle()
    assert set(await leases(api)) == {"apiserver-there", "other", lease_name("master-1")}
    await api.clock.advance(3600)
    await settle()
    assert set(await leases(api)) == {"other", lease_name("master-1")}
    running.cancel()
