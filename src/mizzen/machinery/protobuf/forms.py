"""Values that are strings, numbers or any JSON in an object, and bytes or a small message on the wire."""

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson

from mizzen.machinery import times
from mizzen.machinery.protobuf import varint
from mizzen.machinery.protobuf.messages import ProtobufError
from mizzen.machinery.protobuf.varint import BYTES, VARINT

Read = Callable[[bytes, int, int], Any]
"""The JSON value of the bytes between two positions; None for one that stands for nothing."""


@dataclass(frozen=True, slots=True)
class Form:
    """How one such value is read and written, without its length."""

    read: Read
    write: Callable[[Any], bytes | bytearray]


def numbers_and_bodies(data: bytes, at: int, stop: int) -> dict[int, Any]:
    """The fields of a small message by number: varints as integers, bodies as bytes. Raises: ProtobufError."""
    found: dict[int, Any] = {}
    while at < stop:
        tag, at = varint.read(data, at)
        if tag & 7 == VARINT:
            value, at = varint.read(data, at)
            found[tag >> 3] = varint.signed(value)
        elif tag & 7 == BYTES:
            size, start = varint.read(data, at)
            at = start + size
            if at > stop:
                raise ProtobufError("unexpected EOF")
            found[tag >> 3] = data[start:at]
        else:
            at = varint.skip(data, at, tag & 7, stop)
    return found


def read_string(data: bytes, at: int, stop: int) -> str:
    return data[at:stop].decode("utf-8", "replace")


def write_string(value: str) -> bytes:
    return value.encode()


def _read_bytes(data: bytes, at: int, stop: int) -> str:
    return binascii.b2a_base64(data[at:stop], newline=False).decode()


def _write_bytes(value: str) -> bytes:
    return binascii.a2b_base64(value)


def _read_quantity(data: bytes, at: int, stop: int) -> str:
    if stop - at > 2 and data[at] == 10 and data[at + 1] == stop - at - 2:
        return data[at + 2 : stop].decode("utf-8", "replace")
    text = numbers_and_bodies(data, at, stop).get(1, b"")
    return text.decode("utf-8", "replace") or "0"


def _write_quantity(value: str | float) -> bytes:
    text = value if isinstance(value, str) else str(value)
    return b"\n" + varint.sized(text.encode())


def _read_int_or_string(data: bytes, at: int, stop: int) -> int | str:
    found = numbers_and_bodies(data, at, stop)
    if found.get(1, 0) == 0:
        return int(found.get(2, 0))
    return bytes(found.get(3, b"")).decode("utf-8", "replace")


def _write_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00\x1a" + varint.sized(value.encode())
    return b"\x08\x00\x10" + varint.write(value) + b"\x1a\x00"


def _read_time(data: bytes, at: int, stop: int) -> str | None:
    if at == stop:
        return None
    return _time_text(numbers_and_bodies(data, at, stop).get(1, 0))


@lru_cache(maxsize=1024)
def _time_text(seconds: int) -> str:
    return times.format(seconds)


@lru_cache(maxsize=1024)
def _write_time(value: str) -> bytes:
    return b"\x08" + varint.write(int(times.parse(value) // 1)) + b"\x10\x00"


def _read_micro_time(data: bytes, at: int, stop: int) -> str | None:
    if at == stop:
        return None
    found = numbers_and_bodies(data, at, stop)
    return times.format_micro_of(found.get(1, 0), found.get(2, 0) // 1000)


def _write_micro_time(value: str) -> bytes:
    micro = (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    seconds, rest = divmod(micro, 1_000_000)
    return b"\x08" + varint.write(seconds) + b"\x10" + varint.write(rest * 1000)


def _read_duration(data: bytes, at: int, stop: int) -> str:
    return times.format_duration(numbers_and_bodies(data, at, stop).get(1, 0) / 1e9)


def _write_duration(value: str) -> bytes:
    return b"\x08" + varint.write(round(times.parse_duration(value) * 1e9))


def _read_raw(data: bytes, at: int, stop: int) -> Any:
    body = numbers_and_bodies(data, at, stop).get(1)
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError as error:
        raise ProtobufError(f"an embedded object is no JSON: {error}") from None


def _write_raw(value: Any) -> bytes:
    return b"\n" + varint.sized(orjson.dumps(value)) if value is not None else b""


def _read_strings(data: bytes, at: int, stop: int) -> list[str]:
    found = []
    while at < stop:
        tag, at = varint.read(data, at)
        if tag != 10:
            at = varint.skip(data, at, tag & 7, stop)
            continue
        size, start = varint.read(data, at)
        at = start + size
        if at > stop:
            raise ProtobufError("unexpected EOF")
        found.append(read_string(data, start, at))
    return found


def _write_strings(value: list[str]) -> bytes:
    return b"".join(b"\n" + varint.sized(each.encode()) for each in value)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FORMS: Final = {
    "string": Form(read_string, write_string),
    "bytes": Form(_read_bytes, _write_bytes),
    "quantity": Form(_read_quantity, _write_quantity),
    "int-or-string": Form(_read_int_or_string, _write_int_or_string),
    "time": Form(_read_time, _write_time),
    "micro-time": Form(_read_micro_time, _write_micro_time),
    "duration": Form(_read_duration, _write_duration),
    "raw": Form(_read_raw, _write_raw),
    "strings": Form(_read_strings, _write_strings),
}
"""All forms by the name that the packed tables use."""
