"""Image garbage collection: the images that nobody has used for longest go first.

Ref: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#containers-images
"""

import os
from pathlib import Path

from mizzen.agent.equipment import Equipment
from mizzen.agent.images.policy import Listed
from mizzen.agent.runtime.base import RuntimeFailure
from mizzen.base import log

_log = log.get("agent")


async def make_room(tools: Equipment) -> None:
    """Remove unused images until the disk is below the low mark; those that were in use just now stay."""
    youngest = tools.clock.now() - tools.config.thresholds.image_least_age
    for image in [one for one in tools.images.unused() if one.unused_since <= youngest]:
        await _remove(tools, image)
        if fullness(tools.images.disk()) < tools.config.thresholds.image_disk_low:
            break


async def remove_old(tools: Equipment, began: float) -> None:
    """Remove what nobody has used for so long that it goes in any case.

    The time before this agent `began` does not count, so that pods that come back after a pause find their images.
    """
    oldest = tools.clock.now() - tools.config.thresholds.image_most_age
    if tools.config.thresholds.image_most_age and began < oldest:
        for image in [one for one in tools.images.unused() if 0 < one.unused_since < oldest]:
            await _remove(tools, image)


def fullness(place: Path) -> float:
    """How full the file system of a directory is, from 0 to 1."""
    try:
        disk = os.statvfs(place)
    except OSError:  # nothing has come there yet
        return 0.0
    return 1.0 - disk.f_bavail / disk.f_blocks


async def _remove(tools: Equipment, image: Listed) -> None:
    try:
        await tools.images.remove(image.id)
    except (RuntimeFailure, OSError) as error:
        _log.warning("image not removed", names=image.names, error=str(error))
    else:
        _log.info("image removed", names=image.names, size=image.size)
