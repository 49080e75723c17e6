"""The descriptors that kubectl 1.34 still embeds, for Google's library: an oracle independent of our tables."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

KUBECTL = Path(__file__).resolve().parents[4] / ".cache" / "clients" / "v34" / "kubectl"
_GZIP = re.compile(rb"\x1f\x8b\x08\x00")


def embedded(binary: Path) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    """Every compressed file descriptor in an executable."""
    data = binary.read_bytes()
    for found in _GZIP.finditer(data):
        unpacked = zlib.decompressobj(31)
        try:
            text = unpacked.decompress(data[found.start() : found.start() + (1 << 20)])
            file = descriptor_pb2.FileDescriptorProto.FromString(text)
        except (zlib.error, DecodeError):
            continue
        if unpacked.eof and file.package.startswith("k8s.io.api"):
            yield file


def descriptors(binary: Path) -> dict[str, Descriptor]:
    """The messages by the names that the published definitions use: `io.k8s.api.core.v1.Pod`."""
    files = {file.name: file for file in embedded(binary)}
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added or name not in files:
            return
        added.add(name)
        file = files[name]
        known = [one for one in file.dependency if one in files]
        for dependency in known:
            add(dependency)
        del file.dependency[:]
        file.dependency.extend(known)
        file.ClearField("options")
        pool.Add(file)

    for name in files:
        add(name)
    found = {}
    for name, file in files.items():
        for message in file.message_type:
            published = "io.k8s." + file.package.removeprefix("k8s.io.") + "." + message.name
            found[published] = pool.FindFileByName(name).message_types_by_name[message.name]
    return found
