"""Values under the keys of a key management plugin (KMS v2): it keeps one seed secret, from which each has its own key.

The plugin is asked for its state every minute, and to seal a new seed when it has another key; what it sealed it opens
once. Ref: https://kubernetes.io/docs/tasks/administer-cluster/kms-provider/
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery.errors import Errors
from mizzen.net.rpc import Channel, Refused
from mizzen.server.ciphers import SEALED, Gcm
from mizzen.wire import kms
from mizzen.wire.protobuf import DecodeError

HEALTHY_SECONDS: Final = 60.0
AILING_SECONDS: Final = 10.0
"""How long until the plugin is asked for its state again, while it does well and while it does not."""
COAST_SECONDS: Final = 180.0
"""For how long values are written with the last seed when the plugin does not answer."""
_SEED_BYTES: Final = 32
_INFO_BYTES: Final = 32
_MOST_SEALED: Final = 1024
_MOST_SEEDS: Final = 4096
_log = log.get("kms")


@dataclass(frozen=True, slots=True)
class _Seed:
    """What values are written with, and how the plugin sealed it."""

    secret: bytes
    source: bytes
    key_id: str
    annotations: Mapping[str, bytes]


class Kms:
    """One plugin at a unix socket; `refresh` before the first value is written, then `run`. `patience` is seconds."""

    def __init__(self, name: str, socket: str, patience: float, clock: Clock) -> None:
        self.name = name
        self.prefix = SEALED + f"kms:v2:{name}:".encode()
        self.problem = "it has not been asked yet"
        """What is wrong with the plugin; empty while all is well."""
        self._channel = Channel(socket)
        self._patience = patience
        self._clock = clock
        self._seed: _Seed | None = None
        self._valid_until = 0.0
        self._seeds: dict[bytes, bytes] = {}
        """Seeds by what the plugin made of them."""

    async def run(self) -> None:
        """Ask the plugin for its state again and again."""
        while True:
            await self._clock.sleep(AILING_SECONDS if self.problem else HEALTHY_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Ask for the plugin's state, and let it seal a new seed when it has another key."""
        try:
            problem = await self._refreshed()
        except (Refused, DecodeError) as error:
            problem = str(error)
        if problem and problem != self.problem:
            _log.warning("key management plugin not well", plugin=self.name, problem=problem)
        self.problem = problem

    async def close(self) -> None:
        """Let go of the plugin."""
        await self._channel.close()

    async def fetch(self, sealed: bytes) -> None:
        """Have the seed that opens a value. Raises ValueError when the plugin does not give it."""
        value = kms.decode("EncryptedObject", sealed)
        source = value["encryptedDEKSource"]
        if source in self._seeds:
            return
        asked = {"ciphertext": source, "key_id": value["keyID"], "annotations": value["annotations"]}
        try:
            answer = await self._call("Decrypt", {**asked, "uid": str(uuid.uuid4())})
        except Refused as error:
            raise ValueError(f"key management plugin {self.name!r}: {error}") from error
        self._remember(source, answer["plaintext"])

    def seal(self, data: bytes, bound: bytes) -> bytes:
        """Raises ApiError when the plugin has not answered for some minutes."""
        seed = self._seed
        if seed is None or self._clock.monotonic() > self._valid_until:
            raise Errors.internal(f"key management plugin {self.name!r} is not well: {self.problem}")
        info = os.urandom(_INFO_BYTES)
        value = {
            "encryptedData": info + _derived(seed.secret, info).seal(data, bound),
            "keyID": seed.key_id,
            "encryptedDEKSource": seed.source,
            "annotations": seed.annotations,
            "encryptedDEKSourceType": kms.SEED,
        }
        return kms.encode("EncryptedObject", value)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """Raises ValueError, also for a value whose seed was not fetched."""
        value = kms.decode("EncryptedObject", sealed)
        secret, data = self._seeds.get(value["encryptedDEKSource"]), value["encryptedData"]
        if secret is None:
            raise ValueError("the key management plugin was not asked for its key")
        if value["encryptedDEKSourceType"] != kms.SEED:
            return Gcm(secret).open(data, bound)
        return _derived(secret, data[:_INFO_BYTES]).open(data[_INFO_BYTES:], bound)

    def is_current(self, sealed: bytes) -> bool:
        try:
            key_id = kms.decode("EncryptedObject", sealed)["keyID"]
        except DecodeError:
            return False
        return self._seed is not None and self._seed.key_id == str(key_id)

    async def _refreshed(self) -> str:
        """What is wrong now. Raises Refused, DecodeError."""
        status = await self._call("Status", {})
        if status["version"] not in kms.VERSIONS:
            return f"it speaks version {status['version']!r}, not {kms.VERSIONS[0]}"
        if status["healthz"] != "ok":
            return f"it says of itself: {status['healthz']}"
        if not status["key_id"]:
            return "it does not tell the name of its key"
        if self._seed is None or self._seed.key_id != status["key_id"]:
            secret = os.urandom(_SEED_BYTES)
            answer = await self._call("Encrypt", {"plaintext": secret, "uid": str(uuid.uuid4())})
            source = answer["ciphertext"]
            if not answer["key_id"] or not 0 < len(source) <= _MOST_SEALED:
                return f"it sealed {_SEED_BYTES} bytes to {len(source)} with the key {answer['key_id']!r}"
            self._seed = _Seed(secret, source, answer["key_id"], answer["annotations"])
            self._remember(source, secret)
            _log.info("new seed", plugin=self.name, key=answer["key_id"])
        self._valid_until = self._clock.monotonic() + COAST_SECONDS
        return ""

    async def _call(self, call: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises Refused, DecodeError."""
        data = kms.encode(f"{call}Request", request)
        return kms.decode(f"{call}Response", await self._channel.call(kms.method(call), data, patience=self._patience))

    def _remember(self, source: bytes, secret: bytes) -> None:
        if len(self._seeds) >= _MOST_SEEDS:
            del self._seeds[next(iter(self._seeds))]
        self._seeds[source] = secret


def _derived(seed: bytes, info: bytes) -> Gcm:
    """A key for one value alone. Ref: RFC 5869, 2.3"""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    return Gcm(HKDFExpand(SHA256(), 32, info).derive(seed))
