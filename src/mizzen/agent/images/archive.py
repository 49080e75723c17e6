"""Images as files: import an OCI layout (directory or tar) or a docker-archive, export an OCI layout as tar."""

import contextlib
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from mizzen.agent.images.layers import LayerFailure
from mizzen.agent.images.reference import parse
from mizzen.agent.images.store import Image, ImageStore, for_platform

_REF_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


async def import_path(store: ImageStore, path: Path, name: str = "") -> tuple[Image, ...]:
    """Import every image of a file or directory; `name` names one that has none. Raises LayerFailure, OSError."""
    if _is_directory(path):
        return await _import_directory(store, path, name)
    with tempfile.TemporaryDirectory(dir=store.root / "partial") as scratch:
        with tarfile.open(path) as archive:
            _extract(archive, Path(scratch))
        return await _import_directory(store, Path(scratch), name)


def _is_directory(path: Path) -> bool:
    return path.is_dir()


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """The regular files of an archive, and links to those (which old archives have for repeated layers)."""
    links: dict[Path, Path] = {}
    for member in archive:
        parts = [part for part in member.name.split("/") if part not in {"", "."}]
        if ".." in parts:
            continue
        if member.issym() or member.islnk():
            above = target.joinpath(*parts).parent if member.issym() else target
            links[target.joinpath(*parts)] = Path(os.path.normpath(above / member.linkname))
        if not member.isreg():
            continue
        path = target.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        if source is not None:
            with path.open("wb") as out:
                shutil.copyfileobj(source, out)
    for link, file in links.items():
        if file.is_relative_to(target) and file.is_file():
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, link)


async def _import_directory(store: ImageStore, path: Path, name: str) -> tuple[Image, ...]:
    if (path / "index.json").exists():
        return await _import_layout(store, path, name)
    if (path / "manifest.json").exists():
        return await _import_docker(store, path, name)
    raise LayerFailure(f"{path}: neither an OCI layout nor a docker-archive")


async def _import_layout(store: ImageStore, path: Path, name: str) -> tuple[Image, ...]:
    images = []
    for entry in orjson.loads((path / "index.json").read_bytes())["manifests"]:
        manifest = orjson.loads(_layout_blob(path, entry["digest"]).read_bytes())
        if nested := manifest.get("manifests"):
            chosen = for_platform(nested) or nested[0]["digest"]
            manifest = orjson.loads(_layout_blob(path, chosen).read_bytes())
        for layer in manifest["layers"]:
            _keep(store, _layout_blob(path, layer["digest"]))
        config = _layout_blob(path, manifest["config"]["digest"]).read_bytes()
        annotations = entry.get("annotations") or {}
        names = _names(name or next((annotations[key] for key in _REF_NAMES if key in annotations), ""))
        blobs = tuple(layer["digest"] for layer in manifest["layers"])
        images.append(await store.add(names, config, blobs, entry["digest"]))
    return tuple(images)


async def _import_docker(store: ImageStore, path: Path, name: str) -> tuple[Image, ...]:
    images = []
    for entry in orjson.loads((path / "manifest.json").read_bytes()):
        blobs = tuple(_keep(store, path / layer) for layer in entry["Layers"])
        names = _names(*([name] if name else entry.get("RepoTags") or ()))
        images.append(await store.add(names, (path / entry["Config"]).read_bytes(), blobs))
    return tuple(images)


def _names(*names: str) -> tuple[str, ...]:
    return tuple(str(parse(name)) for name in names if name)


def _layout_blob(path: Path, digest: str) -> Path:
    kind, _, hexadecimal = digest.partition(":")
    return path / "blobs" / kind / hexadecimal


def _keep(store: ImageStore, blob: Path) -> str:
    with blob.open("rb") as source:
        digest = "sha256:" + hashlib.file_digest(source, "sha256").hexdigest()
    if not store.blob_path(digest).exists():
        shutil.copyfile(blob, store.blob_path(digest))
    return digest


def export(store: ImageStore, name: str, target: Path) -> None:
    """Write an image as a tar of an OCI layout. Raises KeyError when there is no such image."""
    complete = str(parse(name))
    image = store.find(complete)
    if image is None:
        raise KeyError(name)
    config = store.blob_path(image.id).read_bytes()
    with tarfile.open(target, "w") as archive:
        layers = []
        for diff_id in image.layers:
            with _layer(store, diff_id) as blob:
                layers.append(_add_layer(archive, blob))
        diff_ids = [layer["digest"] for layer in layers]  # uncompressed: the blob's digest is the diff id
        fresh = {**orjson.loads(config), "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        body = orjson.dumps(fresh)
        manifest = manifest_of(_descriptor(_CONFIG, body), layers)
        _add_blob(archive, body)
        _add_blob(archive, manifest)
        entry = {**_descriptor(_MANIFEST, manifest), "annotations": {_REF_NAMES[0]: complete}}
        _add_file(archive, "index.json", orjson.dumps({"schemaVersion": 2, "manifests": [entry]}))
        _add_file(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')


_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def manifest_of(config: Mapping[str, Any], layers: list[dict[str, Any]]) -> bytes:
    """A manifest's bytes."""
    return orjson.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers})


def _descriptor(kind: str, body: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": "sha256:" + hashlib.sha256(body).hexdigest(), "size": len(body)}


def pack_directory(directory: Path) -> bytes:
    """A directory as a tar, the same bytes for the same content; overlay whiteouts become OCI ones."""
    buffer = io.BytesIO()
    _pack(directory, buffer)
    return buffer.getvalue()


def _pack(directory: Path, target: IO[bytes]) -> None:
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(directory.rglob("*")):
            member = archive.gettarinfo(str(path), str(path.relative_to(directory)))
            if member is None:
                continue
            member.uname = member.gname = ""
            if member.ischr() and (member.devmajor, member.devminor) == (0, 0):
                hidden = tarfile.TarInfo(str(Path(member.name).parent / f".wh.{path.name}"))
                archive.addfile(hidden)
            elif member.isreg():
                with path.open("rb") as source:
                    archive.addfile(member, source)
            else:
                archive.addfile(member)


@contextlib.contextmanager
def _layer(store: ImageStore, diff_id: str) -> Iterator[IO[bytes]]:
    """A layer's tar, as it came if it came uncompressed."""
    kept = store.blob_path(diff_id)
    if kept.exists():
        with kept.open("rb") as source:
            yield source
        return
    with tempfile.TemporaryFile(dir=store.root / "partial") as packed:
        _pack(store.layer_path(diff_id), packed)
        packed.seek(0)
        yield packed


def _add_layer(archive: tarfile.TarFile, blob: IO[bytes]) -> dict[str, Any]:
    hexadecimal = hashlib.file_digest(blob, "sha256").hexdigest()  # type: ignore[arg-type]
    member = tarfile.TarInfo(f"blobs/sha256/{hexadecimal}")
    member.size = blob.seek(0, io.SEEK_END)
    blob.seek(0)
    archive.addfile(member, blob)
    return {"mediaType": _LAYER, "digest": f"sha256:{hexadecimal}", "size": member.size}


def _add_blob(archive: tarfile.TarFile, data: bytes) -> str:
    hexadecimal = hashlib.sha256(data).hexdigest()
    _add_file(archive, f"blobs/sha256/{hexadecimal}", data)
    return f"sha256:{hexadecimal}"


def _add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))
