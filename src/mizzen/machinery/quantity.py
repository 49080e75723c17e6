"""Quantities (`500m`, `1.5Gi`, `1e3`): parsed exactly, kept as whole nanos, printed in Kubernetes' canonical form.

A nano is the finest step a quantity has; anything finer is rounded away from zero.
Ref: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

FORMAT_PROBLEM = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SUFFIX_PROBLEM = "unable to parse quantity's suffix"

_shape = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*)([-+]?[0-9]*)").fullmatch

NANO = 10**9
_LARGEST = (2**63 - 1) * NANO
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


class Format(Enum):
    """The family of suffixes a quantity was written with, which its canonical form keeps."""

    DECIMAL = "DecimalSI"
    BINARY = "BinarySI"
    EXPONENT = "DecimalExponent"


class Quantity(NamedTuple):
    """An amount in nanos and the form it was written in; compare and add by `nanos`."""

    nanos: int
    format: Format = Format.DECIMAL

    def __str__(self) -> str:
        return _canonical(self)

    def plus(self, other: "Quantity") -> "Quantity":
        """The sum, in the form of the first unless that is zero."""
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def minus(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    @property
    def value(self) -> int:
        """The amount in whole units, rounded up: bytes, or cores."""
        return -(-self.nanos // NANO)

    @property
    def milli(self) -> int:
        """The amount in thousandths, rounded up: millicores."""
        return -(-self.nanos // 10**6)

    @property
    def is_whole(self) -> bool:
        return self.nanos % NANO == 0


ZERO = Quantity(0)


@lru_cache(maxsize=8192)
def parse(text: str | int | float) -> Quantity:
    """The quantity that a JSON string or number stands for.

    Raises: ValueError in Kubernetes' words.
    """
    match = _shape(str(text).strip() if not isinstance(text, bool) else "")
    if match is None or not (match[2] or match[3]):
        raise ValueError(FORMAT_PROBLEM)
    sign, whole, fraction, letters, tail = match.groups()
    fraction = fraction or ""
    digits = int(whole + fraction) if whole + fraction else 0
    format_, base, exponent = _suffix(letters, tail)
    nanos = _nanos(digits, len(fraction), base, exponent)
    if format_ is Format.BINARY and 0 < nanos < NANO:
        format_ = Format.DECIMAL
    nanos = min(nanos, _LARGEST)
    return Quantity(-nanos if sign == "-" else nanos, format_)


def _suffix(letters: str, tail: str) -> tuple[Format, int, int]:
    if not tail and letters in _DECIMAL:
        return Format.DECIMAL, 10, _DECIMAL[letters]
    if not tail and letters in _BINARY:
        return Format.BINARY, 2, _BINARY[letters]
    if letters in {"e", "E"} and tail not in {"", "+", "-"}:
        return Format.EXPONENT, 10, max(-1000, min(1000, int(tail)))
    raise ValueError(_SUFFIX_PROBLEM)


def _nanos(digits: int, places: int, base: int, exponent: int) -> int:
    if base == 2:
        divisor: int = 10**places
        return -(-(digits * NANO << exponent) // divisor)
    power = 9 + exponent - places
    scale: int = 10 ** abs(power)
    return digits * scale if power >= 0 else -(-digits // scale)


def _canonical(quantity: Quantity) -> str:
    nanos, format_ = quantity
    if nanos == 0:
        return "0"
    if format_ is Format.BINARY and abs(nanos) >= 1024 * NANO:
        amount, power = _round_up(nanos), 0
        while amount % 1024 == 0 and power < 6:
            amount, power = amount // 1024, power + 1
        return f"{amount}{_BINARY_SUFFIX[power]}"
    exponent = -9
    while nanos % 1000 == 0 and exponent < 18:
        nanos, exponent = nanos // 1000, exponent + 3
    if format_ is Format.EXPONENT:
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{_DECIMAL_SUFFIX[exponent]}"


def _round_up(nanos: int) -> int:
    """Whole units, away from zero."""
    return -(-nanos // NANO) if nanos > 0 else nanos // NANO


@lru_cache(maxsize=8192)
def canonical(text: str | int | float) -> str:
    """The form in which the API server keeps a quantity: `1000m` is `1`, `0.5Gi` is `512Mi`.

    Raises: ValueError in Kubernetes' words.
    """
    return _canonical(parse(text))


def is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def millicores(text: str | int | float) -> int:
    return parse(text).milli


def in_bytes(text: str | int | float) -> int:
    return parse(text).value


def compare(left: str | int | float, right: str | int | float) -> int:
    """Negative, zero or positive as left is less than, equal to or more than right."""
    return (parse(left).nanos > parse(right).nanos) - (parse(left).nanos < parse(right).nanos)


def add(left: str | int | float, right: str | int | float) -> str:
    return _canonical(parse(left).plus(parse(right)))


def subtract(left: str | int | float, right: str | int | float) -> str:
    return _canonical(parse(left).minus(parse(right)))
