"""Small images for the node's tests: busybox from Debian's package, as a docker-archive and in a real registry."""

import base64
import gzip
import hashlib
import io
import tarfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import orjson
from tools import machine

_APPLETS = (
    "sh", "sleep", "echo", "cat", "ls", "ps", "id", "env", "true", "false", "kill", "wget", "httpd", "nc",
    "hostname", "touch", "head", "dd", "mkdir", "date", "test", "tail", "stat", "chmod", "mount", "unshare",
    "readlink", "printf", "grep", "seq", "stty", "wc", "tr", "trap",
)  # fmt: skip
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/:/bin/sh\n"
_GROUP = "root:x:0:\nworker:x:1000:\nextra:x:2000:worker\n"


def busybox(scratch: Path) -> bytes:
    """The static busybox of this Debian."""
    machine.unpack(machine.package("busybox-static"), scratch)
    return (scratch / "bin" / "busybox").read_bytes()


def base_layer(program: bytes) -> bytes:
    """A root file system around one program, as a tar without the two empty blocks at its end."""
    entries: dict[str, bytes | None] = {"bin/": None, "tmp/": None, "etc/": None, "root/": None, "www/": None}
    entries |= {"etc/passwd": _PASSWD.encode(), "etc/group": _GROUP.encode(), "www/index.html": b"hello\n"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in entries.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.mode = 0o1777 if name == "tmp/" else 0o755 if data is None else 0o644
            member.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            member.size = len(data or b"")
            archive.addfile(member, io.BytesIO(data or b""))
        member = tarfile.TarInfo("bin/busybox")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        end = archive.offset
    return buffer.getvalue()[:end]


def layer(entries: Mapping[str, bytes]) -> bytes:
    """A layer of plain files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def configuration(layers: Sequence[bytes], **config: object) -> bytes:
    """An image's configuration."""
    diff_ids = ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]
    body = {"architecture": "amd64", "os": "linux", "config": config}
    return orjson.dumps({**body, "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def docker_archive(path: Path, name: str, layers: Sequence[bytes], **config: object) -> None:
    """Write a docker-archive."""
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    files = {"config.json": configuration(layers, **config), "manifest.json": orjson.dumps(manifest)}
    files |= dict(zip(names, layers, strict=True))
    with tarfile.open(path, "w") as archive:
        for name_, data in files.items():
            member = tarfile.TarInfo(name_)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def push(
    registry: str,
    repository: str,
    tag: str,
    layers: Sequence[bytes],
    packed: Callable[[bytes], bytes] = gzip.compress,
    **config: object,
) -> str:
    """Push an image with compressed layers behind an index of platforms; answers the index's digest.

    `registry` may begin with `USER:PASSWORD@`.
    """
    body = configuration(layers, **config)
    blobs = [packed(one) for one in layers]
    kind_of_layer = "tar+gzip" if packed is gzip.compress else "tar+zstd"
    described = [_push_blob(registry, repository, blob) for blob in blobs]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **_push_blob(registry, repository, body)},
        "layers": [{"mediaType": f"application/vnd.oci.image.layer.v1.{kind_of_layer}", **one} for one in described],
    }
    inner = _put_manifest(registry, repository, "", orjson.dumps(manifest), manifest["mediaType"])
    kind = "application/vnd.oci.image.index.v1+json"
    entry = {"mediaType": manifest["mediaType"], "digest": inner, "size": len(orjson.dumps(manifest))}
    index = {
        "schemaVersion": 2,
        "mediaType": kind,
        "manifests": [{**entry, "platform": {"os": "linux", "architecture": "amd64"}}],
    }
    return _put_manifest(registry, repository, tag, orjson.dumps(index), kind)


def _push_blob(registry: str, repository: str, data: bytes) -> dict[str, object]:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    location, _ = _send("POST", registry, f"/v2/{repository}/blobs/uploads/")
    joint = "&" if "?" in location else "?"
    target = "/" + location.split("/", 3)[3]
    _send("PUT", registry, f"{target}{joint}digest={digest}", data, "application/octet-stream")
    return {"digest": digest, "size": len(data)}


def _put_manifest(registry: str, repository: str, tag: str, data: bytes, kind: str) -> str:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    _send("PUT", registry, f"/v2/{repository}/manifests/{tag or digest}", data, kind)
    return digest


def _send(method: str, registry: str, path: str, data: bytes | None = None, kind: str = "") -> tuple[str, int]:
    """One request to the registry; answers where it points to, and its status."""
    login, _, host = registry.rpartition("@")
    headers = {"content-type": kind} if kind else {}
    if login:
        headers["authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    request = urllib.request.Request(f"http://{host}{path}", data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers["location"] or "", answer.status
