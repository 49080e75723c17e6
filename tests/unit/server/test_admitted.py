"""Plugins hear of the end of what they admitted."""

from collections.abc import AsyncIterator, Awaitable

import pytest
from tests.unit.server.conftest import Caller

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.kind import Kind
from mizzen.base.clock import VirtualClock
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.config import Config
from mizzen.server.seams import Admission, Operation, Reader, Writer
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

PATH = "/api/v1/namespaces/default/configmaps"


class Hearing(Plugin):
    """Notes what of an object the server holds when its write ends; refuses the one called `bad`."""

    name = "Hearing"

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.reader: Reader | None = None

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return kind is CONFIG_MAP

    def validate(self, admission: Admission) -> Awaitable[None] | None:
        admission.done.append(lambda: self.heard.append(self._data(admission.name)))
        if admission.name == "bad":
            raise refusal(admission, "bad")
        return None

    def _data(self, name: str) -> object:
        assert self.reader is not None
        known = self.reader.get(CONFIG_MAP, "default", name)
        return known and known.get("data")


@pytest.fixture
def plugin() -> Hearing:
    return Hearing()


@pytest.fixture
async def api(plugin: Hearing) -> AsyncIterator[Caller]:
    def compose(reader: Reader, _writer: Writer) -> Config:
        plugin.reader = reader
        return Config(admission=(plugin,))

    clock, store = VirtualClock(), MemoryStore()
    server = Server(store, clock, compose)
    await server.start()
    yield Caller(server, clock)
    await server.close()
    await store.close()


async def test_plugins_are_told_when_a_write_is_stored_or_given_up(api: Caller, plugin: Hearing) -> None:
    assert (await api.call("POST", PATH, {"metadata": {"name": "a"}, "data": {"k": "1"}}))[0] == 201
    body = {"metadata": {"name": "a"}, "data": {"k": "2"}}
    assert (await api.call("PUT", f"{PATH}/a", body))[0] == 200
    assert (await api.call("POST", PATH, {"metadata": {"name": "bad"}}))[0] == 403
    assert plugin.heard == [{"k": "1"}, {"k": "2"}, None]
