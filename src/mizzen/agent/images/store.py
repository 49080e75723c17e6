"""The images of one machine: blobs by digest, layers unpacked by digest, names as small files.

Several agents share one store: everything appears by rename, and an image is in use while a holder's mark exists.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson

from mizzen.agent.images import layers, parents

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOK_AGAIN = 0.1
_OLD = 86_400.0


class Image(msgspec.Struct, frozen=True):
    """An image on this machine; `id` is the digest of its configuration, `layers` are diff ids, lowest first."""

    id: str
    layers: tuple[str, ...]
    size: int
    config: dict[str, Any]
    last_used: float = 0.0


class Name(msgspec.Struct, frozen=True):
    """A name that leads to an image; `digest` is the manifest's, as pulled."""

    name: str
    image: str
    digest: str


class ImageStore:  # shape: one directory with one invariant: everything in it is complete
    """Reads are cheap and synchronous; work on layers happens in threads.

    Raises: LayerFailure for what is no digest, wherever one is asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("blobs/sha256", "layers", "implied", "parents", "images", "names", "holders", "partial"):
            (root / part).mkdir(parents=True, exist_ok=True)
        self._cached: dict[str, Image] = {}
        self._unpacking: dict[str, asyncio.Task[None]] = {}

    def find(self, name: str) -> Image | None:
        """The image behind a complete name (`docker.io/library/x:1`), `name@digest`, or an image id."""
        if name.startswith("sha256:"):
            return self._image(name) if _DIGEST.fullmatch(name) else None
        record = self._name(name)
        return self._image(record.image) if record is not None else None

    def digest(self, name: str) -> str:
        """The manifest digest a name was pulled with; empty when it was not pulled."""
        record = self._name(name)
        return record.digest if record is not None else ""

    def names(self) -> tuple[Name, ...]:
        """All names, in order."""
        records = [msgspec.json.decode(path.read_bytes(), type=Name) for path in (self.root / "names").glob("*.json")]
        return tuple(sorted(records, key=lambda record: record.name))

    def images(self) -> tuple[Image, ...]:
        """All images."""
        found = (self._image("sha256:" + path.stem) for path in sorted((self.root / "images").glob("*.json")))
        return tuple(image for image in found if image is not None)

    def layers(self, image_id: str) -> tuple[str, ...]:
        """Directories of an image's layers, uppermost first. Raises KeyError."""
        image = self._image(image_id)
        if image is None:
            raise KeyError(image_id)
        found = tuple(str(self.layer_path(diff)) for diff in reversed(image.layers)) or (str(self._empty_layer()),)
        above = self._parents_path(image_id)
        return (str(above), *found) if above.exists() else found

    def image_config(self, image_id: str) -> Mapping[str, Any]:
        """The `config` part of an image's configuration. Raises KeyError."""
        image = self._image(image_id)
        if image is None:
            raise KeyError(image_id)
        return image.config

    def layer_path(self, diff_id: str) -> Path:
        """Where a layer is unpacked."""
        return self.root / "layers" / hexadecimal(diff_id)

    def blob_path(self, digest: str) -> Path:
        """Where a blob is kept."""
        return self.root / "blobs" / "sha256" / hexadecimal(digest)

    def partial_path(self, digest: str) -> Path:
        """Where a blob is kept while it comes."""
        return self.root / "partial" / hexadecimal(digest)

    def put_blob(self, data: bytes) -> str:
        """Keep bytes under their digest."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self._write(self.blob_path(digest), data)
        return digest

    def has_layer(self, diff_id: str) -> bool:
        """Whether a layer is unpacked here."""
        return self.layer_path(diff_id).is_dir()

    @contextlib.asynccontextmanager
    async def locked(self, digest: str) -> AsyncIterator[None]:
        """While one agent fetches a blob, the others of this machine wait; a lock ends with its process."""
        path = self.root / "partial" / f"{hexadecimal(digest)}.lock"
        while (fd := _lock(path)) is None:  # noqa: ASYNC110 - a file's lock tells nobody, and a thread cannot give up
            await asyncio.sleep(_LOOK_AGAIN)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(fd)

    async def add(
        self,
        names: tuple[str, ...],
        config: bytes,
        blobs: tuple[str, ...],
        manifest_digest: str = "",
        *,
        size: int = 0,
    ) -> Image:
        """Make an image of a configuration and layers (lowest first) that are unpacked, or whose blobs are kept.

        `size` is that of the blobs when they are not all kept.

        Raises: LayerFailure when a layer does not match the configuration.
        """
        decoded = orjson.loads(config)
        diff_ids = tuple((decoded.get("rootfs") or {}).get("diff_ids") or ())
        if len(diff_ids) != len(blobs):
            raise layers.LayerFailure("the configuration and the manifest disagree about the layers")
        await asyncio.gather(*(self.unpack(blob, diff) for blob, diff in zip(blobs, diff_ids, strict=True)))
        size = size or sum(self.blob_path(blob).stat().st_size for blob in blobs if self.blob_path(blob).exists())
        for blob in set(blobs) - set(diff_ids):  # one that came uncompressed is kept to be exported as it came
            self.blob_path(blob).unlink(missing_ok=True)
        image_id = self.put_blob(config)
        await asyncio.to_thread(self._restore_parents, image_id, diff_ids)
        image = Image(image_id, diff_ids, size, decoded.get("config") or {}, time.time())
        self._write(self.root / "images" / f"{image_id[7:]}.json", msgspec.json.encode(image))
        self._cached[image_id] = image
        for name in names:
            self.tag(name, image_id, manifest_digest)
        return image

    def tag(self, name: str, image_id: str, manifest_digest: str = "") -> None:
        """Let a name lead to an image."""
        self._write(self._name_path(name), msgspec.json.encode(Name(name, image_id, manifest_digest)))

    def untag(self, name: str) -> None:
        """Forget a name."""
        self._name_path(name).unlink(missing_ok=True)

    async def unpack(self, blob: str, diff_id: str) -> None:
        """Unpack a layer once, however many ask; the blob is dropped afterwards only by garbage collection."""
        if self.layer_path(diff_id).exists():
            return
        task = self._unpacking.get(diff_id)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._unpack_now, blob, diff_id))
            self._unpacking[diff_id] = task
            task.add_done_callback(lambda _: self._unpacking.pop(diff_id, None))
        await asyncio.shield(task)

    def hold(self, image_id: str, holder: str) -> None:
        """Mark an image as in use by a container."""
        directory = self.root / "holders" / hexadecimal(image_id)
        directory.mkdir(exist_ok=True)
        (directory / holder).touch()

    def release(self, image_id: str, holder: str) -> None:
        """Take the mark back."""
        (self.root / "holders" / hexadecimal(image_id) / holder).unlink(missing_ok=True)

    def in_use(self, image_id: str) -> bool:
        """Whether any container on this machine holds the image."""
        directory = self.root / "holders" / hexadecimal(image_id)
        return directory.is_dir() and any(directory.iterdir())

    def last_used(self, image_id: str) -> float:
        """When the image was last taken into use or given up; seconds since the epoch."""
        directory = self.root / "holders" / hexadecimal(image_id)
        with contextlib.suppress(FileNotFoundError):
            return directory.stat().st_mtime
        image = self._image(image_id)
        return image.last_used if image is not None else 0.0

    async def remove(self, image_id: str) -> None:
        """Remove an image with its names, and layers and blobs that no other image has. Raises RuntimeError in use."""
        if self.in_use(image_id):
            raise RuntimeError(f"image {image_id} is in use")
        for name in self.names():
            if name.image == image_id:
                self.untag(name.name)
        gone = self._image(image_id)
        (self.root / "images" / f"{image_id[7:]}.json").unlink(missing_ok=True)
        self._cached.pop(image_id, None)
        kept = {layer for image in self.images() for layer in image.layers}
        for diff_id in gone.layers if gone is not None else ():
            if diff_id not in kept:
                await asyncio.to_thread(shutil.rmtree, self.layer_path(diff_id), ignore_errors=True)
                self.blob_path(diff_id).unlink(missing_ok=True)
                self._implied_path(diff_id).unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, self._parents_path(image_id), ignore_errors=True)
        self.blob_path(image_id).unlink(missing_ok=True)
        (self.root / "pulled" / f"{image_id[7:]}.json").unlink(missing_ok=True)
        shutil.rmtree(self.root / "holders" / image_id[7:], ignore_errors=True)

    def sweep(self) -> None:
        """Remove what work that was broken off has left: parts of blobs, and layers of no image, when a day old."""
        kept = {self.layer_path(layer).name for image in self.images() for layer in image.layers} | {"empty"}
        left = [path for path in (self.root / "layers").iterdir() if path.name not in kept]
        for path in (*left, *(self.root / "partial").iterdir()):
            with contextlib.suppress(FileNotFoundError):  # somebody else was faster
                if time.time() - path.stat().st_ctime < _OLD:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()

    def _unpack_now(self, blob: str, diff_id: str) -> None:
        target = self.layer_path(diff_id)
        with tempfile.TemporaryDirectory(dir=self.root / "partial") as scratch:
            fresh = Path(scratch) / "layer"
            fresh.mkdir(mode=0o755)
            found, implied = layers.unpack(self.blob_path(blob), fresh)
            if found != diff_id:
                raise layers.LayerFailure(f"layer {blob} is {found} when unpacked, not {diff_id}")
            if implied:
                self._write(self._implied_path(diff_id), orjson.dumps(sorted(implied)))
            with contextlib.suppress(OSError):  # another agent was faster
                fresh.rename(target)

    def _restore_parents(self, image_id: str, diff_ids: Sequence[str]) -> None:
        """Make the layer with those directories that upper layers have without saying how they look."""
        target = self._parents_path(image_id)
        with tempfile.TemporaryDirectory(dir=self.root / "partial") as scratch:
            fresh = Path(scratch) / "parents"
            fresh.mkdir(mode=0o755)
            known = [parents.Layer(self.layer_path(diff), self._implied(diff)) for diff in diff_ids]
            if parents.restore(known, fresh):
                with contextlib.suppress(OSError):  # it is there already
                    fresh.rename(target)

    def _implied(self, diff_id: str) -> frozenset[str]:
        try:
            return frozenset(orjson.loads(self._implied_path(diff_id).read_bytes()))
        except FileNotFoundError:
            return frozenset()

    def _implied_path(self, diff_id: str) -> Path:
        return self.root / "implied" / f"{hexadecimal(diff_id)}.json"

    def _parents_path(self, image_id: str) -> Path:
        return self.root / "parents" / hexadecimal(image_id)

    def _empty_layer(self) -> Path:
        path = self.root / "layers" / "empty"
        path.mkdir(exist_ok=True)
        return path

    def _image(self, image_id: str) -> Image | None:
        path = self.root / "images" / f"{hexadecimal(image_id)}.json"
        if image_id in self._cached and path.exists():
            return self._cached[image_id]
        try:
            image = msgspec.json.decode(path.read_bytes(), type=Image)
        except FileNotFoundError:
            self._cached.pop(image_id, None)
            return None
        self._cached[image_id] = image
        return image

    def _name(self, name: str) -> Name | None:
        try:
            return msgspec.json.decode(self._name_path(name).read_bytes(), type=Name)
        except FileNotFoundError:
            return None

    def _name_path(self, name: str) -> Path:
        return self.root / "names" / f"{hashlib.sha256(name.encode()).hexdigest()}.json"

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists() and path.parent.name == "sha256":
            return
        fd, partial = tempfile.mkstemp(dir=self.root / "partial")
        with os.fdopen(fd, "wb") as out:
            out.write(data)
        Path(partial).rename(path)


def hexadecimal(digest: str) -> str:
    """What of a digest is in the names of files. Raises LayerFailure: manifests may hold what leads anywhere."""
    if not _DIGEST.fullmatch(digest):
        raise layers.LayerFailure(f"{digest!r} is no digest of SHA-256")
    return digest.removeprefix("sha256:")


def _lock(path: Path) -> int | None:
    """A descriptor that holds the lock of this file; None while somebody else does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(fd).st_ino:  # else its last holder has removed it meanwhile
            return fd
    os.close(fd)
    return None


def own_platform() -> tuple[str, str]:
    """Operating system and architecture, as image indexes name them."""
    machine = platform.machine()
    return "linux", _ARCHITECTURES.get(machine, machine)


def for_platform(manifests: Sequence[Mapping[str, Any]]) -> str:
    """The digest that an index has for this machine; empty when it has none."""
    own = own_platform()
    for entry in manifests:
        wanted = entry.get("platform") or {}
        if (wanted.get("os"), wanted.get("architecture")) == own:
            return str(entry["digest"])
    return ""
