"""Read the struct types of a Go program from its executable: fields, tags and types, as Go's reflection sees them.

Types stand in `.go.type`, or before Go 1.27 in `.rodata`. Only 64-bit little-endian ELF.
Ref: https://pkg.go.dev/internal/abi#Type
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# reflect.Kind
BOOL, INT32, INT64, UINT8, FLOAT64, MAP, POINTER, SLICE, STRING, STRUCT = 1, 5, 6, 8, 14, 21, 22, 23, 24, 25
_UNCOMMON, _EXTRA_STAR, _NAMED = 1, 2, 4
_NAMELESS = range(17, SLICE)
"""Arrays, channels, functions, interfaces, maps and pointers."""
_HEADER = 48
_STRUCT_MARK = re.compile(
    rb"[%b][\x01\x02\x04\x08]{2}[\x19\x39\x59\x79]"
    % b"".join(b"\\x%02x" % flags for flags in range(64) if flags & 5 == 5)
)
"""Flags (named, with a package), alignments and kind of a struct, 20 bytes into its type."""
_UNCOMMON_AT = {SLICE: 56, STRUCT: 80}
"""Where the package of a named type stands: past what its kind needs."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct: `name`, its tag, whether it is embedded, and the address of its type."""

    name: str
    tag: str
    embedded: bool
    type: int


class Program:
    """The types of one executable; a type is known by its address."""

    def __init__(self, path: Path) -> None:
        self._bytes = path.read_bytes()
        if self._bytes[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no 64-bit little-endian ELF")
        self._sections = dict(self._read_sections())
        self._home = ".go.type" if ".go.type" in self._sections else ".rodata"
        self._types = self._sections[self._home][0]

    def _read_sections(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """Name → address, offset, size."""
        start = self._unpack("<Q", 0x28)
        size, count, names = struct.unpack_from("<HHH", self._bytes, 0x3A)
        headers = [struct.unpack_from("<IIQQQQ", self._bytes, start + at * size) for at in range(count)]
        text = headers[names][4]
        for name, _, _, address, offset, length in headers:
            end = self._bytes.index(b"\0", text + name)
            yield self._bytes[text + name : end].decode(), (address, offset, length)

    def _unpack(self, form: str, offset: int) -> int:
        return int(struct.unpack_from(form, self._bytes, offset)[0])

    @cache  # noqa: B019
    def _offset(self, address: int) -> int:
        for start, offset, size in self._sections.values():
            if start and start <= address < start + size:
                return offset + address - start
        raise ValueError(f"no section holds the address {address:#x}")

    def structs(self) -> Iterator[int]:
        """The named struct types; what only looks like one is left out."""
        start, offset, size = self._sections[self._home]
        for found in _STRUCT_MARK.finditer(self._bytes, offset, offset + size):
            at = found.start() - 20
            if (at - offset) % 8 == 0 and self._is_struct(at):
                yield start + at - offset

    def _is_struct(self, at: int) -> bool:
        """Whether a struct type starts here: its counts and addresses make sense."""
        size, pointers = struct.unpack_from("<QQ", self._bytes, at)
        first, count, capacity = struct.unpack_from("<QQQ", self._bytes, at + _HEADER + 8)
        start, _, length = self._sections[self._home]
        sane = pointers <= size < 1 << 20 and count == capacity < 1 << 12
        return sane and (count == 0 or start <= first < start + length)

    def kind(self, type: int) -> int:
        return self._bytes[self._offset(type) + 23] & 31

    def element(self, type: int) -> int:
        """What a pointer or slice is of; a map's value."""
        return self._unpack("<Q", self._offset(type) + _HEADER + (8 if self.kind(type) == MAP else 0))

    def key(self, type: int) -> int:
        """A map's key."""
        return self._unpack("<Q", self._offset(type) + _HEADER)

    def name(self, type: int) -> str:
        """`k8s.io/api/core/v1.Pod`; empty for types that are unnamed, or neither structs, slices nor scalars."""
        at = self._offset(type)
        flags = self._bytes[at + 20]
        if not flags & _NAMED or not flags & _UNCOMMON or self.kind(type) in _NAMELESS:
            return ""
        text, _ = self._text(self._types + self._unpack("<i", at + 40))
        short = text.removeprefix("*") if flags & _EXTRA_STAR else text
        package = self._unpack("<i", at + _UNCOMMON_AT.get(self.kind(type), _HEADER))
        path = self._text(self._types + package)[0] if package else ""
        return f"{path}.{short.rpartition('.')[2]}"

    def fields(self, type: int) -> Iterator[Field]:
        """The fields of a struct, in order."""
        at = self._offset(type) + _HEADER + 8
        first, count = struct.unpack_from("<QQ", self._bytes, at)
        for position in range(count):
            name, of_type, _ = struct.unpack_from("<QQQ", self._bytes, self._offset(first) + 24 * position)
            text, tag = self._text(name)
            yield Field(text, tag, bool(self._bytes[self._offset(name)] & 8), of_type)

    def _text(self, address: int) -> tuple[str, str]:
        """A name and its tag."""
        at = self._offset(address)
        name, at_end = self._sized(at + 1)
        tag = self._sized(at_end)[0] if self._bytes[at] & 2 else ""
        return name, tag

    def _sized(self, at: int) -> tuple[str, int]:
        size = shift = 0
        while True:
            byte = self._bytes[at]
            at += 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self._bytes[at : at + size].decode(), at + size
