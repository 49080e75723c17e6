"""The images of a CRI runtime: it pulls and keeps them, this remembers which there are.

What the machine's own store has (built, imported or pulled with `mizzen image`) is handed to a containerd when a pod
asks for it; image volumes are mounted from that store, because CRI says nothing of where a runtime keeps layers.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mizzen.agent.images.archive import export
from mizzen.agent.images.keyring import Credential, matching
from mizzen.agent.images.policy import Listed, Mountable, Present, StoredImages
from mizzen.agent.images.records import PullRecords
from mizzen.agent.images.reference import Reference, parse
from mizzen.agent.images.registry import PullFailure
from mizzen.agent.runtime import criconfig, crictr
from mizzen.agent.runtime.base import Used
from mizzen.agent.runtime.crirpc import CallFailed, CriChannel
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.net.rpc import Refused

_log = log.get("images")
_LOOK_EVERY = 30.0
_PULL_PATIENCE = 3600.0


class CriImages:  # shape: the calls of `Images`, its start and its end
    """What the runtime's image service has, as of the last look; every pull and removal looks again."""

    def __init__(self, channel: CriChannel, machine: StoredImages, clock: Clock) -> None:
        self._channel = channel
        self._machine = machine
        self._clock = clock
        self._adopting = asyncio.Lock()
        self._takes_files = False
        self._images: list[dict[str, Any]] = []
        self._needed: dict[str, float] = {}
        """When each image was needed last, or was first seen here; seconds since the epoch."""
        self._used: set[str] = set()
        self._kept = ""
        """The image of sandboxes: some runtimes do not say that it must stay."""
        self._disk = machine.disk()
        self._taken: Used | None = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look for the first time, then again and again. Raises CallFailed."""
        await self._look()
        said = await self._channel.call("Version", {"version": "v1"})
        self._takes_files = said["runtime_name"] == "containerd" and crictr.is_there()
        self._kept = str((await self._channel.configuration()).get("sandboxImage", ""))
        self._looking = asyncio.create_task(self._keep_looking())

    def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()

    @property
    def records(self) -> PullRecords:
        """Those of the machine: an image has the same id in both places."""
        return self._machine.records

    def find(self, image: Reference) -> Present | None:
        name = str(image)
        for one in self._images:
            if name in one["repo_tags"] or name in one["repo_digests"] or name == one["id"]:
                self._needed[one["id"]] = self._clock.now()  # a container is about to be made of it
                return Present(one["id"], one["size"])
        return None

    async def adopt(self, image: Reference) -> Present | None:
        name = str(image)
        if not self._takes_files or self._machine.store.find(name) is None:
            return None
        async with self._adopting:
            if (present := self.find(image)) is not None:  # somebody else has waited for it too
                return present
            try:
                await asyncio.to_thread(self._hand_over, name)
            except OSError as error:
                _log.warning("an image of this machine was not handed over", image=name, error=str(error))
                return None
            await self._look()
            return self.find(image)

    def _hand_over(self, name: str) -> None:
        store = self._machine.store
        with tempfile.TemporaryDirectory(dir=store.root / "partial") as scratch:
            archive = Path(scratch) / "image.tar"
            export(store, name, archive)
            crictr.import_image(self._channel.socket, archive)

    async def pull(self, image: Reference, credentials: Sequence[Credential]) -> Present:
        failure = PullFailure(str(image))
        for chosen in matching(credentials, image) or (None,):
            request: dict[str, Any] = {"image": {"image": str(image)}}
            if chosen is not None:
                request["auth"] = {"username": chosen.user, "password": chosen.password}
            try:
                async with self._machine.turns:
                    pulled = await self._channel.call("PullImage", request, patience=_PULL_PATIENCE)
            except CallFailed as error:
                # A code is told unless it says nothing.
                told = error.message if error.code == "UNKNOWN" else str(Refused(error.code, error.message))
                failure = PullFailure(told)
                continue
            await self._look()
            found = next((one for one in self._images if one["id"] == pulled["image_ref"]), None)
            return Present(pulled["image_ref"], found["size"] if found is not None else 0, chosen)
        raise failure

    def shown_id(self, image_id: str, name: str) -> str:
        try:
            wanted = parse(name).name
        except ValueError:
            return image_id
        digests = (digest for one in self._images if one["id"] == image_id for digest in one["repo_digests"])
        known = next((digest for digest in digests if digest.startswith(f"{wanted}@")), "")
        return known or self._machine.shown_id(image_id, name)

    def listed(self) -> tuple[Listed, ...]:
        return tuple(
            Listed(one["id"], (*one["repo_digests"], *one["repo_tags"]), one["size"], self._needed[one["id"]])
            for one in self._images
        )

    def mountable(self) -> Mountable:
        return self._machine  # the runtime keeps its layers to itself

    def unused(self) -> tuple[Listed, ...]:
        kept = {one["id"] for one in self._images if one["pinned"]} | self._used
        idle = (one for one in self.listed() if one.id not in kept and self._kept not in one.names)
        return tuple(sorted(idle, key=lambda one: one.unused_since))

    async def remove(self, image_id: str) -> None:
        await self._channel.call("RemoveImage", {"image": {"image": image_id}})
        await self._look()

    def disk(self) -> Path:
        return self._disk

    def taken(self) -> Used | None:
        return self._taken

    async def _look(self) -> None:
        images = (await self._channel.call("ListImages"))["images"]
        containers = (await self._channel.call("ListContainers"))["containers"]
        self._images, self._used = images, {one["image_ref"] for one in containers}
        now = self._clock.now()
        self._needed = {
            one["id"]: now if one["id"] in self._used else self._needed.get(one["id"], now) for one in self._images
        }
        systems = [one for one in (await self._channel.call("ImageFsInfo"))["image_filesystems"] if one["fs_id"]]
        if systems:
            self._disk = Path(systems[0]["fs_id"]["mountpoint"])
            self._taken = sum((criconfig.used(one) for one in systems), Used())

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            with contextlib.suppress(CallFailed):
                await self._look()
