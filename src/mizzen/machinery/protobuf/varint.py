"""Variable-length integers and field tags. Ref: https://protobuf.dev/programming-guides/encoding/"""

from typing import Final

from mizzen.machinery.protobuf.messages import ProtobufError

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5


def write(value: int) -> bytes:
    """A varint; negative ones take ten bytes."""
    if 0 <= value < 128:
        return _SMALL[value]
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(body: bytes | bytearray) -> bytes:
    """A body after its length."""
    return write(len(body)) + body


def tag(number: int, wire: int) -> bytes:
    """What stands before a field's value."""
    return write(number << 3 | wire)


def read(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint and where it ends. Raises: ProtobufError, IndexError."""
    byte = data[at]
    value = byte & 127
    shift = 0
    while byte > 127:
        at += 1
        byte = data[at]
        shift += 7
        value |= (byte & 127) << shift
        if shift > 63:
            raise ProtobufError("proto: integer overflow")
    return value, at + 1


def signed(value: int) -> int:
    """The 64-bit two's complement of an unsigned varint."""
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


def skip(data: bytes, at: int, wire: int, end: int) -> int:
    """Where an unknown field's value ends. Raises: ProtobufError, IndexError."""
    if wire == VARINT:
        at = read(data, at)[1]
    elif wire == BYTES:
        size, at = read(data, at)
        at += size
    elif wire in (FIXED64, FIXED32):
        at += 8 if wire == FIXED64 else 4
    else:
        raise ProtobufError(f"proto: wiretype {wire} is not supported")
    if at > end:
        raise ProtobufError("unexpected EOF")
    return at


_SMALL: Final = [bytes((value,)) for value in range(128)]
