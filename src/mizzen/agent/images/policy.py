"""Whether and how a container's image comes to this node: pull policy, credentials, reasons and events.

Ref: https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.pull import Puller
from mizzen.agent.images.records import PullRecords
from mizzen.agent.images.reference import Reference, parse
from mizzen.agent.images.registry import PullFailure
from mizzen.agent.images.store import ImageStore
from mizzen.agent.runtime.base import Used
from mizzen.base.clock import Clock
from mizzen.machinery import times

_RUNTIMES_REASONS = {
    "RegistryUnavailable": "the registry is unavailable",
    "SignatureValidationFailed": "the signature validation failed",
}
Tell = Callable[[Literal["Normal", "Warning"], str, str], None]
Further = Callable[[Reference], Awaitable[Sequence[Credential]]]


class ImageRefused(Exception):
    """No image: `reason` and text as they stand in the container's waiting state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Present:
    """An image on this node."""

    id: str
    size: int
    by: Credential | None = None
    """The pod's credential that its registry asked for, when it was just pulled."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An image as the node's status lists it."""

    id: str
    names: tuple[str, ...]
    size: int
    unused_since: float = 0.0
    """Seconds since the epoch; 0 where that is not known."""


class Source(Protocol):
    """Where an image comes from."""

    @property
    def records(self) -> PullRecords | None:
        """Who may use what is here; None: everybody."""

    def find(self, image: Reference) -> Present | None:
        """The image, if it is on this node."""

    async def adopt(self, image: Reference) -> Present | None:
        """The image, if this machine has it where the node's runtime does not look: it is handed over then."""

    async def pull(self, image: Reference, credentials: Sequence[Credential]) -> Present:
        """Fetch it. Raises PullFailure."""


class Mountable(Source, Protocol):
    """A source of images whose layers can be mounted as volumes."""

    def hold_layers(self, image_id: str, holder: str) -> tuple[str, ...]:
        """Directories of an image's layers, uppermost first, kept for a holder. Raises KeyError."""

    def let_go(self, holder: str) -> None:
        """Keep nothing for a holder any more."""


class Images(Source, Protocol):
    """The images of a node: the embedded store, or a CRI runtime."""

    def shown_id(self, image_id: str, name: str) -> str:
        """What a container's status calls the image: `repository@digest` where it is known."""

    def listed(self) -> tuple[Listed, ...]:
        """All images."""

    def unused(self) -> tuple[Listed, ...]:
        """Images that no container holds, the one unused for longest first."""

    async def remove(self, image_id: str) -> None:
        """Remove an image that is not in use."""

    def mountable(self) -> Mountable:
        """Where images come from whose layers can be mounted as volumes: here, or the machine's own store."""

    def disk(self) -> Path:
        """A directory on the file system of the images."""

    def taken(self) -> Used | None:
        """What all images and writable layers take of it; None where nobody counts."""


@dataclass(frozen=True, slots=True)
class StoredImages:  # shape: the calls of `Images` and of `Mountable`
    """The embedded store as `Images`."""

    store: ImageStore
    puller: Puller
    records: PullRecords
    turns: contextlib.AbstractAsyncContextManager[object] = field(default_factory=contextlib.nullcontext)
    """What a pull waits for, where not all may go on at once."""

    def find(self, image: Reference) -> Present | None:
        found = self.store.find(str(image))
        return Present(found.id, found.size) if found is not None else None

    async def adopt(self, image: Reference) -> Present | None:
        return None  # the machine's images are the node's

    async def pull(self, image: Reference, credentials: Sequence[Credential]) -> Present:
        async with self.turns:
            pulled, by = await self.puller.pull_with(image, credentials)
        return Present(pulled.id, pulled.size, by)

    def shown_id(self, image_id: str, name: str) -> str:
        try:
            image = parse(name)
        except ValueError:
            return image_id
        digest = self.store.digest(str(image))
        return f"{image.name}@{digest}" if digest else image_id

    def listed(self) -> tuple[Listed, ...]:
        names: dict[str, list[str]] = {}
        for one in self.store.names():
            names.setdefault(one.image, []).append(one.name)
        return tuple(
            Listed(one.id, tuple(names.get(one.id, ())), one.size, self.store.last_used(one.id))
            for one in self.store.images()
        )

    def hold_layers(self, image_id: str, holder: str) -> tuple[str, ...]:
        self.store.hold(image_id, holder)
        return self.store.layers(image_id)

    def let_go(self, holder: str) -> None:
        for image in self.store.images():
            self.store.release(image.id, holder)

    def unused(self) -> tuple[Listed, ...]:
        idle = [one for one in self.listed() if not self.store.in_use(one.id)]
        return tuple(sorted(idle, key=lambda one: one.unused_since))

    async def remove(self, image_id: str) -> None:
        await self.store.remove(image_id)

    def mountable(self) -> Mountable:
        return self

    def disk(self) -> Path:
        return self.store.root

    def taken(self) -> Used | None:
        return None


