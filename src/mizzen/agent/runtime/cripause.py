"""The image that a CRI runtime's sandboxes need where no registry can be asked for one: a program that only waits.

It is put together here, because it is shorter than any way of fetching it. As the first process of a shared process
namespace it reaps what is orphaned: its parentless children vanish because it ignores SIGCHLD.
"""

import hashlib
import io
import platform
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from mizzen.agent.runtime.base import RuntimeFailure

NAME: Final = "mizzen.io/pause:1"
_BASE: Final = 0x400000
_SIGCHLD: Final = 17
_IGNORE: Final = struct.pack("<QQQQ", 1, 0, 0, 0)
"""The kernel's `struct sigaction`: SIG_IGN, no flags, no restorer, an empty mask."""
_X86_64: Final = (
    b"\xb8\x0d\x00\x00\x00"  # mov eax, 13 (rt_sigaction)
    b"\xbf\x11\x00\x00\x00"  # mov edi, 17 (SIGCHLD)
    b"\x48\x8d\x35\x13\x00\x00\x00"  # lea rsi, [what follows the code]
    b"\x31\xd2"  # xor edx, edx
    b"\x41\xba\x08\x00\x00\x00"  # mov r10d, 8
    b"\x0f\x05"  # syscall
    b"\xb8\x22\x00\x00\x00"  # again: mov eax, 34 (pause)
    b"\x0f\x05"  # syscall
    b"\xeb\xf7"  # jmp again
)


def _mov(register: int, value: int) -> int:
    return 0xD2800000 | value << 5 | register


_SVC: Final = 0xD4000001
_AARCH64: Final = (
    _mov(8, 134),  # rt_sigaction
    _mov(0, _SIGCHLD),
    0x10000000 | 12 << 5 | 1,  # adr x1, what follows the code: 12 instructions on
    _mov(2, 0),
    _mov(3, 8),
    _SVC,
    _mov(8, 73),  # again: ppoll, of nothing
    _mov(0, 0),
    _mov(1, 0),
    _mov(2, 0),
    _mov(3, 0),
    _SVC,
    0x14000000 | (-6 & 0x3FFFFFF),  # b again
    0xD503201F,  # nop: what follows is aligned
)
_PROGRAMS: Final[Mapping[str, tuple[str, int, bytes]]] = {
    "x86_64": ("amd64", 62, _X86_64 + _IGNORE),
    "aarch64": ("arm64", 183, struct.pack(f"<{len(_AARCH64)}I", *_AARCH64) + _IGNORE),
}


def program(machine: str) -> bytes:
    """The waiting program for a machine as `uname -m` names it. Raises RuntimeFailure."""
    _, number, code = _known(machine)
    header, segment = 64, 56
    start = header + segment
    size = start + len(code)
    elf = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 0, 0),
        *(2, number, 1, _BASE + start, header, 0, 0, header, segment, 1, 0, 0, 0),
    )
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000) + code


def archive(target: Path, machine: str = "") -> None:
    """Write the image as a docker-archive, for this machine unless another is named. Raises RuntimeFailure."""
    machine = machine or platform.machine()
    layer = _tar({"pause": (program(machine), 0o755)})
    config: dict[str, Any] = {
        "architecture": _known(machine)[0],
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer, "config.json": orjson.dumps(config), "manifest.json": orjson.dumps(manifest)}
    target.write_bytes(_tar({name: (data, 0o644) for name, data in files.items()}))


def _known(machine: str) -> tuple[str, int, bytes]:
    if machine not in _PROGRAMS:
        raise RuntimeFailure("NotFound", f"no sandbox image for {machine}: run a containerd yourself that has one")
    return _PROGRAMS[machine]


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (data, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
