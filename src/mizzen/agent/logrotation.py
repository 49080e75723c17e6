"""Keep container logs from filling the disk: past a size the file is set aside, and only so many are kept."""

import asyncio
import contextlib
import gzip
import shutil
from pathlib import Path

from mizzen.agent.equipment import Equipment
from mizzen.agent.logs import rotated
from mizzen.agent.pods import Pods
from mizzen.machinery import times

_EVERY = 10.0


async def rotate_logs(tools: Equipment, pods: Pods) -> None:
    """Look at the logs of running containers again and again, until cancelled."""
    while True:
        await tools.clock.sleep(_EVERY)
        for life in pods:
            for one in life.containers.values():
                if one.phase != "running":
                    continue
                path = tools.log_path(life.pod, one.name, one.attempt)
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_size >= tools.config.log_size:
                        await asyncio.to_thread(
                            set_aside, path, times.format(tools.clock.now()), tools.config.log_files
                        )
                        tools.runtime.reopen_log(one.id)


def set_aside(path: Path, stamp: str, keep: int) -> None:
    """Rename the log, compress the one that was set aside before, drop the oldest; `keep` counts the live one."""
    for older in rotated(path):
        if older.suffix != ".gz":
            with older.open("rb") as source, gzip.open(f"{older}.partial", "wb") as target:
                shutil.copyfileobj(source, target)
            Path(f"{older}.partial").rename(f"{older}.gz")
            older.unlink()
    older_ones = rotated(path)
    for gone in older_ones[: max(0, len(older_ones) - (keep - 2))]:
        gone.unlink()
    path.rename(f"{path}.{stamp.replace(':', '').replace('-', '')}")