async def ensure(
    images: Source,
    name: str,
    policy: str | None,
    credentials: Sequence[Credential],
    *,
    tell: Tell,
    clock: Clock,
    further: Further | None = None,
) -> Present:
    """The image on this node, pulled if the policy says so. Raises ImageRefused.

    `further` is asked for more credentials when those that are given do not do.
    """
    try:
        image = parse(name)
    except ValueError as error:
        tell("Warning", "InspectFailed", str(error))
        tell("Warning", "Failed", "Error: InvalidImageName")
        raise ImageRefused("InvalidImageName", str(error)) from error
    wanted = policy or ("Always" if image.tag == "latest" and not image.digest else "IfNotPresent")
    present = images.find(image) or await images.adopt(image)
    records = images.records
    may_use = _may_use(present, image, records, credentials)
    if further is not None and (not may_use or wanted == "Always"):
        credentials = (*credentials, *await further(image))
        may_use = _may_use(present, image, records, credentials)
    if present is not None and may_use and wanted != "Always":
        tell("Normal", "Pulled", f'Container image "{name}" already present on machine and can be accessed by the pod')
        return present
    if wanted == "Never":
        text = f'Container image "{name}" is not present with pull policy of Never'
        if present is not None:
            text = f'Container image "{name}" is present with pull policy of Never'
            text += " but does not have the proper credentials to access the image"
        tell("Warning", "ErrImageNeverPull", text)
        tell("Warning", "Failed", "Error: ErrImageNeverPull")
        raise ImageRefused("ErrImageNeverPull", text)
    return await _pulled(images, image, name, credentials, tell, clock)


def _may_use(
    present: Present | None, image: Reference, records: PullRecords | None, credentials: Sequence[Credential]
) -> bool:
    return present is not None and (records is None or records.admits(present.id, image, credentials))


async def _pulled(
    images: Source, image: Reference, name: str, credentials: Sequence[Credential], tell: Tell, clock: Clock
) -> Present:
    """The image, fetched now, with a record of who may use it. Raises ImageRefused."""
    tell("Normal", "Pulling", f'Pulling image "{name}"')
    began, records = clock.monotonic(), images.records
    try:
        with records.pulling(image) if records is not None else contextlib.nullcontext():
            pulled = await images.pull(image, credentials)
            if records is not None:
                records.record(pulled.id, image, pulled.by, times.format(clock.now()))
    except PullFailure as error:
        reason, text = _why_not_pulled(image, str(error))
        tell("Warning", "Failed", f'Failed to pull image "{name}": {text}')
        tell("Warning", "Failed", f"Error: {reason}")
        raise ImageRefused(reason, text) from error
    took = times.format_duration(round(clock.monotonic() - began, 3))
    text = f'Successfully pulled image "{name}" in {took} ({took} including waiting). Image size: {pulled.size} bytes.'
    tell("Normal", "Pulled", text)
    return pulled


def _why_not_pulled(image: Reference, told: str) -> tuple[str, str]:
    """Reason and message of a pull that failed; runtimes of their own put some reasons first in what they say."""
    for reason, words in _RUNTIMES_REASONS.items():
        if told.startswith(reason):
            return reason, f"image pull failed for {image} because {words}{told.removeprefix(reason)}"
    if not told.startswith(("failed to pull and unpack", "rpc error: ")):
        told = f'failed to pull and unpack image "{image}": {told}'
    return "ErrImagePull", told
