"""Tokens of other issuers (OpenID Connect): signature, times and audience, then what the claims make of the user.

The issuer's keys are fetched beside the requests, again when a token names one that is not known; until they are there,
and in the moment in which they change, its tokens are refused.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from mizzen.base import log
from mizzen.base.clock import Clock
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity, authenticated
from mizzen.net.client import Endpoint, SocketTransport
from mizzen.net.tls import client_context
from mizzen.server.authn import jwks, jwt
from mizzen.server.authn.chain import Authenticated, BadToken, is_open
from mizzen.server.authn.configuration import Configuration, ConfigurationFile, Issuer
from mizzen.server.authn.mappings import Refused
from mizzen.wire.message import Request

REFRESH_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 60.0
"""Between two looks at the file."""
PAUSE_SECONDS: Final = 1.0
"""Between two fetches that tokens with unknown keys ask for."""
_PATIENCE: Final = 30.0
_REMEMBERED: Final = 4096
_log = log.get("oidc")


class IssuerTokens:
    """The tokens of one issuer; `follow` keeps its keys."""

    def __init__(self, issuer: Issuer, audiences: Sequence[str], clock: Clock) -> None:
        """`audiences`: those of this API server."""
        self.issuer = issuer
        self._audiences = tuple(audiences)
        self._clock = clock
        self._keys: tuple[jwks.Verifier, ...] | None = None
        self._users: dict[str, Identity] = {}
        """By token, of those whose signature was verified with the present keys."""
        self._due = asyncio.Event()

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        try:
            claims = jwt.claims(token)
        except jwt.BadSignature:
            return None
        if claims.get("iss") != self.issuer.url:
            return None
        user = self._verified(token, claims)
        return Authenticated(user, tuple(name for name in audiences if name in self._audiences))

    def _verified(self, token: str, claims: Object) -> Identity:
        """Raises BadToken."""
        known = self._users.get(token)
        if known is None and self._keys is None:
            raise BadToken("oidc: the keys of the issuer are not there yet")
        if known is None and not self._is_signed(token):
            self._due.set()
            raise BadToken("oidc: verify token: failed to verify signature")
        self._check(claims)
        if known is not None:
            return known
        try:
            user = self.issuer.mappings.user(claims)
        except Refused as error:
            raise BadToken(f"oidc: {error}") from error
        if len(self._users) >= _REMEMBERED:
            self._users.clear()
        self._users[token] = authenticated(user)
        return self._users[token]

    async def follow(self) -> None:
        """Fetch the keys, and again when they may have changed."""
        while True:
            self._due.clear()
            rest = REFRESH_SECONDS if await self.refresh() else RETRY_SECONDS
            await self._clock.sleep(PAUSE_SECONDS)
            await self._next(rest)

    async def refresh(self) -> bool:
        """Fetch the keys; tells whether that has gone well, else those that are there stay."""
        try:
            self._keys = await self.fetched()
        except (OSError, ValueError, TimeoutError) as error:
            _log.warning("keys of an issuer not fetched", issuer=self.issuer.url, error=str(error) or repr(error))
            return False
        self._users.clear()
        return True

    async def fetched(self) -> tuple[jwks.Verifier, ...]:
        """The keys as the issuer tells them now. Raises OSError, ValueError, TimeoutError."""
        document = await self._read(self.issuer.discovery)
        if not isinstance(document, dict) or document.get("issuer") != self.issuer.url:
            raise ValueError(f"the discovery document is not of {self.issuer.url}")
        return jwks.parse(await self._read(str(document.get("jwks_uri"))))

    async def _next(self, seconds: float) -> None:
        """Wait for so long, or until a token comes whose key is not known."""
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._due.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _read(self, url: str) -> Any:
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise ValueError(f"{url!r} is not an https address")
        endpoint = Endpoint.parse(f"https://{parts.netloc}", client_context(ca_data=self.issuer.ca))
        transport = SocketTransport(endpoint)
        try:
            async with asyncio.timeout(_PATIENCE):
                response = await transport.call(
                    Request("GET", parts.path or "/", headers={"accept": "application/json"})
                )
        finally:
            await transport.close()
        if response.status != 200:
            raise ValueError(f"{url} answered {response.status}")
        return orjson.loads(response.body if isinstance(response.body, bytes) else b"".join(response.body))

    def _is_signed(self, token: str) -> bool:
        try:
            return jwks.verify(token, self._keys or ())
        except jwt.BadSignature:
            return False

    def _check(self, claims: Object) -> None:
        """Times and audience. Raises BadToken."""
        now, until, begin = self._clock.now(), claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(until, int | float) or now >= until:
            raise BadToken("oidc: verify token: oidc: token is expired")
        if not isinstance(begin, int | float) or now < begin:
            raise BadToken("oidc: verify token: oidc: token is not valid yet")
        meant = claims.get("aud")
        if not set(meant if isinstance(meant, list) else [meant]) & set(self.issuer.audiences):
            raise BadToken(f"oidc: verify token: oidc: expected audience in {list(self.issuer.audiences)}")


class Issuers:
    """The issuers of a configuration file, and those of its later forms; `follow` until cancelled."""

    def __init__(self, file: ConfigurationFile, audiences: Sequence[str], clock: Clock) -> None:
        self._file = file
        self._audiences = audiences
        self._clock = clock
        self._anonymous = file.current.anonymous
        self._tokens = [self._made(one) for one in file.current.issuers]
        self._running: dict[IssuerTokens, asyncio.Task[None]] = {}

    def identify(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        found = (one.identify(token, audiences) for one in self._tokens)
        return next((one for one in found if one is not None), None)

    def allows(self, path: str) -> bool:
        """Whether a path is for those without credentials."""
        return is_open(path) if self._anonymous is None else self._anonymous.allows(path)

    async def follow(self) -> None:
        """Keep the keys of all issuers, and look whether the file has changed."""
        async with asyncio.TaskGroup() as tasks:
            self._start(tasks)
            while True:
                await self._clock.sleep(LOOK_SECONDS)
                try:
                    changed = self._file.changed()
                except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                    _log.error("configuration not taken", path=str(self._file.path), error=str(error))
                    continue
                if changed is not None:
                    await self._take(changed)
                    self._start(tasks)

    async def _take(self, changed: Configuration) -> None:
        """Issuers that stay keep their keys; new ones are asked for theirs before they count."""
        known = {one.issuer.url: one for one in self._tokens}
        tokens = []
        for issuer in changed.issuers:
            held = known.get(issuer.url)
            tokens.append(held if held is not None and held.issuer == issuer else self._made(issuer))
        await asyncio.gather(*(one.refresh() for one in tokens if one not in self._running))
        self._tokens, self._anonymous = tokens, changed.anonymous
        _log.info("configuration taken", path=str(self._file.path), issuers=len(tokens))

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        """Follow those that count, and no others."""
        for gone in [one for one in self._running if one not in self._tokens]:
            self._running.pop(gone).cancel()
        for one in self._tokens:
            if one not in self._running:
                self._running[one] = tasks.create_task(one.follow(), name="oidc")

    def _made(self, issuer: Issuer) -> IssuerTokens:
        return IssuerTokens(issuer, self._audiences, self._clock)
