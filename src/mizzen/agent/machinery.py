"""What runs a node's containers and has their images, by the name of the runtime."""

from mizzen.agent import embedded, external
from mizzen.agent.config import AgentConfig
from mizzen.agent.http import Dial
from mizzen.agent.images.policy import Images
from mizzen.agent.images.simulated import SimulatedImages
from mizzen.agent.runtime.base import Runtime
from mizzen.agent.runtime.simulated import SimulatedRuntime
from mizzen.base.clock import SystemClock


async def machinery(config: AgentConfig, dial: Dial | None = None) -> tuple[Runtime, Images]:
    """The runtime that the configuration names, and its images; `dial` reaches registries. Raises RuntimeFailure."""
    if config.runtime == "simulated":
        return SimulatedRuntime(SystemClock()), SimulatedImages()
    if config.runtime == "cri":
        return await external.connect(config, dial)
    images = embedded.images_of(config, dial)
    return embedded.runtime_of(config, images), images
