"""NaCl's secretbox: XSalsa20 hides, Poly1305 guards. All blocks of a message are made side by side in large integers.

Ref: https://nacl.cr.yp.to/secretbox.html, https://cr.yp.to/snuffle/xsalsa-20110204.pdf
"""

import struct
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
_TAG: Final = 16
_BLOCK: Final = 64
_SIGMA: Final = struct.unpack("<4I", b"expand 32-byte k")
_WORD: Final = 0xFFFF_FFFF
_COLUMNS: Final = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS: Final = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))
_QUARTERS: Final = (*_COLUMNS, *_ROWS)


def seal(key: bytes, nonce: bytes, data: bytes) -> bytes:
    """The tag and the ciphertext; a nonce is used once."""
    pad, guard = _streams(key, nonce, len(data))
    hidden = _xor(data, pad)
    return Poly1305.generate_tag(guard, hidden) + hidden


def open_box(key: bytes, nonce: bytes, box: bytes) -> bytes:
    """What was sealed. Raises ValueError when it was changed."""
    tag, hidden = box[:_TAG], box[_TAG:]
    pad, guard = _streams(key, nonce, len(hidden))
    try:
        Poly1305.verify_tag(guard, hidden, tag)
    except InvalidSignature:
        raise ValueError("the value was changed") from None
    return _xor(hidden, pad)


def _streams(key: bytes, nonce: bytes, length: int) -> tuple[bytes, bytes]:
    """What hides so many bytes, and the key that guards them: both are of one stream."""
    words, place = struct.unpack("<8I", key), struct.unpack("<6I", nonce)
    first = _rounds(_state(words, place[:4]), _WORD)
    subkey = (*(first[at] for at in (0, 5, 10, 15)), *first[6:10])
    blocks = (KEY_BYTES + length + _BLOCK - 1) // _BLOCK
    # One lane of 64 bits for each block: sums overflow into its upper half, which is cut off.
    ones = int.from_bytes(b"\1\0\0\0\0\0\0\0" * blocks, "little")
    numbers = struct.pack(f"<{blocks}Q", *range(blocks))
    begin = [word * ones for word in _state(subkey, (*place[4:], 0, 0))]
    begin[8] = int.from_bytes(numbers, "little")
    mask = _WORD * ones
    mixed = _rounds(begin, mask)
    lanes = [((one + two) & mask).to_bytes(8 * blocks, "little") for one, two in zip(mixed, begin, strict=True)]
    stream = bytearray(_BLOCK * blocks)
    for word, lane in enumerate(lanes):
        for byte in range(4):
            stream[4 * word + byte :: _BLOCK] = lane[byte::8]
    return bytes(stream[KEY_BYTES : KEY_BYTES + length]), bytes(stream[:KEY_BYTES])


def _state(key: Sequence[int], place: Sequence[int]) -> list[int]:
    return [_SIGMA[0], *key[:4], _SIGMA[1], *place, _SIGMA[2], *key[4:], _SIGMA[3]]


def _rounds(begin: Sequence[int], mask: int) -> list[int]:
    """Salsa20's twenty rounds on every lane at once."""
    state = list(begin)
    low = {bits: mask // _WORD * ((1 << bits) - 1) for bits in (7, 9, 13, 18)}
    for _ in range(10):
        for a, b, c, d in _QUARTERS:
            for into, one, two, bits in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                total = (state[one] + state[two]) & mask
                state[into] ^= ((total << bits) & mask) | ((total >> (32 - bits)) & low[bits])
    return state


def _xor(data: bytes, pad: bytes) -> bytes:
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(len(data), "little")
