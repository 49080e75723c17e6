"""Pull an image: manifest, configuration, and all layers at once, each verified, unpacked as soon as it is complete."""

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from mizzen.agent import http
from mizzen.agent.images.keyring import Credential, matching
from mizzen.agent.images.layers import LayerFailure
from mizzen.agent.images.reference import Reference
from mizzen.agent.images.registry import PullFailure, Registry
from mizzen.agent.images.store import Image, ImageStore, own_platform

_PARALLEL_LAYERS = 4
_ATTEMPTS = 4


@dataclass(slots=True)
class Puller:
    """Pulls into one store; the same image is pulled once, however many wait for it."""

    store: ImageStore
    mirrors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dial: http.Dial | None = None
    _running: dict[tuple[str, tuple[Credential, ...]], "asyncio.Task[Image]"] = field(default_factory=dict)

    async def pull(self, image: Reference, credentials: Sequence[Credential] = ()) -> Image:
        """The image, freshly resolved. Raises PullFailure."""
        fitting = matching(credentials, image)
        key = (str(image), fitting)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._pull_with_any(image, fitting))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _pull_with_any(self, image: Reference, credentials: Sequence[Credential]) -> Image:
        """Try each fitting credential, and none at all when there is none."""
        failure: PullFailure | None = None
        for chosen in [[one] for one in credentials] or [[]]:
            try:
                return await self._pull(image, Registry(image, chosen, self.mirrors, self.dial))
            except PullFailure as error:
                failure = error
            except (LayerFailure, http.HttpFailure, OSError, orjson.JSONDecodeError, KeyError) as error:
                failure = PullFailure(f'failed to pull and unpack image "{image}": {error}')
        raise failure or PullFailure(str(image))

    async def _pull(self, image: Reference, registry: Registry) -> Image:
        body, media_type = await registry.manifest(image.selector)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if image.digest and digest != image.digest:
            raise PullFailure(f"{image}: the registry answered {digest}")
        manifest = orjson.loads(body)
        if "manifests" in manifest or media_type.endswith(("index.v1+json", "list.v2+json")):
            chosen = _for_platform(manifest["manifests"], image)
            body, _ = await registry.manifest(chosen)
            if "sha256:" + hashlib.sha256(body).hexdigest() != chosen:
                raise PullFailure(f"{image}: {chosen} has other content than its digest says")
            manifest = orjson.loads(body)
        names = (f"{image.name}@{digest}", *((f"{image.name}:{image.tag}",) if image.tag else ()))
        known = self.store.find(manifest["config"]["digest"])
        if known is not None:
            for name in names:
                self.store.tag(name, known.id, digest)
            return known
        config, *_ = await asyncio.gather(
            self._blob_bytes(registry, manifest["config"]["digest"]),
            self._fetch_layers(registry, [layer["digest"] for layer in manifest["layers"]]),
        )
        blobs = tuple(layer["digest"] for layer in manifest["layers"])
        added = await self.store.add(names, config, blobs, digest)
        for blob in blobs:
            self.store.blob_path(blob).unlink(missing_ok=True)  # the unpacked layer is what counts
        return added

    async def _blob_bytes(self, registry: Registry, digest: str) -> bytes:
        await self._fetch(registry, digest)
        return self.store.blob_path(digest).read_bytes()

    async def _fetch_layers(self, registry: Registry, digests: Sequence[str]) -> None:
        seats = asyncio.Semaphore(_PARALLEL_LAYERS)

        async def one(digest: str) -> None:
            async with seats:
                await self._fetch(registry, digest)

        try:
            async with asyncio.TaskGroup() as group:
                for digest in dict.fromkeys(digests):
                    group.create_task(one(digest))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # the others were given up because of it

    async def _fetch(self, registry: Registry, digest: str) -> None:
        """Download a blob, going on where an earlier attempt stopped."""
        final = self.store.blob_path(digest)
        if final.exists():
            return
        partial = self.store.root / "partial" / f"{digest.removeprefix('sha256:')}.{os.getpid()}"
        for attempt in range(_ATTEMPTS):
            try:
                await self._download(registry, digest, partial)
                break
            except (http.HttpFailure, PullFailure):
                if attempt == _ATTEMPTS - 1:
                    raise
        found = await asyncio.to_thread(_digest_of, partial)
        if f"sha256:{found}" != digest:
            partial.unlink()
            raise PullFailure(f"{digest}: the content received has digest sha256:{found}")
        partial.rename(final)

    async def _download(self, registry: Registry, digest: str, partial: Any) -> None:
        start = partial.stat().st_size if partial.exists() else 0
        async with registry.blob(digest, start) as answer:
            with partial.open("ab" if answer.status == 206 else "wb") as out:
                async for chunk in answer.body:
                    out.write(chunk)


def _digest_of(path: Any) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _for_platform(manifests: Sequence[Mapping[str, Any]], image: Reference) -> str:
    system, architecture = own_platform()
    for entry in manifests:
        platform = entry.get("platform") or {}
        if platform.get("os") == system and platform.get("architecture") == architecture:
            return str(entry["digest"])
    raise PullFailure(f'failed to pull image "{image}": no match for platform in manifest: not found')
