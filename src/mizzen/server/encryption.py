"""Encryption at rest: AES around the stored bytes of the resources that a configuration names.

A sealed value is a prefix that names the provider and the key, a nonce and the ciphertext; AES-GCM binds it to the
storage key it is stored under. The first key of a resource writes, all of them read, so that keys can be rotated.
Ref: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

_NONCE: Final = 12
_BLOCK: Final = 16
_KEY_BYTES: Final = 32
_sealed = re.compile(rb"k8s:enc:([a-z0-9]+):v1:([^:]+):").match


class Unreadable(Exception):
    """A stored value was sealed with a key that is not configured, or was tampered with."""


@dataclass(frozen=True, slots=True)
class Key:
    """A named AES key of 16, 24 or 32 bytes; without a secret, values are stored as they are."""

    name: str
    secret: bytes
    provider: str = "aesgcm"

    @property
    def prefix(self) -> bytes:
        """What values that it seals begin with."""
        return f"k8s:enc:{self.provider}:v1:{self.name}:".encode()


class Encryption:
    """Seals and opens values, by the storage prefix of their kind (`secrets`, `configmaps`)."""

    def __init__(self, keys: Mapping[str, Sequence[Key]]) -> None:
        self._keys = {storage: tuple(held) for storage, held in keys.items()}
        self._ciphers: dict[Key, _Cipher] = {}

    @property
    def storages(self) -> tuple[str, ...]:
        """The storage prefixes that are configured."""
        return tuple(self._keys)

    def seal(self, storage: str, key: str, data: bytes) -> bytes:
        """The bytes to store."""
        held = self._keys.get(storage)
        if not held or not held[0].secret:
            return data
        return held[0].prefix + self._cipher(held[0]).seal(data, key.encode())

    def open(self, storage: str, key: str, data: bytes) -> bytes:
        """The bytes that were sealed; what is not sealed is answered as it is. Raises Unreadable."""
        if not data.startswith(b"k8s:enc:"):
            return data
        match = _sealed(data)
        if match is None or match[1].decode() not in _CIPHERS:
            raise Unreadable(f"{storage}/{key}: sealed by an unknown provider")
        for held in self._keys.get(storage, ()):
            if not held.secret or held.prefix != match[0]:
                continue
            try:
                return self._cipher(held).open(data[match.end() :], key.encode())
            except ValueError:
                continue
        raise Unreadable(f"{storage}/{key}: no matching key {match[2].decode()!r}, or the value was changed")

    def is_current(self, storage: str, data: bytes) -> bool:
        """Whether a stored value is as it would be written today."""
        held = self._keys.get(storage)
        if not held or not held[0].secret:
            return not data.startswith(b"k8s:enc:")
        return data.startswith(held[0].prefix)

    def _cipher(self, key: Key) -> "_Cipher":
        known = self._ciphers.get(key)
        if known is None:
            known = self._ciphers[key] = _CIPHERS[key.provider](key.secret)
        return known


class _Cipher(Protocol):
    def seal(self, data: bytes, bound: bytes) -> bytes:
        """A nonce and the ciphertext."""

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Raises ValueError for what was sealed otherwise or changed."""


class _Gcm:
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


_CIPHERS: Final[Mapping[str, Callable[[bytes], _Cipher]]] = {"aesgcm": _Gcm, "aescbc": _Cbc}


def generated(path: Path) -> Encryption:
    """Secrets under a key of this data directory's own, made at the first start."""
    return Encryption({"secrets": (_generated_key(path),)})


def from_file(path: Path, key_path: Path) -> Encryption:
    """What a file with an EncryptionConfiguration says; the data directory's own key still opens Secrets.

    Raises ValueError.
    """
    import yaml

    try:
        configuration = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {error}") from None
    if not isinstance(configuration, dict) or configuration.get("kind") != "EncryptionConfiguration":
        raise ValueError("no EncryptionConfiguration")
    return configured(configuration, _generated_key(key_path))


def _generated_key(path: Path) -> Key:
    if not path.exists():
        draft = path.with_name(f".{path.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(_KEY_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return Key("generated", base64.b64decode(path.read_bytes()))


def configured(configuration: Mapping[str, Any], own: Key | None = None) -> Encryption:
    """From an EncryptionConfiguration. The data directory's own key opens Secrets, and seals those that none else does.

    Raises ValueError.
    """
    keys: dict[str, list[Key]] = {}
    for entry in configuration.get("resources") or ():
        held: list[Key] = []
        for provider in entry.get("providers") or ():
            held.extend(_keys(provider))
        for resource in entry.get("resources") or ():
            plural, _, group = str(resource).partition(".")
            if "*" in resource:
                raise ValueError(f"resources are named one by one, {resource!r} is none")
            keys.setdefault(f"{group}/{plural}" if group else plural, held)
    if own is not None:
        keys["secrets"] = [*keys.get("secrets", ()), own]
    return Encryption(keys)


def _keys(provider: Mapping[str, Any]) -> list[Key]:
    if "identity" in provider:
        return [Key("identity", b"")]
    name = next(iter(provider), "")
    if name not in _CIPHERS:
        raise ValueError(f"encryption provider {name!r} is not supported: use {', '.join(_CIPHERS)} or identity")
    found: list[Key] = []
    for key in provider[name].get("keys") or ():
        try:
            secret = base64.b64decode(key["secret"], validate=True)
        except binascii.Error:
            raise ValueError(f"key {key['name']!r} is not in base64") from None
        if len(secret) not in (16, 24, 32):
            raise ValueError(f"key {key['name']!r} must have 16, 24 or 32 bytes")
        found.append(Key(key["name"], secret, name))
    return found
