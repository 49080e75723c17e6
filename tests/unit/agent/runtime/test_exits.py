"""How a node hears of the ends of its containers."""

import asyncio
from pathlib import Path

from mizzen.agent.runtime.exits import Exits

_KEPT = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
_ONE, _OTHER = "1" * 64, "2" * 64


async def test_no_end_is_lost_when_more_happens_at_once_than_the_kernel_keeps(tmp_path: Path) -> None:
    exits = Exits(tmp_path)
    try:
        waiting = asyncio.create_task(exits.wait(_OTHER, 60.0))
        await asyncio.sleep(0)
        (tmp_path / _ONE).write_text("0")
        for count in range(_KEPT):  # those of one file in a row are one
            (tmp_path / f"beside-{count % 2}").write_text("")
        (tmp_path / _OTHER).write_text("0")
        names = exits.names()
        heard: set[str] = set()
        while heard != {_ONE, _OTHER}:
            heard.add(await asyncio.wait_for(anext(names), 10.0))
        assert await waiting
    finally:
        exits.close()
