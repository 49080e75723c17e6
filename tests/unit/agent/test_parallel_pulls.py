"""How many images a node pulls at once."""

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mizzen.agent import embedded
from mizzen.agent.config import AgentConfig
from mizzen.agent.images.cri import CriImages
from mizzen.agent.images.policy import Images
from mizzen.agent.images.reference import Reference, parse
from mizzen.agent.runtime.crirpc import CriChannel
from mizzen.base.clock import VirtualClock


class Busy(CriChannel):
    """A puller and a CRI runtime that notes how many pulls go on at once."""

    def __init__(self) -> None:
        super().__init__("/nowhere.sock")
        self.now = self.most = 0

    async def pull_with(self, image: Reference, _credentials: object) -> tuple[Any, None]:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return SimpleNamespace(id=str(image), size=1), None

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = 0) -> Any:
        if name == "PullImage":
            await self.pull_with(parse("x.io/i:1"), ())
        return {"image_ref": "i", "images": [], "containers": [], "image_filesystems": []}


@pytest.mark.parametrize("runtime", ["crun", "cri"])
@pytest.mark.parametrize(("parallel", "most"), [(0, 5), (1, 1), (2, 2)])
async def test_no_more_images_are_pulled_at_once_than_the_node_is_told(
    tmp_path: Path, parallel: int, most: int, runtime: str
) -> None:
    config = AgentConfig("n", tmp_path / "node", tmp_path / "images", (), parallel_pulls=parallel)
    busy: Any = Busy()
    own = replace(embedded.images_of(config), puller=busy)
    images: Images = own if runtime == "crun" else CriImages(busy, own, VirtualClock())
    await asyncio.gather(*(images.pull(parse(f"x.io/i{number}:1"), ()) for number in range(5)))
    assert busy.most == most
