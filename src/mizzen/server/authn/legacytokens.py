"""Fills Secrets of type kubernetes.io/service-account-token with a token that lasts as long as the Secret.

Ref: https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
"""

import asyncio
import base64
from collections.abc import Mapping
from typing import Final

from mizzen.api.core.secret import SECRET
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.base import log
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.authn.jwt import SigningKeys
from mizzen.server.authn.serviceaccounts import LEGACY_ISSUER, LEGACY_TYPE, username
from mizzen.server.seams import Reader, Writer

NAME_ANNOTATION: Final = "kubernetes.io/service-account.name"
UID_ANNOTATION: Final = "kubernetes.io/service-account.uid"
_PREFIX: Final = "kubernetes.io/serviceaccount/"
_log = log.get("legacytokens")


class LegacyTokens:
    """Follows Secrets and completes, or removes, those that hold tokens; `run` until cancelled."""

    def __init__(self, keys: SigningKeys, ca: str, reader: Reader, writer: Writer) -> None:
        self._keys = keys
        self._ca = ca
        self._reader = reader
        self._writer = writer
        self._due: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def run(self) -> None:
        """Bring every such Secret in line with its account, then keep it so."""
        self._reader.subscribe(SECRET, self._secret_changed)
        self._reader.subscribe(SERVICE_ACCOUNT, self._account_changed)
        while True:
            namespace, name = await self._due.get()
            try:
                await self._settle(namespace, name)
            except ApiError as error:
                _log.warning("token secret not written", namespace=namespace, name=name, error=str(error))

    def _secret_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        if new is not None and new.get("type") == LEGACY_TYPE:
            self._due.put_nowait((new["metadata"]["namespace"], new["metadata"]["name"]))

    def _account_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        metadata = (new or old or {})["metadata"]
        for secret in self._reader.list(SECRET, metadata["namespace"]):
            if _account_of(secret) == metadata["name"]:
                self._secret_changed("", None, secret)

    async def _settle(self, namespace: str, name: str) -> None:
        secret = self._reader.get(SECRET, namespace, name)
        if secret is None or not _account_of(secret):
            return
        account = self._reader.get(SERVICE_ACCOUNT, namespace, _account_of(secret))
        uid = account["metadata"]["uid"] if account is not None else ""
        held = (secret["metadata"].get("annotations") or {}).get(UID_ANNOTATION, uid)
        if account is None or held != uid:
            # The account is gone, or another one has its name by now.
            if UID_ANNOTATION in secret["metadata"]["annotations"]:
                await self._writer.delete(SECRET, namespace, name)
            return
        wanted = self._data(secret, account)
        if any(key not in (secret.get("data") or {}) for key in wanted):
            await self._writer.modify(SECRET, namespace, name, lambda stored: _complete(stored, wanted, uid))

    def _data(self, secret: Object, account: Object) -> Mapping[str, str]:
        held, metadata = secret.get("data") or {}, account["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        claims = {
            "iss": LEGACY_ISSUER,
            "sub": username(namespace, name),
            f"{_PREFIX}namespace": namespace,
            f"{_PREFIX}secret.name": secret["metadata"]["name"],
            f"{_PREFIX}service-account.name": name,
            f"{_PREFIX}service-account.uid": metadata["uid"],
        }
        texts = {"namespace": namespace, **({"ca.crt": self._ca} if self._ca else {})}
        if "token" not in held:
            texts["token"] = self._keys.sign(claims)
        return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def _account_of(secret: Object) -> str:
    """The account that a token Secret names; empty for other Secrets."""
    if secret.get("type") != LEGACY_TYPE:
        return ""
    return str((secret["metadata"].get("annotations") or {}).get(NAME_ANNOTATION, ""))


def _complete(secret: Object, data: Mapping[str, str], uid: str) -> None:
    secret["data"] = {**data, **(secret.get("data") or {})}
    secret["metadata"]["annotations"][UID_ANNOTATION] = uid
