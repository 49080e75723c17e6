"""Image garbage collection: when the disk is full, the images that nobody has used for longest go first."""

import os
from pathlib import Path

from mizzen.agent.equipment import Equipment
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.base import log

_log = log.get("agent")


async def collect_images(tools: Equipment) -> int:
    """Remove unused images until the disk is below the low mark; answers the bytes they took."""
    freed = 0
    for image in tools.images.unused():
        try:
            await tools.images.remove(image.id)
        except (RuntimeFailure, OSError) as error:
            _log.warning("image not removed", names=image.names, error=str(error))
            continue
        _log.info("image removed", names=image.names, size=image.size)
        freed += image.size
        if fullness(tools.images.disk()) < tools.config.thresholds.image_disk_low:
            break
    return freed


def fullness(place: Path) -> float:
    """How full the file system of a directory is, from 0 to 1."""
    try:
        disk = os.statvfs(place)
    except OSError:  # nothing has come there yet
        return 0.0
    return 1.0 - disk.f_bavail / disk.f_blocks
