"""Credentials of registries from programs of the node, which are asked when an image is pulled.

Ref: https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from mizzen.agent.images.keyring import Credential, fits, from_entries
from mizzen.agent.images.providerconfig import Provider, TokenUse
from mizzen.agent.images.reference import Reference
from mizzen.agent.volumes import tokens
from mizzen.api.views.podspec import Pod
from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import SERVICE_ACCOUNTS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError

_log = log.get("images")
_PATIENCE: Final = 60.0
"""Seconds that a program has for its answer."""
_SOON: Final = 60.0
"""Seconds before its end from which a token is not handed out any more."""
_KINDS: Final = {"Image", "Registry", "Global"}


class ProviderFailure(Exception):
    """A program could not be run, or did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Account:
    """The ServiceAccount of a pod, as far as a program is told of it."""

    namespace: str
    name: str
    uid: str
    annotations: tuple[tuple[str, str], ...] = ()
    token: str = ""

    @property
    def coordinates(self) -> dict[str, str]:
        return {"uid": self.uid, "namespace": self.namespace, "name": self.name}


_Key = tuple[str, str, str, object]
"""Program, kind, what the kind names, and the account or token that the credentials are for."""


@dataclass(slots=True)
class Providers:
    """The programs of one node and what they have answered."""

    client: Client
    clock: Clock
    providers: Sequence[Provider] = ()
    programs: Path = Path("/usr/libexec/kubernetes/image-credential-providers")
    _kept: dict[_Key, tuple[float, tuple[Credential, ...]]] = field(default_factory=dict)
    _tokens: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def credentials(self, pod: Pod, image: Reference) -> tuple[Credential, ...]:
        """What the programs that know the image's registry give for a pod; those that fail give nothing."""
        found: list[Credential] = []
        for provider in self.providers:
            if not any(fits(pattern, image) for pattern in provider.images):
                continue
            try:
                async with self._locks.setdefault(provider.name, asyncio.Lock()):
                    found += await self._of(provider, pod, image)
            except (ProviderFailure, ApiError, ConnectionError, TimeoutError) as error:
                _log.warning("no credentials", provider=provider.name, image=image.name, error=str(error))
        return tuple(found)

    async def _of(self, provider: Provider, pod: Pod, image: Reference) -> tuple[Credential, ...]:
        account = await self._account(provider.token, pod) if provider.token is not None else None
        if account is None and provider.token is not None and provider.token.is_required:
            return ()
        now = self.clock.monotonic()
        self._kept = {key: entry for key, entry in self._kept.items() if entry[0] > now}
        names = {"Image": image.name, "Registry": image.registry, "Global": ""}
        bearer: object = account and replace(account, token=_digest(account.token))
        for kind, name in names.items():
            if (kept := self._kept.get((provider.name, kind, name, bearer))) is not None:
                return kept[1]
        if account is not None and provider.token is not None and not account.token:
            account = replace(account, token=await self._token(provider.token, pod))
        answer = await self._ask(provider, _request(provider, image, account))
        found = _credentials(answer, account)
        lasts = answer.get("cacheDuration")
        seconds = provider.cached_for if lasts is None else times.parse_duration(str(lasts))
        if seconds > 0 and answer.get("auth") is not None:
            kind = str(answer["cacheKeyType"])
            self._kept[provider.name, kind, names[kind], bearer] = (now + seconds, found)
        return found

    async def _account(self, use: TokenUse, pod: Pod) -> Account | None:
        """The pod's account, with its token where credentials are for one token; None if a program cannot use it."""
        name = pod.spec.serviceAccountName
        if not name:
            return None  # a static pod
        meta = (await self.client.get(SERVICE_ACCOUNTS, name, pod.metadata.namespace, view=dict))["metadata"]
        held = meta.get("annotations") or {}
        if missing := [key for key in use.required if key not in held]:
            raise ProviderFailure(f"the ServiceAccount {name} has no annotation {', '.join(missing)}")
        told = tuple((key, held[key]) for key in (*use.required, *use.optional) if key in held)
        token = await self._token(use, pod) if use.is_cached_by_token else ""
        return Account(pod.metadata.namespace, name, meta["uid"], told, token)

    async def _token(self, use: TokenUse, pod: Pod) -> str:
        now, key = self.clock.now(), (pod.metadata.uid, use.audience)
        self._tokens = {known: entry for known, entry in self._tokens.items() if entry[0] - _SOON > now}
        if key not in self._tokens:
            status = await tokens.requested(self.client, pod, use.audience, None)
            self._tokens[key] = times.parse(status["expirationTimestamp"]), str(status["token"])
        return self._tokens[key][1]

    async def _ask(self, provider: Provider, request: dict[str, Any]) -> dict[str, Any]:
        """One run of a program. Raises ProviderFailure."""
        environment = {**os.environ, **dict(provider.env)}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                self.programs / provider.name, *provider.args, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
            )
        except OSError as error:
            raise ProviderFailure(str(error)) from error
        try:
            async with asyncio.timeout(_PATIENCE):
                out, err = await process.communicate(orjson.dumps(request))
        except TimeoutError as error:
            raise ProviderFailure(f"no answer within {_PATIENCE:g} seconds") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise ProviderFailure(f"exit status {process.returncode}: {err[:500].decode('utf-8', 'replace').strip()}")
        return _checked(provider, out)


def _request(provider: Provider, image: Reference, account: Account | None) -> dict[str, Any]:
    request: dict[str, Any] = {"apiVersion": provider.protocol, "kind": "CredentialProviderRequest"}
    request["image"] = image.name
    if account is not None:
        request["serviceAccountToken"] = account.token
        if account.annotations:
            request["serviceAccountAnnotations"] = dict(account.annotations)
    return request


def _checked(provider: Provider, out: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(out)
    except orjson.JSONDecodeError as error:
        raise ProviderFailure(f"its answer is no JSON: {error}") from error
    if not isinstance(answer, dict) or answer.get("kind") != "CredentialProviderResponse":
        raise ProviderFailure("its answer is no CredentialProviderResponse")
    if answer.get("apiVersion") != provider.protocol:
        raise ProviderFailure(f"it answers in {answer.get('apiVersion')} instead of {provider.protocol}")
    if answer.get("cacheKeyType") not in _KINDS:
        raise ProviderFailure(f"cacheKeyType {answer.get('cacheKeyType')!r} is none of {', '.join(sorted(_KINDS))}")
    return answer


def _credentials(answer: dict[str, Any], account: Account | None) -> tuple[Credential, ...]:
    whose = account.coordinates if account is not None else {}
    return tuple(replace(one, account=whose, of_node=account is None) for one in from_entries(answer.get("auth") or {}))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest() if token else ""
