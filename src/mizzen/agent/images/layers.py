"""Unpack a layer into a directory that serves as an overlay's lower: compression, ownership, whiteouts, safe paths.

Ref: https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

import contextlib
import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, Any

import zstandard
from isal import igzip

from mizzen.agent.runtime.namespaces import in_user_namespace
from mizzen.agent.runtime.syscalls import open_in_root

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 20
_LINKS = 40


class LayerFailure(Exception):
    """A layer that cannot be unpacked."""


class _Hashing(io.RawIOBase):
    """Counts what the tar reader reads, so that the uncompressed digest comes for free."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._source.read(len(buffer))
        self.digest.update(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def unpack(blob: Path, target: Path) -> tuple[str, frozenset[str]]:
    """Unpack a blob; answers the digest of the uncompressed tar, and the directories that it has no entries for.

    Raises: LayerFailure, OSError.
    """
    with blob.open("rb") as raw:
        plain = _Hashing(_decompressed(raw))
        # A stream that ends without the two empty blocks is a complete archive to us (umoci writes such).
        buffered = io.BufferedReader(plain, _CHUNK)
        root = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with tarfile.open(fileobj=buffered, mode="r|", bufsize=_CHUNK) as archive:
                times: list[tuple[str, int]] = []
                implied: set[str] = set()
                for member in archive:
                    _place(root, archive, member, times, implied)
                for path, mtime in reversed(times):
                    with contextlib.suppress(OSError), _opened(root, path, os.O_RDONLY) as fd:
                        os.utime(fd, ns=(mtime, mtime))
            while buffered.read(_CHUNK):
                pass
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zstandard.ZstdError, igzip.BadGzipFile) as error:
            raise LayerFailure(f"{blob.name}: {error}") from error
        finally:
            os.close(root)
    return f"sha256:{plain.digest.hexdigest()}", frozenset(implied)


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(_GZIP):
        unzipped: IO[bytes] = igzip.open(raw, "rb")  # type: ignore[no-untyped-call]
        return unzipped
    if magic == _ZSTD:
        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return raw


@contextlib.contextmanager
def _opened(root: int, path: str, flags: int, mode: int = 0) -> Any:
    fd = open_in_root(root, path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def _place(
    root: int, archive: tarfile.TarFile, member: tarfile.TarInfo, times: list[tuple[str, int]], implied: set[str]
) -> None:
    path = os.path.normpath("/" + member.name).lstrip("/")
    if not path or path == ".":
        Path(f"/proc/self/fd/{root}").chmod(stat.S_IMODE(member.mode))
        os.chown(f"/proc/self/fd/{root}", member.uid, member.gid)
        return
    parent, name = os.path.split(path)
    _make_parents(root, parent, implied)
    with _opened(root, parent or ".", os.O_RDONLY | os.O_DIRECTORY) as directory:
        if name == _OPAQUE:
            _make_opaque(directory, ".")
            return
        if name.startswith(_WHITEOUT):
            _hide(directory, name[len(_WHITEOUT) :])
            return
        if (member.ischr() or member.isblk()) and in_user_namespace():
            return  # nobody may make device nodes there: the image goes without
        _write_member(root, directory, archive, member, name)
        if member.islnk():
            return  # it is the file it links to, which to give to its owner again would take its set-id bits
        os.chown(name, member.uid, member.gid, dir_fd=directory, follow_symlinks=False)
        if member.issym():
            return
        os.chmod(name, stat.S_IMODE(member.mode), dir_fd=directory)
        _set_attributes(directory, name, member)
        stamp = int(member.mtime * 1e9)
        if member.isdir():
            times.append((path, stamp))
            implied.discard(_within(root, directory, name))
        else:
            os.utime(name, ns=(stamp, stamp), dir_fd=directory, follow_symlinks=False)


def _hide(directory: int, name: str) -> None:
    """Hide what lower layers have under a name; what this layer has there itself stays, whichever comes first."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
        return
    if stat.S_ISDIR(found.st_mode):
        _make_opaque(directory, name)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _make_opaque(directory: int, name: str) -> None:
    owner = "user" if in_user_namespace() else "trusted"
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.setxattr(fd, f"{owner}.overlay.opaque", b"y")
    finally:
        os.close(fd)


def _write_member(root: int, directory: int, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    if member.isdir():
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=directory)
            return
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=directory)
            os.mkdir(name, 0o755, dir_fd=directory)
            if _is_whiteout(found):
                _make_opaque(directory, name)
        return
    _clear(directory, name)
    if member.isreg():
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
        with os.fdopen(fd, "wb") as out:
            source = archive.extractfile(member)
            while source is not None and (chunk := source.read(_CHUNK)):
                out.write(chunk)
    elif member.issym():
        os.symlink(member.linkname, name, dir_fd=directory)
    elif member.islnk():
        with _opened(root, os.path.normpath("/" + member.linkname).lstrip("/"), os.O_PATH | os.O_NOFOLLOW) as target:
            os.link(f"/proc/self/fd/{target}", name, dst_dir_fd=directory, follow_symlinks=True)
    elif member.isfifo():
        os.mkfifo(name, 0o600, dir_fd=directory)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=directory)
    else:
        raise LayerFailure(f"{member.name}: unknown kind of entry")


def _within(root: int, directory: int, name: str) -> str:
    """The path of an entry below the root, free of links."""
    places = (Path(f"/proc/self/fd/{fd}").readlink() for fd in (directory, root))
    return os.path.normpath(f"{os.path.relpath(*places)}/{name}")


def _make_parents(root: int, parent: str, implied: set[str], links: int = 0) -> None:
    """Make a directory and those above it; where a link of this layer leads to a lower one's, its like is made here."""
    if not parent:
        return
    try:
        os.close(open_in_root(root, parent, os.O_PATH | os.O_DIRECTORY))
    except FileNotFoundError:
        above, name = os.path.split(parent)
        _make_parents(root, above, implied, links)
        with _opened(root, above or ".", os.O_RDONLY | os.O_DIRECTORY) as directory:
            try:
                os.mkdir(name, 0o755, dir_fd=directory)
                implied.add(_within(root, directory, name))
            except FileExistsError:
                if links == _LINKS:
                    raise
                target = os.path.normpath(Path("/") / above / os.readlink(name, dir_fd=directory))
                _make_parents(root, target.lstrip("/"), implied, links + 1)


def _clear(directory: int, name: str) -> None:
    """Make room for an entry that replaces an earlier one of the same layer."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        _remove_tree(directory, name)


def _remove_tree(directory: int, name: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        for entry in [one.name for one in os.scandir(fd)]:
            _clear(fd, entry)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=directory)


def _set_attributes(directory: int, name: str, member: tarfile.TarInfo) -> None:
    """File capabilities and the like (`SCHILY.xattr.*` records)."""
    for key, value in member.pax_headers.items():
        attribute = key.removeprefix("SCHILY.xattr.")
        if attribute == key or attribute.startswith(("trusted.overlay.", "user.overlay.")):
            continue
        with contextlib.suppress(OSError):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
            try:
                os.setxattr(fd, attribute, value.encode("utf-8", "surrogateescape"))
            finally:
                os.close(fd)
