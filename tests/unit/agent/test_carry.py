"""What carrying out an instruction comes to, where that is decided here."""

import asyncio
from dataclasses import dataclass

from mizzen.agent import life, revival
from mizzen.agent.carry import carry_out
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.api.views.podspec import Container, Pod, PodMeta, PodSpec
from mizzen.base.clock import VirtualClock


class Away:
    """A runtime that cannot be reached."""

    async def stop(self, container: str, grace: float) -> None:
        raise RuntimeFailure("KillContainerError", "connection refused")


@dataclass
class Tools:
    """As much of the equipment as a stop needs."""

    runtime: Away
    clock: VirtualClock


async def test_a_stop_that_fails_at_once_is_not_tried_again_at_once() -> None:
    clock = VirtualClock()
    seen = revival.begin(
        Pod(metadata=PodMeta(name="p", uid="u"), spec=PodSpec(containers=(Container(name="c", image="i"),))), 0.0
    )
    stop = life.Stop("c", 0, "id", 30.0)
    failing = asyncio.create_task(carry_out(Tools(Away(), clock), seen, stop))  # type: ignore[arg-type]
    await clock.advance(0.5)
    assert not failing.done()
    await clock.advance(1.0)
    assert await failing == life.StopFailed("c", 0)
