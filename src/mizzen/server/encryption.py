"""Encryption at rest: around the stored bytes of the resources that a configuration names.

A sealed value begins with a prefix that names the provider and the key; AES-GCM binds it to the storage key it is
stored under. The first provider of a resource writes, all of them read, so that keys can be rotated.
Ref: https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
"""

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from mizzen.api.kinds import KINDS
from mizzen.base.clock import Clock, SystemClock
from mizzen.machinery import times
from mizzen.server.ciphers import CIPHERS, KEY_BYTES, SEALED, Cipher

_SYSTEM: Final = SystemClock()
_SOCKET: Final = "unix://"
_PATIENCE: Final = "3s"
_EVERYTHING: Final = "*/*"
_SHORT_GROUPS: Final = frozenset(kind.group for kind in KINDS if kind.group and "." not in kind.group)
"""Groups without a dot, which only built-in ones may be."""

if TYPE_CHECKING:
    from mizzen.server.kms import Kms


class Unreadable(Exception):
    """A stored value was sealed with a key that is not configured, or was tampered with."""


class Provider(Protocol):
    """One way to keep values."""

    @property
    def prefix(self) -> bytes:
        """What values that it sealed begin with; empty: values are kept as they are."""

    def seal(self, data: bytes, bound: bytes) -> bytes:
        """What is stored behind the prefix. Raises ApiError when it cannot now."""

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was sealed, from what is behind the prefix. Raises ValueError."""

    def is_current(self, sealed: bytes) -> bool:
        """Whether it would be sealed with the same key today."""

    async def fetch(self, sealed: bytes) -> None:
        """Have what is needed to open a value. Raises ValueError when it cannot be had."""


@dataclass(frozen=True, slots=True)
class Key:
    """A named key of one of the ciphers; without a secret, values are stored as they are."""

    name: str
    secret: bytes
    provider: str = "aesgcm"

    @property
    def prefix(self) -> bytes:
        return SEALED + f"{self.provider}:v1:{self.name}:".encode() if self.secret else b""

    def seal(self, data: bytes, bound: bytes) -> bytes:
        return _cipher(self.provider, self.secret).seal(data, bound) if self.secret else data

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        return _cipher(self.provider, self.secret).open(sealed, bound)

    def is_current(self, sealed: bytes) -> bool:
        return True

    async def fetch(self, sealed: bytes) -> None:
        """The key is at hand."""


@lru_cache(maxsize=64)
def _cipher(provider: str, secret: bytes) -> Cipher:
    return CIPHERS[provider](secret)


class Encryption:
    """Seals and opens values, by the storage prefix of their kind (`secrets`, `apps/deployments`).

    Rules are asked in their order, `*` stands for any group or plural: `*/*`, `apps/*`, `*` (the core group).
    """

    def __init__(
        self, rules: Mapping[str, Sequence[Provider]], own: Key | None = None, plugins: "Sequence[Kms]" = ()
    ) -> None:
        """The data directory's `own` key opens Secrets, and seals those that none else does.

        `plugins`: the key management plugins among the providers.
        """
        self.plugins = tuple(plugins)
        self._rules = {pattern: tuple(providers) for pattern, providers in rules.items()}
        self._own = own
        self._known: dict[str, tuple[Provider, ...]] = {}

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Where in the store there are values that a rule is about; all begin with the empty prefix."""
        if any("*" in pattern for pattern in self._rules):
            return ("",)
        return tuple(f"{storage}/" for storage in ({*self._rules, "secrets"} if self._own else self._rules))

    async def fetch(self, storage: str, key: str, data: bytes) -> None:
        """Have what is needed to open a sealed value. Raises Unreadable when a plugin does not give it."""
        for held in self.providers(storage):
            if held.prefix and data.startswith(held.prefix):
                try:
                    await held.fetch(data[len(held.prefix) :])
                except ValueError as error:
                    raise Unreadable(f"{key}: {error}") from error

    def providers(self, storage: str) -> tuple[Provider, ...]:
        """Those of a kind, the one that writes first."""
        known = self._known.get(storage)
        if known is None:
            found = next((held for pattern, held in self._rules.items() if covers(pattern, storage)), ())
            known = (*found, self._own) if self._own is not None and storage == "secrets" else found
            self._known[storage] = known
        return known

    def seal(self, storage: str, key: str, data: bytes) -> bytes:
        """The bytes to store. Raises ApiError when a key cannot be had now."""
        held = self.providers(storage)
        if not held or not held[0].prefix:
            return data
        return held[0].prefix + held[0].seal(data, key.encode())

    def open(self, storage: str, key: str, data: bytes) -> bytes:
        """The bytes that were sealed; what is not sealed is answered as it is. Raises Unreadable."""
        if not data.startswith(SEALED):
            return data
        why = "no provider that is configured for it has sealed it"
        for held in self.providers(storage):
            prefix = held.prefix
            if not prefix or not data.startswith(prefix):
                continue
            try:
                return held.open(data[len(prefix) :], key.encode())
            except ValueError as error:
                why = str(error)
        named = b":".join(data.split(b":", 5)[2:5]).decode("utf-8", "replace")
        raise Unreadable(f"{key}: no matching key {named!r}, or the value was changed ({why})")

    def is_current(self, storage: str, data: bytes) -> bool:
        """Whether a stored value is as it would be written today."""
        held = self.providers(storage)
        if not held or not held[0].prefix:
            return not data.startswith(SEALED)
        return data.startswith(held[0].prefix) and held[0].is_current(data[len(held[0].prefix) :])


