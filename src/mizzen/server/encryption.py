"""Encryption at rest: AES-GCM around the stored bytes of the resources that a configuration names.

A sealed value is a prefix that names the key, a nonce and the ciphertext, bound to the storage key it is stored
under. The first key of a resource writes, all of them read, so that keys can be rotated.
Ref: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX: Final = b"k8s:enc:aesgcm:v1:"
_NONCE: Final = 12
_KEY_BYTES: Final = 32
_sealed = re.compile(rb"k8s:enc:([a-z0-9]+):v1:([^:]+):").match


class Unreadable(Exception):
    """A stored value was sealed with a key that is not configured, or was tampered with."""


@dataclass(frozen=True, slots=True)
class Key:
    """A named AES key of 16, 24 or 32 bytes; without a secret, values are stored as they are."""

    name: str
    secret: bytes


class Encryption:
    """Seals and opens values, by the storage prefix of their kind (`secrets`, `configmaps`)."""

    def __init__(self, keys: Mapping[str, Sequence[Key]]) -> None:
        self._keys = {storage: tuple(held) for storage, held in keys.items()}
        self._ciphers: dict[bytes, AESGCM] = {}

    @property
    def storages(self) -> tuple[str, ...]:
        """The storage prefixes that are configured."""
        return tuple(self._keys)

    def seal(self, storage: str, key: str, data: bytes) -> bytes:
        """The bytes to store."""
        held = self._keys.get(storage)
        if not held or not held[0].secret:
            return data
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(held[0].secret).encrypt(nonce, data, key.encode())
        return b"%b%b:%b%b" % (PREFIX, held[0].name.encode(), nonce, sealed)

    def open(self, storage: str, key: str, data: bytes) -> bytes:
        """The bytes that were sealed; what is not sealed is answered as it is. Raises Unreadable."""
        if not data.startswith(b"k8s:enc:"):
            return data
        match = _sealed(data)
        if match is None or match[1] != b"aesgcm":
            raise Unreadable(f"{storage}/{key}: sealed by an unknown provider")
        from cryptography.exceptions import InvalidTag

        name, body = match[2].decode(), data[match.end() :]
        for held in self._keys.get(storage, ()):
            if held.name != name or not held.secret:
                continue
            try:
                return self._cipher(held.secret).decrypt(body[:_NONCE], body[_NONCE:], key.encode())
            except InvalidTag:
                continue
        raise Unreadable(f"{storage}/{key}: no matching key {name!r}, or the value was changed")

    def is_current(self, storage: str, data: bytes) -> bool:
        """Whether a stored value is as it would be written today."""
        held = self._keys.get(storage)
        if not held or not held[0].secret:
            return not data.startswith(b"k8s:enc:")
        return data.startswith(b"%b%b:" % (PREFIX, held[0].name.encode()))

    def _cipher(self, secret: bytes) -> "AESGCM":
        known = self._ciphers.get(secret)
        if known is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            known = self._ciphers[secret] = AESGCM(secret)
        return known


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
    if "aesgcm" not in provider:
        raise ValueError(f"encryption provider {next(iter(provider), '')!r} is not supported: use aesgcm or identity")
    found: list[Key] = []
    for key in provider["aesgcm"].get("keys") or ():
        try:
            secret = base64.b64decode(key["secret"], validate=True)
        except binascii.Error:
            raise ValueError(f"key {key['name']!r} is not in base64") from None
        if len(secret) not in (16, 24, 32):
            raise ValueError(f"key {key['name']!r} must have 16, 24 or 32 bytes")
        found.append(Key(key["name"], secret))
    return found
