"""Which images go, and when."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mizzen.agent.config import AgentConfig
from mizzen.agent.images import collection
from mizzen.agent.images.collection import make_room, remove_old
from mizzen.agent.images.policy import Listed
from mizzen.agent.thresholds import Thresholds
from mizzen.base.clock import VirtualClock

NOW = 1_700_000_000.0


@dataclass
class Shelf:
    """Images that are not in use, each a tenth of the disk."""

    ages: dict[str, float]
    gone: list[str] = field(default_factory=list)

    def unused(self) -> tuple[Listed, ...]:
        left = {name: age for name, age in self.ages.items() if name not in self.gone}
        return tuple(Listed(name, (name,), 1, NOW - age) for name, age in left.items())

    async def remove(self, image_id: str) -> None:
        self.gone.append(image_id)

    def disk(self) -> "Shelf":
        return self

    def fullness(self) -> float:
        return 0.95 - 0.1 * len(self.gone)


@dataclass
class Tools:
    """What the collection needs of the agent's equipment."""

    images: Shelf
    config: AgentConfig
    clock: Any


def tools(thresholds: Thresholds, **ages: float) -> Any:
    config = AgentConfig("n", Path("/r"), Path("/i"), ())
    return Tools(Shelf(ages), replace(config, thresholds=thresholds), VirtualClock(NOW))


async def test_images_go_until_there_is_room_but_none_that_was_used_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "fullness", Shelf.fullness)
    seen = tools(Thresholds(), old=900.0, older=800.0, fresh=60.0, late=700.0)
    await make_room(seen)
    assert seen.images.gone == ["old", "older"]
    tight = tools(Thresholds(image_disk_low=0.1), old=900.0, fresh=60.0)
    await make_room(tight)
    assert tight.images.gone == ["old"]


async def test_images_that_nobody_used_for_long_go_where_that_is_asked_for() -> None:
    seen = tools(Thresholds(image_most_age=600.0), old=900.0, fresh=60.0)
    await remove_old(seen, began=NOW - 601.0)
    assert seen.images.gone == ["old"]
    kept = tools(Thresholds(), old=900.0)
    await remove_old(kept, began=0.0)
    assert kept.images.gone == []
    # An agent that has begun since does not know who has not come back yet.
    early = tools(Thresholds(image_most_age=600.0), old=900.0)
    await remove_old(early, began=NOW - 599.0)
    assert early.images.gone == []
