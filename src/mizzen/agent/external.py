"""A runtime that is a program of its own, and its images, put together."""

from mizzen.agent import embedded
from mizzen.agent.config import AgentConfig
from mizzen.agent.http import Dial
from mizzen.agent.images.cri import CriImages
from mizzen.agent.runtime import cgroups
from mizzen.agent.runtime.cri import CriRuntime
from mizzen.agent.runtime.crirpc import CriChannel
from mizzen.base.clock import SystemClock


async def connect(config: AgentConfig, dial: Dial | None = None) -> tuple[CriRuntime, CriImages]:
    """The CRI runtime that the configuration names. Raises RuntimeFailure."""
    channel = CriChannel(config.cri_socket)
    runtime = await CriRuntime.connect(channel, cgroups.find(config.cgroup_parent), dial, config.cdi_directories)
    images = CriImages(channel, embedded.images_of(config, dial), SystemClock())
    await images.start()
    return runtime, images
