"""What values in the store are encrypted with: AES-GCM, AES-CBC and NaCl's secretbox, each under a key of its own.

Ref: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/#providers
"""

import os
from collections.abc import Callable, Mapping
from typing import Final, Protocol

SEALED: Final = b"k8s:enc:"
"""What every sealed value begins with."""
_NONCE: Final = 12
_BLOCK: Final = 16


class Cipher(Protocol):
    def seal(self, data: bytes, bound: bytes) -> bytes:
        """A nonce and the ciphertext."""

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Raises ValueError for what was sealed otherwise or changed."""


class Gcm:
    """AES-GCM: whoever changes or moves a value is found out."""

    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(secret)

    def seal(self, data: bytes, bound: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
        except InvalidTag:
            raise ValueError("the value was changed") from None


class _Cbc:
    """AES-CBC with padding, for what clusters of old have: it hides values and does not guard them."""

    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.algorithms import AES

        self._algorithm = AES(secret)

    def seal(self, data: bytes, bound: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, modes
        from cryptography.hazmat.primitives.padding import PKCS7

        nonce, padder = os.urandom(_BLOCK), PKCS7(_BLOCK * 8).padder()
        encryptor = Cipher(self._algorithm, modes.CBC(nonce)).encryptor()
        return nonce + encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, modes
        from cryptography.hazmat.primitives.padding import PKCS7

        decryptor = Cipher(self._algorithm, modes.CBC(sealed[:_BLOCK])).decryptor()
        unpadder = PKCS7(_BLOCK * 8).unpadder()
        return unpadder.update(decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()) + unpadder.finalize()


class _Secretbox:
    """XSalsa20 with Poly1305: whoever changes a value is found out."""

    def __init__(self, secret: bytes) -> None:
        from nacl.secret import SecretBox

        self._box = SecretBox(secret)

    def seal(self, data: bytes, bound: bytes) -> bytes:
        return bytes(self._box.encrypt(data))

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        from nacl.exceptions import CryptoError

        try:
            return self._box.decrypt(sealed)
        except CryptoError:
            raise ValueError("the value was changed") from None


CIPHERS: Final[Mapping[str, Callable[[bytes], Cipher]]] = {"aesgcm": Gcm, "aescbc": _Cbc, "secretbox": _Secretbox}
KEY_BYTES: Final[Mapping[str, tuple[int, ...]]] = {"aesgcm": (16, 24, 32), "aescbc": (16, 24, 32), "secretbox": (32,)}
