"""Build an image from a small declaration: Debian packages, files, configuration. The same input is built once.

```yaml
name: local/web:1
packages: [nginx-light, dash]
files: {/etc/motd: "hello", /srv/: ./site}
config: {Cmd: [nginx, -g, daemon off;], Env: [A=1], User: www-data, ExposedPorts: {80/tcp: {}}}
```
"""

import asyncio
import hashlib
import io
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import orjson
import yaml

from mizzen.agent.images.reference import parse
from mizzen.agent.images.store import Image, ImageStore, own_platform

_LABEL = "org.mizzen.build"


class BuildFailure(Exception):
    """The image cannot be built."""


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an image is made of; `files` leads from target to text, or to a path that exists beside the declaration."""

    name: str
    packages: tuple[str, ...] = ()
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    config: dict[str, Any] = {}
    suite: str = "bookworm"


def declaration(path: Path) -> Declaration:
    """Read a declaration. Raises BuildFailure."""
    try:
        return msgspec.convert(yaml.safe_load(path.read_text()), Declaration)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise BuildFailure(f"{path}: {error}") from error


def renamed(wanted: Declaration, name: str) -> Declaration:
    """The same image under another name."""
    return msgspec.structs.replace(wanted, name=name)


async def build(store: ImageStore, wanted: Declaration, beside: Path) -> Image:
    """The image, built unless it is there already. Raises BuildFailure."""
    name = str(parse(wanted.name))
    with tempfile.TemporaryDirectory(dir=store.root / "partial") as scratch:
        top = await asyncio.to_thread(_file_layer, wanted, beside, Path(scratch) / "files.tar")
        key = hashlib.sha256(orjson.dumps(msgspec.to_builtins(wanted)) + top.encode()).hexdigest()
        present = store.find(name)
        if present is not None and (present.config.get("Labels") or {}).get(_LABEL) == key:
            return present
        tars = []
        if wanted.packages:
            tars.append(Path(scratch) / "packages.tar")
            await _package_layer(wanted, tars[0])
        tars.append(Path(scratch) / "files.tar")
        digests = [await asyncio.to_thread(_keep, store, tar) for tar in tars]
    system, architecture = own_platform()
    config = {**wanted.config, "Labels": {**wanted.config.get("Labels", {}), _LABEL: key}}
    body = {
        "os": system,
        "architecture": architecture,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": digests},
    }
    return await store.add((name,), orjson.dumps(body), tuple(digests))


async def _package_layer(wanted: Declaration, target: Path) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise BuildFailure("building from packages needs the program mmdebstrap: install it")
    process = await asyncio.create_subprocess_exec(
        program, "--mode=root", "--variant=extract", f"--include={','.join(wanted.packages)}",
        "--skip=check/empty", wanted.suite, str(target),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate()
    if process.returncode:
        raise BuildFailure(complaint.decode("utf-8", "replace").strip()[-2000:])


def _file_layer(wanted: Declaration, beside: Path, target: Path) -> str:
    """Write the files and links as a tar, the same bytes for the same content; answers its digest."""
    with tarfile.open(target, "w") as archive:
        for place, source in sorted(wanted.files.items()):
            path = beside / source
            if "\n" not in source and len(source) < 1024 and path.exists():
                archive.add(path, place.strip("/"), filter=_anonymous)
            else:
                _add_text(archive, place.strip("/"), source)
        for place, leads_to in sorted(wanted.links.items()):
            link = tarfile.TarInfo(place.strip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, leads_to
            archive.addfile(link)
    with target.open("rb") as source_file:
        return hashlib.file_digest(source_file, "sha256").hexdigest()


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(data)
    member.mode = 0o755 if text.startswith("#!") else 0o644
    archive.addfile(member, io.BytesIO(data))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root and from the beginning of time, so that the same files give the same bytes."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


def _keep(store: ImageStore, tar: Path) -> str:
    with tar.open("rb") as source:
        digest = "sha256:" + hashlib.file_digest(source, "sha256").hexdigest()
    shutil.copyfile(tar, store.blob_path(digest))
    return digest
