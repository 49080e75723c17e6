"""The Linux calls that Python 3.11 does not offer: mounts, namespaces, inotify, safe path look-up.

Each function is one system call (or one short sequence) and raises OSError with the kernel's errno.
"""

import contextlib
import ctypes
import ctypes.util
import errno
import os
import struct
from collections.abc import Sequence
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

CLONE_FS: Final = 0x00000200
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000

_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_SYS_OPENAT2 = 437
_MOVE_MOUNT_F_EMPTY_PATH = 4
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC, _AT_EMPTY_PATH = 1, 0o2000000, 0x1000
_MOUNT_ATTR_IDMAP = 0x00100000
_AT_FDCWD = -100

IN_CLOSE_WRITE: Final = 0x8
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
_IN_Q_OVERFLOW: Final = 0x4000


def _checked(result: int, what: str) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    call = _libc.mount(source.encode(), target.encode(), fstype.encode() or None, ctypes.c_ulong(flags), data.encode())
    _checked(call, f"mount {source} on {target}")


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Bind a file or directory tree over another; a read-only bind needs a second call to the kernel."""
    mount(source, target, "", MS_BIND | MS_REC)
    if read_only:
        mount("", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def bind_mapped(source: str, target: str, user_namespace: int) -> None:
    """Bind a file or directory over another, its owners shifted as the user namespace behind a descriptor maps them."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    tree = _checked(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, source.encode(), flags), f"open_tree {source}")
    try:
        attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
        set_call = _libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
        _checked(set_call, f"map the owners of {source}")
        moved = _libc.syscall(
            _SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, target.encode(), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH)
        )
        _checked(moved, f"move_mount {target}")
    finally:
        os.close(tree)


def unmount(target: str, flags: int = MNT_DETACH | UMOUNT_NOFOLLOW) -> None:
    """umount2(2), lazily unless told otherwise."""
    _checked(_libc.umount2(target.encode(), flags), f"unmount {target}")


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces."""
    _checked(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    """Move the calling thread into the namespace behind a file descriptor."""
    _checked(_libc.setns(fd, kind), "setns")


def mount_overlay(lowers: Sequence[str], upper: str, work: str, target: str, *, as_user: bool = False) -> None:
    """Mount an overlay of read-only layers, uppermost first.

    The layers are named by descriptors: whatever their paths are, a page of options holds 150, on every kernel. The
    upper one goes by its path, which the kernel shows: it tells whose root file system this is.
    `as_user`: keep its marks in `user.` attributes, the only ones that the root of a user namespace can write.
    """
    with contextlib.ExitStack() as opened:

        def name(path: str) -> str:
            descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            return f"/proc/self/fd/{descriptor}"

        options = ["lowerdir=" + ":".join(map(name, lowers))]
        if upper:
            options += [f"upperdir={_escaped(upper)}", f"workdir={_escaped(work)}"]
        if as_user:
            options.append("userxattr")
        mount("overlay", target, "overlay", data=",".join(options))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,")


def mount_memory(target: str, data: str = "") -> None:
    """A file system in memory, never swapped out where the kernel promises that: from 6.4 on, to root."""
    try:
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"noswap,{data}" if data else "noswap")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, data)


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open a path as if `root` were the root directory: neither `..` nor symbolic links lead out of it."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    opened = _libc.syscall(_SYS_OPENAT2, root, path.encode(), how, len(how))
    return _checked(opened, f"open {path}")


def inotify_open() -> int:
    """A non-blocking inotify descriptor."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")


def inotify_watch(fd: int, path: str, mask: int) -> int:
    """Watch a directory; answers the watch descriptor."""
    return _checked(_libc.inotify_add_watch(fd, path.encode(), mask), f"inotify {path}")


def inotify_names(buffer: bytes) -> tuple[list[str], bool]:
    """The file names in a buffer read from an inotify descriptor, and whether the kernel has dropped none."""
    names, are_all, at = [], True, 0
    while at < len(buffer):
        _, mask, _, length = struct.unpack_from("=iIII", buffer, at)
        if mask & _IN_Q_OVERFLOW:
            are_all = False
        else:
            names.append(buffer[at + 16 : at + 16 + length].rstrip(b"\0").decode())
        at += 16 + length
    return names, are_all