def storage_of(key: str) -> str:
    """The storage prefix of a key in the store: `secrets` of `secrets/shop/a`."""
    first, _, rest = key.partition("/")
    return f"{first}/{rest.partition('/')[0]}" if "." in first or first in _SHORT_GROUPS else first


def covers(pattern: str, storage: str) -> bool:
    """Whether a rule is about a kind, or about all the kinds that another rule is about."""
    if pattern in (_EVERYTHING, storage):
        return True
    if pattern == "*":
        return "/" not in storage
    return pattern.endswith("/*") and storage.startswith(pattern[:-1])


def generated(path: Path) -> Encryption:
    """Secrets under a key of this data directory's own, made at the first start."""
    return Encryption({}, _generated_key(path))


def from_file(path: Path, key_path: Path, clock: Clock = _SYSTEM) -> Encryption:
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
    return configured(configuration, _generated_key(key_path), clock)


def _generated_key(path: Path) -> Key:
    if not path.exists():
        draft = path.with_name(f".{path.name}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(32)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return Key("generated", base64.b64decode(path.read_bytes()))


def configured(configuration: Mapping[str, Any], own: Key | None = None, clock: Clock = _SYSTEM) -> Encryption:
    """From an EncryptionConfiguration, and the data directory's own key. Raises ValueError."""
    rules: dict[str, Sequence[Provider]] = {}
    plugins: dict[str, Kms] = {}
    for entry in configuration.get("resources") or ():
        held: list[Provider] = []
        for provider in entry.get("providers") or ():
            held += (_plugin(provider["kms"], plugins, clock),) if "kms" in provider else _keys(provider)
        for resource in entry.get("resources") or ():
            pattern = _pattern(str(resource))
            masking = next((one for one in rules if one != pattern and covers(one, pattern)), None)
            if masking is not None:
                raise ValueError(f"resource {resource!r} is covered by a wildcard before it, so it would mean nothing")
            rules.setdefault(pattern, held)
    return Encryption(rules, own, tuple(plugins.values()))


def _pattern(resource: str) -> str:
    """A rule's resources as storage prefixes: `apps/*` of `*.apps`. Raises ValueError."""
    plural, dot, group = resource.partition(".")
    if "*" in resource and (plural != "*" or not dot or ("*" in group and group != "*")):
        raise ValueError(f"resource {resource!r} is no wildcard: there are '*.*', '*.' and '*.GROUP'")
    return f"{group}/{plural}" if group else plural


def _plugin(given: Mapping[str, Any], others: "dict[str, Kms]", clock: Clock) -> "Kms":
    """A key management plugin; its name is another one than those of the others. Raises ValueError."""
    from mizzen.server.kms import Kms  # lazily: most servers have their keys at hand

    name, endpoint, version = given.get("name") or "", given.get("endpoint") or "", given.get("apiVersion") or "v1"
    if not name or ":" in name or name in others:
        raise ValueError(f"a kms provider needs a name of its own without a colon, which {name!r} is not")
    if version != "v2":
        raise ValueError(f"kms provider {name!r}: apiVersion {version} is not supported, v2 is")
    if not endpoint.startswith(f"{_SOCKET}/"):
        raise ValueError(f"kms provider {name!r}: the endpoint is a socket such as unix:///run/kms.sock")
    patience = times.parse_duration(str(given.get("timeout") or _PATIENCE))
    if patience <= 0:
        raise ValueError(f"kms provider {name!r}: the timeout must be longer than nothing")
    others[name] = Kms(name, endpoint.removeprefix(_SOCKET), patience, clock)
    return others[name]


def _keys(provider: Mapping[str, Any]) -> Iterator[Provider]:
    if "identity" in provider:
        yield Key("identity", b"")
        return
    name = next(iter(provider), "")
    if name not in CIPHERS:
        raise ValueError(f"encryption provider {name!r} is not supported: use {', '.join(CIPHERS)}, kms or identity")
    for key in provider[name].get("keys") or ():
        try:
            secret = base64.b64decode(key["secret"], validate=True)
        except binascii.Error:
            raise ValueError(f"key {key['name']!r} is not in base64") from None
        if len(secret) not in KEY_BYTES[name]:
            raise ValueError(f"key {key['name']!r} must have {_either(KEY_BYTES[name])} bytes")
        yield Key(key["name"], secret, name)


def _either(numbers: Sequence[int]) -> str:
    """`16, 24 or 32`."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last
