"""The control plane as a whole, where something of the machine is missing."""

import asyncio
import random
from pathlib import Path

import pytest

from mizzen.base.clock import SystemClock
from mizzen.client import kubeconfig
from mizzen.client.resources import NAMESPACES
from mizzen.cluster.config import ClusterConfig
from mizzen.cluster.control import ControlPlane, Options
from mizzen.store.base import StoreFull
from mizzen.store.sqlite import SqliteStore


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
