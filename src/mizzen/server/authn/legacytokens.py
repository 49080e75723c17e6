"""Fills Secrets of type kubernetes.io/service-account-token with a token that lasts as long as the Secret.

Ref: https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets
"""

import asyncio
import base64
from collections.abc import Mapping
from functools import partial
from typing import Final

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.secret import SECRET
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.authn.jwt import SigningKeys
from mizzen.server.authn.serviceaccounts import LAST_USED, LEGACY_ISSUER, LEGACY_TYPE, username
from mizzen.server.seams import Reader, Writer

NAME_ANNOTATION: Final = "kubernetes.io/service-account.name"
UID_ANNOTATION: Final = "kubernetes.io/service-account.uid"
_TRACKING: Final = ("kube-system", "kube-apiserver-legacy-service-account-token-tracking")
_PREFIX: Final = "kubernetes.io/serviceaccount/"
_log = log.get("legacytokens")


class LegacyTokens:
    """Follows Secrets and completes, or removes, those that hold tokens; `run` until cancelled."""

    def __init__(self, keys: SigningKeys, ca: str, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._keys = keys
        self._ca = ca
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._uses: set[tuple[str, str]] = set()
        self._due: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def run(self) -> None:
        """Bring every such Secret in line with its account, then keep it so."""
        self._reader.subscribe(SECRET, self._secret_changed)
        self._reader.subscribe(SERVICE_ACCOUNT, self._account_changed)
        await self._track()
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

    def used(self, namespace: str, name: str) -> None:
        """Note that somebody used a token today."""
        self._uses.add((namespace, name))
        self._due.put_nowait((namespace, name))

    async def _track(self) -> None:
        """Say since when uses are noted: what was not used before that is not known."""
        if self._reader.get(CONFIG_MAP, *_TRACKING) is not None:
            return
        namespace, name = _TRACKING
        made = {"name": name, "namespace": namespace}
        body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": made, "data": {"since": self._today()}}
        try:
            await self._writer.create(CONFIG_MAP, namespace, body)
        except ApiError as error:
            _log.warning("use of token secrets is not tracked", error=str(error))

    def _today(self) -> str:
        return times.format(self._clock.now())[:10]

    async def _settle(self, namespace: str, name: str) -> None:
        secret = self._reader.get(SECRET, namespace, name)
        if secret is None or not _account_of(secret):
            return
        if (namespace, name) in self._uses:
            self._uses.discard((namespace, name))
            await self._writer.modify(SECRET, namespace, name, partial(_mark_used, self._today()))
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


def _mark_used(day: str, secret: Object) -> None:
    secret["metadata"]["labels"] = {**(secret["metadata"].get("labels") or {}), LAST_USED: day}


def _complete(secret: Object, data: Mapping[str, str], uid: str) -> None:
    secret["data"] = {**data, **(secret.get("data") or {})}
    secret["metadata"]["annotations"][UID_ANNOTATION] = uid
