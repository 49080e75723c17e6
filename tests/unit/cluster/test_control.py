"""The control plane as a whole, where something of the machine is missing, or a year goes by."""

import asyncio
import random
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from mizzen.api.coordination.lease import LEASE
from mizzen.base.clock import SystemClock, VirtualClock
from mizzen.client import kubeconfig
from mizzen.client.resources import LEASES, NAMESPACES
from mizzen.cluster.config import ClusterConfig
from mizzen.cluster.control import ControlPlane, Options
from mizzen.cluster.pki import Pki
from mizzen.cluster.renewal import DAY, Shown
from mizzen.machinery.identity import Identity
from mizzen.net.server import Listener
from mizzen.net.tls import server_context
from mizzen.server.presence import lease_name
from mizzen.store.base import StoreFull
from mizzen.store.sqlite import SqliteStore
from mizzen.wire.message import Request, Response


class FullStore(SqliteStore):
    """A store that takes nothing more."""

    async def put(self, key: str, data: bytes, *, expect: int | None = None) -> int:
        raise StoreFull("database or disk is full")


async def namespaces(plane: ControlPlane) -> set[str]:
    """Those that a control plane shows, from its start to its end."""
    await plane.start()
    found = await plane.client("reader", "reader").list(NAMESPACES, view=dict)
    await asyncio.sleep(0)  # what runs beside it begins
    await plane.close()
    return {one["metadata"]["name"] for one in found.items}


async def test_the_server_starts_on_a_full_disk_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(ClusterConfig("full", tmp_path, nodes=0), 0, ("127.0.0.1",), controllers=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = await namespaces(ControlPlane(options, SystemClock(), random.Random()))
    monkeypatch.setattr(kubeconfig, "write", full)
    store = FullStore(tmp_path / "store.db")
    assert await namespaces(ControlPlane(options, SystemClock(), random.Random(), store)) == before


async def test_a_control_plane_has_a_lease_and_tells_of_its_components(tmp_path: Path) -> None:
    options = Options(ClusterConfig("lease", tmp_path, nodes=0), 0, ("127.0.0.1",), controllers=False)
    plane = ControlPlane(options, SystemClock(), random.Random())
    await plane.start()
    client, name = plane.client("reader", "reader"), lease_name(socket.gethostname())
    there = asyncio.Event()
    plane.server.reader.subscribe(LEASE, lambda *_: there.set())
    await asyncio.wait_for(there.wait(), 5)
    lease = await client.get(LEASES, name, "kube-system", view=dict)
    assert lease["spec"]["holderIdentity"].startswith(f"{name}_")
    assert list(plane.server.components.checks) == ["etcd-0", "scheduler", "controller-manager"]
    assert plane.server.components.checks["scheduler"]() == "it does not run here"
    await plane.close()


async def test_the_server_shows_people_its_state_and_what_it_was_started_with(tmp_path: Path) -> None:
    issuers = tmp_path / "authentication.yaml"
    issuers.write_text("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n")
    options = Options(ClusterConfig("shown", tmp_path, nodes=0), 0, ("127.0.0.1",), controllers=False)
    plane = ControlPlane(options, SystemClock(), random.Random())
    await plane.start()
    try:
        told = [await ask(plane, path) for path in ("/statusz", "/flagz")]
        assert told[0].startswith("kube-apiserver statusz\n") and "\nEmulation version: 1.37\n" in told[0]
        assert "\nservice-cluster-ip-range=10.96.0.0/16\n" in told[1]
        assert f"\nauthentication-config={issuers}\n" in told[1], "the file in its usual place is in force"
        assert "/statusz" in await ask(plane, "/")
        assert "system:anonymous" in await ask(plane, "/flagz", Identity("system:anonymous"))
    finally:
        await plane.close()


async def ask(plane: ControlPlane, path: str, user: Identity | None = None) -> str:
    """What the server answers to a user, or else to a monitor."""
    asking = user or Identity("watcher", groups=("system:monitoring", "system:masters"))
    answer = await plane.server.handle(Request("GET", path, user=asking))
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


class Years(VirtualClock):
    """A clock that skips the days on which nothing happens."""

    def skip(self, seconds: float) -> None:
        self._start += seconds


async def served_until(port: int) -> float:
    """When the certificate expires that a new connection is shown."""
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc.timestamp()


async def test_certificates_are_renewed_before_they_expire_while_everything_runs(tmp_path: Path) -> None:
    clock = Years()
    options = Options(ClusterConfig("old", tmp_path, nodes=1), 0, ("127.0.0.1",), controllers=False)
    plane = ControlPlane(options, clock, random.Random())
    port = await plane.start()
    await clock.advance(0)
    node = tmp_path / "pki" / "node-old-1.crt"
    first, before = await served_until(port), node.read_bytes()
    clock.skip(300 * DAY)
    await clock.advance(DAY)
    assert await served_until(port) == first
    clock.skip(40 * DAY)
    await clock.advance(DAY)
    assert await served_until(port) > first + 300 * DAY
    assert node.read_bytes() != before
    assert "certificate" in (tmp_path / "admin.kubeconfig").read_text()
    assert (tmp_path / "pki" / "admin.key").read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")
    await plane.close()


async def test_a_certificate_that_somebody_else_renews_is_shown_from_the_next_day_on(tmp_path: Path) -> None:
    clock, shown = Years(), Shown()
    pki = Pki(tmp_path, clock.now())
    old = pki.node("one", ("127.0.0.1",))
    context = shown.keep(server_context(old.certificate, old.key), lambda: old)
    listener = Listener(lambda _: Response(200))
    port = await listener.listen("127.0.0.1", 0, context)
    following = asyncio.create_task(shown.follow(clock))
    await clock.advance(0)
    first = await served_until(port)
    pki.now += 340 * DAY
    pki.node("one", ("127.0.0.1",))
    await clock.advance(DAY)
    assert await served_until(port) > first
    following.cancel()
    await listener.close()
