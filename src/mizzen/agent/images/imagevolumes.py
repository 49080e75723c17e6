"""Images mounted as volumes: pulled under the pod's own policy, like a container's image."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from mizzen.agent.images import policy
from mizzen.agent.images.keyring import Credential, from_secret
from mizzen.agent.images.policy import Mountable
from mizzen.agent.images.providers import Providers
from mizzen.agent.objects import Objects
from mizzen.agent.volumes.kinds import VolumeFailure
from mizzen.api.views.podspec import Pod
from mizzen.base.clock import Clock
from mizzen.client.resources import SECRETS


@dataclass(frozen=True, slots=True)
class PulledVolumes:
    """`ImageVolumes` over the node's images."""

    images: Mountable
    objects: Objects
    providers: Providers
    clock: Clock
    tell: Callable[[Pod, Literal["Normal", "Warning"], str, str], None]
    """Records an event about a pod."""

    async def layers_of(self, pod: Pod, reference: str, policy_name: str) -> tuple[str, ...]:
        credentials: list[Credential] = []
        for secret in pod.spec.imagePullSecrets or ():
            found = await self.objects.get(SECRETS, pod.metadata.namespace, secret.name, pod.metadata.uid)
            credentials += from_secret(found or {})
        present = await policy.ensure(
            self.images, reference, policy_name or None, credentials, tell=partial(self.tell, pod), clock=self.clock,
            further=partial(self.providers.credentials, pod),
        )  # fmt: skip
        try:
            return self.images.hold_layers(present.id, f"volumes-{pod.metadata.uid}")
        except KeyError as error:
            raise VolumeFailure("this node's container runtime does not offer image volumes") from error

    def let_go(self, uid: str) -> None:
        self.images.let_go(f"volumes-{uid}")
