"""What the server does with what it finds in its store."""

import pytest

from mizzen.base.clock import VirtualClock
from mizzen.server.server import Server
from mizzen.store.base import Damaged
from mizzen.store.memory import MemoryStore


@pytest.mark.parametrize("key", ["configmaps/default/torn", "pods/default/torn"])
@pytest.mark.parametrize("later", [0, 2_000])
async def test_an_object_that_cannot_be_read_keeps_the_server_from_starting_and_is_named(key: str, later: int) -> None:
    store = MemoryStore()
    await store.put(key, b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"na')
    for _ in range(later):
        await store.put("configmaps/default/other", b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{}}')
    server = Server(store, VirtualClock())
    with pytest.raises(Damaged, match=f"{key} at 1 cannot be read"):
        await server.start()
