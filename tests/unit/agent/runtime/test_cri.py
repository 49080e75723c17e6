"""The CRI runtime's steps against a runtime whose answers are written down here."""

from pathlib import Path
from typing import Any

import pytest

from mizzen.agent.runtime.cgroups import Cgroups
from mizzen.agent.runtime.cri import CriRuntime
from mizzen.agent.runtime.crirpc import CallFailed, CriChannel
from mizzen.wire import cri

_SANDBOX = {"id": "s1", "metadata": {"uid": "u1", "attempt": 0}, "state": cri.SANDBOX_READY, "created_at": 0}


class Losing(CriChannel):
    """A runtime that lists a sandbox and no longer has it when it is asked to stop or to remove it."""

    def __init__(self, lost_at: str) -> None:
        super().__init__("/nowhere.sock")
        self.lost_at = lost_at
        self.asked: list[str] = []

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = 0) -> Any:
        self.asked.append(name)
        if name == self.lost_at:
            raise CallFailed("NOT_FOUND", "sandbox not found")
        return {"items": [_SANDBOX]} if name == "ListPodSandbox" else {}


@pytest.mark.parametrize("lost_at", ["StopPodSandbox", "RemovePodSandbox"])
async def test_a_sandbox_that_is_gone_before_it_is_closed_is_closed(tmp_path: Path, lost_at: str) -> None:
    channel = Losing(lost_at)
    runtime = CriRuntime(channel, Cgroups({"": tmp_path}, "test", unified=True), ("containerd", "1"), None)
    await runtime.close_sandbox("u1")
    assert channel.asked.count(lost_at) == 1
