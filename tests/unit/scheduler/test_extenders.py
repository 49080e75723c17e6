"""Extenders over HTTP: they filter, prioritize and bind; one that fails stops its pods or is ignored."""

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from tests.sim.api import FakeApi
from tests.unit.scheduler.test_cycle import pod

from mizzen.client.client import Client
from mizzen.net.server import Listener
from mizzen.scheduler.config import Extender
from mizzen.scheduler.cycle import Placed, Unschedulable
from mizzen.scheduler.extenders import ExtenderError, Extenders
from mizzen.wire.message import Request, Response

Answers = Callable[[Request], Response]


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, dict[str, Any], list[Any]]]:
    """An extender: its URL, what it answers by path, and what it was asked."""
    answers: dict[str, Any] = {}
    asked: list[Any] = []

    def dispatch(request: Request) -> Response:
        asked.append(orjson.loads(request.body))
        return Response(200, body=orjson.dumps(answers[request.path]))

    listener = Listener(dispatch)
    port = await listener.listen("127.0.0.1", 0, None)
    yield f"http://127.0.0.1:{port}", answers, asked
    await listener.close()


def extenders(extender: Extender) -> Extenders:
    api = FakeApi(lambda: 0.0, random.Random(1))
    api.create(("", "pods"), {"metadata": {"name": "p"}, "spec": {}}, "default")
    return Extenders(Client(api), (extender,))


async def test_an_extender_filters_and_prioritizes(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, asked = served
    answers["/filter"] = {"nodenames": ["a", "b"], "failedNodes": {"c": "too far"}}
    answers["/score"] = [{"host": "a", "score": 0}, {"host": "b", "score": 10}]
    chosen = extenders(Extender(url, filter="filter", prioritize="score", weight=1.0, knows_nodes=True))
    verdict = await chosen.choose(pod("p"), {"a": 50.0, "b": 10.0, "c": 90.0}, 3)
    assert verdict == Placed("b")
    assert asked[0]["nodenames"] == ["a", "b", "c"]
    assert asked[0]["pod"]["metadata"]["name"] == "p"
    await chosen.close()


async def test_when_it_leaves_no_node_its_reasons_are_told(served: tuple[str, dict[str, Any], list[Any]]) -> None:
    url, answers, _ = served
    answers["/filter"] = {"nodenames": [], "failedNodes": {"a": "too far"}}
    chosen = extenders(Extender(url, filter="filter", knows_nodes=True))
    verdict = await chosen.choose(pod("p"), {"a": 1.0}, 1)
    assert isinstance(verdict, Unschedulable)
    assert verdict.message == "0/1 nodes are available: 1 too far."
    await chosen.close()


async def test_one_that_does_not_answer_stops_the_pod_unless_it_is_ignorable() -> None:
    with pytest.raises(ExtenderError):
        await extenders(Extender("http://127.0.0.1:9", filter="f", knows_nodes=True)).choose(pod("p"), {"a": 1.0}, 1)
    patient = extenders(Extender("http://127.0.0.1:9", filter="f", knows_nodes=True, ignorable=True))
    assert await patient.choose(pod("p"), {"a": 1.0}, 1) == Placed("a")
