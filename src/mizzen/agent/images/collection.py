"""Image garbage collection: when the disk is full, the images that nobody has used for longest go first."""

from mizzen.agent.equipment import Equipment
from mizzen.base import log

_log = log.get("agent")


async def collect_images(tools: Equipment) -> int:
    """Remove unused images until the disk is below the low mark; answers the bytes they took."""
    freed = 0
    for image in tools.images.unused():
        _log.info("image removed", names=image.names, size=image.size)
        await tools.images.remove(image.id)
        freed += image.size
        if tools.images.disk_use() < tools.config.thresholds.image_disk_low:
            break
    return freed
