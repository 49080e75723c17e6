"""Checkpoints that a node is asked for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from mizzen.agent.checkpoints import answer
from mizzen.agent.config import AgentConfig
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.base.clock import VirtualClock
from mizzen.wire.message import Request, Response

WHERE = ("shop", "web", "c")


class Keeper:
    """A runtime that writes checkpoints, or says why not."""

    def __init__(self, failure: str = "") -> None:
        self.failure = failure
        self.patience = -1.0
        self.written: dict[str, str] = {}

    async def checkpoint(self, container: str, archive: Path, patience: float) -> None:
        if self.failure:
            raise RuntimeFailure("CheckpointFailed", self.failure)
        self.patience = patience
        self.written[str(archive)] = container


class Pods:
    """One pod, whose container is in some phase."""

    def __init__(self, phase: str = "running") -> None:
        self.phase = phase

    def find(self, namespace: str, name: str) -> Any:
        known = (namespace, name) == WHERE[:2]
        return SimpleNamespace(containers={"c": SimpleNamespace(id="id-1", phase=self.phase)}) if known else None


async def ask(root: Path, keeper: Keeper, pods: Pods, request: Request, where: tuple[str, str, str]) -> Response:
    config = AgentConfig("n", root, root, ())
    tools: Any = SimpleNamespace(config=config, clock=VirtualClock(), runtime=keeper)
    given: Any = pods
    return await answer(tools, given, request, where)


async def test_a_checkpoint_lies_where_the_answer_says(tmp_path: Path) -> None:
    keeper = Keeper()
    told = await ask(tmp_path, keeper, Pods(), Request("POST", "/", (("timeout", "5"),)), WHERE)
    assert isinstance(told.body, bytes)
    (path,) = orjson.loads(told.body)["items"]
    assert path == "/var/lib/kubelet/checkpoints/checkpoint-web_shop-c-2023-11-14T22:13:20Z.tar"
    archive = tmp_path / "kubelet/checkpoints" / Path(path).name
    assert (keeper.written, keeper.patience) == ({str(archive): "id-1"}, 5.0)


@pytest.mark.parametrize(
    ("method", "query", "where", "phase", "status"),
    [
        ("GET", "", WHERE, "running", 405),
        ("POST", "", ("shop", "other", "c"), "running", 404),
        ("POST", "", ("shop", "web", "other"), "running", 404),
        ("POST", "", WHERE, "exited", 404),
        ("POST", "soon", WHERE, "running", 400),
    ],
)
async def test_what_cannot_be_kept_is_not_asked_of_the_runtime(
    tmp_path: Path, method: str, query: str, where: tuple[str, str, str], phase: str, status: int
) -> None:
    keeper = Keeper()
    told = await ask(tmp_path, keeper, Pods(phase), Request(method, "/", (("timeout", query),)), where)
    assert (told.status, keeper.patience) == (status, -1.0)


async def test_why_a_runtime_makes_no_checkpoint_is_told(tmp_path: Path) -> None:
    told = await ask(tmp_path, Keeper("no criu here"), Pods(), Request("POST", "/"), WHERE)
    assert (told.status, told.body) == (500, b"checkpointing of shop/web/c failed (no criu here)\n")
