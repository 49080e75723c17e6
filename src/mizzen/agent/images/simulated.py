"""Images that are always there, for simulated nodes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.policy import Listed, Mountable, Present
from mizzen.agent.images.reference import Reference
from mizzen.agent.runtime.base import Used


class SimulatedImages:  # shape: the calls of `Images` and of `Mountable`
    """Every image exists and weighs nothing."""

    records = None

    def find(self, image: Reference) -> Present | None:
        return Present("sha256:" + hashlib.sha256(str(image).encode()).hexdigest(), 0)

    async def adopt(self, image: Reference) -> Present | None:
        return None

    async def pull(self, image: Reference, credentials: Sequence[Credential]) -> Present:
        return Present("sha256:" + hashlib.sha256(str(image).encode()).hexdigest(), 0)

    def shown_id(self, image_id: str, name: str) -> str:
        return image_id

    def listed(self) -> tuple[Listed, ...]:
        return ()

    def hold_layers(self, image_id: str, holder: str) -> tuple[str, ...]:
        return ()

    def let_go(self, holder: str) -> None:
        """Nothing is held."""

    def unused(self) -> tuple[Listed, ...]:
        return ()

    async def remove(self, image_id: str) -> None:
        """There is nothing to remove."""

    def mountable(self) -> Mountable:
        return self

    def disk(self) -> Path:
        return Path("/nonexistent")

    def taken(self) -> Used | None:
        return None
