"""Pull an image: manifest, configuration, and all layers at once, each verified, unpacked as soon as it is complete."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mizzen.agent import http
from mizzen.agent.images import registries
from mizzen.agent.images.keyring import Credential, matching
from mizzen.agent.images.layers import LayerFailure
from mizzen.agent.images.reference import Reference
from mizzen.agent.images.registry import PullFailure, Registry
from mizzen.agent.images.store import Image, ImageStore, for_platform

_Pulled = tuple[Image, Credential | None]
_PARALLEL_LAYERS = 4
_ATTEMPTS = 4
_PAUSE = 0.1
"""Seconds before a download is tried again; twice as long each time."""
_IDLE = 60.0
"""For how many seconds a registry may say nothing."""


def _unseen(_digest: str, _done: int, _whole: int) -> None:
    """Progress that nobody looks at."""


@dataclass(slots=True)
class Puller:
    """Pulls into one store; the same image is pulled once, however many wait for it."""

    store: ImageStore
    dial: http.Dial | None = None
    progress: Callable[[str, int, int], None] = _unseen
    """Told of each layer how many of how many bytes are here."""
    seats: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PARALLEL_LAYERS))
    _running: dict[tuple[str, tuple[Credential, ...]], "asyncio.Task[_Pulled]"] = field(default_factory=dict)

    async def pull(self, image: Reference, credentials: Sequence[Credential] = ()) -> Image:
        """The image, freshly resolved. Raises PullFailure."""
        return (await self.pull_with(image, credentials))[0]

    async def pull_with(self, image: Reference, credentials: Sequence[Credential]) -> _Pulled:
        """The image, freshly resolved, and which of the credentials its registry asked for. Raises PullFailure."""
        fitting = matching(credentials, image)
        key = (str(image), fitting)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._pull_with_any(image, fitting))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _pull_with_any(self, image: Reference, credentials: Sequence[Credential]) -> _Pulled:
        """Try each fitting credential, and none at all when there is none."""
        failure: PullFailure | None = None
        try:
            settings = registries.read(self.store.root)
        except registries.RegistriesInvalid as error:
            raise PullFailure(str(error)) from error
        for chosen in [[one] for one in credentials] or [[]]:
            registry = Registry(image, chosen, settings, self.dial)
            try:
                return await self._pull(image, registry), registry.shown
            except PullFailure as error:
                failure = error
            except (LayerFailure, http.HttpFailure, OSError, orjson.JSONDecodeError, KeyError) as error:
                failure = PullFailure(str(error) or "no answer from the registry in time")
        raise failure or PullFailure(str(image))

    async def _pull(self, image: Reference, registry: Registry) -> Image:
        async with asyncio.timeout(_IDLE):
            body, media_type = await registry.manifest(image.selector)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if image.digest and digest != image.digest:
            raise PullFailure(f"the registry answered {digest}")
        manifest = orjson.loads(body)
        if "manifests" in manifest or media_type.endswith(("index.v1+json", "list.v2+json")):
            chosen = for_platform(manifest["manifests"])
            if not chosen:
                raise PullFailure("no match for platform in manifest: not found")
            body, _ = await registry.manifest(chosen)
            if "sha256:" + hashlib.sha256(body).hexdigest() != chosen:
                raise PullFailure(f"{chosen} has other content than its digest says")
            manifest = orjson.loads(body)
        names = (f"{image.name}@{digest}", *((f"{image.name}:{image.tag}",) if image.tag else ()))
        known = self.store.find(manifest["config"]["digest"])
        if known is not None:
            for name in names:
                self.store.tag(name, known.id, digest)
            return known
        config = await self._configuration(registry, manifest["config"])
        blobs = tuple(layer["digest"] for layer in manifest["layers"])
        diff_ids = tuple((orjson.loads(config).get("rootfs") or {}).get("diff_ids") or ())
        if len(diff_ids) != len(blobs):
            raise LayerFailure("the configuration and the manifest disagree about the layers")
        sizes = {layer["digest"]: int(layer.get("size") or 0) for layer in manifest["layers"]}
        await self._bring_layers(registry, dict(zip(blobs, diff_ids, strict=True)), sizes)
        return await self.store.add(names, config, blobs, digest, size=sum(sizes.values()))

    async def _configuration(self, registry: Registry, described: Mapping[str, Any]) -> bytes:
        digest = described["digest"]
        async with self.store.locked(digest):
            await self._fetch(registry, digest, int(described.get("size") or 0))
            return self.store.blob_path(digest).read_bytes()

    async def _bring_layers(self, registry: Registry, layers: Mapping[str, str], sizes: Mapping[str, int]) -> None:
        """Have all layers, from blob to diff id, unpacked; those that other images have are there already."""

        async def one(blob: str, diff_id: str) -> None:
            async with self.seats, self.store.locked(blob):  # another node of this machine may be at it
                if not self.store.has_layer(diff_id):
                    await self._fetch(registry, blob, sizes[blob])
                    await self.store.unpack(blob, diff_id)
                self.store.blob_path(blob).unlink(missing_ok=True)  # the unpacked layer is what counts
                self.progress(blob, sizes[blob], sizes[blob])

        try:
            async with asyncio.TaskGroup() as group:
                for blob, diff_id in layers.items():
                    group.create_task(one(blob, diff_id))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # the others were given up because of it

    async def _fetch(self, registry: Registry, digest: str, size: int) -> None:
        """Download a blob of so many bytes (0: any), going on where an earlier attempt stopped, be it another agent's.

        Raises: PullFailure, HttpFailure, TimeoutError.
        """
        final = self.store.blob_path(digest)
        if final.exists():
            return
        partial = self.store.partial_path(digest)
        if _size_of(partial) and f"sha256:{await asyncio.to_thread(_digest_of, partial)}" == digest:
            partial.rename(final)  # whoever fetched it ended just then
            return
        for attempt in range(_ATTEMPTS):
            try:
                await self._download(registry, digest, size, partial)
                break
            except (http.HttpFailure, PullFailure, TimeoutError):
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE * 2**attempt)
        found = await asyncio.to_thread(_digest_of, partial)
        if f"sha256:{found}" != digest:
            partial.unlink()
            raise PullFailure(f"{digest}: the content received has digest sha256:{found}")
        partial.rename(final)

    async def _download(self, registry: Registry, digest: str, size: int, partial: Path) -> None:
        start = _size_of(partial)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_IDLE) as patience, registry.blob(digest, start) as answer:
            if answer.status == 416:  # it is longer than the blob: begin anew
                _forget(partial)
                raise PullFailure(f"{digest}: the registry has no more than is here already")
            with partial.open("ab" if answer.status == 206 else "wb") as out:
                whole = int(answer.headers.get("content-length") or 0) + out.tell()
                async for chunk in answer.body:
                    out.write(chunk)
                    if 0 < size < out.tell():  # it would fill the disk
                        _forget(partial)
                        raise PullFailure(f"{digest}: the registry sends more than the {size} bytes of its manifest")
                    patience.reschedule(loop.time() + _IDLE)
                    self.progress(digest, out.tell(), whole)


def _forget(partial: Path) -> None:
    partial.unlink(missing_ok=True)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
