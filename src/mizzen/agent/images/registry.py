"""One registry, spoken to over the OCI distribution protocol: manifests and blobs, with token or basic auth.

Ref: https://github.com/opencontainers/distribution-spec
"""

import base64
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from mizzen.agent import http
from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.reference import Reference
from mizzen.agent.images.registries import Settings, trusting

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_REDIRECTS = {301, 302, 303, 307, 308}
_CHALLENGE = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')
_NEXT_WAY = re.compile(r",\s*\w+\s+(?=\w+=)")
_BEARER = re.compile(r"(?:^|,\s*)bearer\s", re.IGNORECASE)


class PullFailure(Exception):
    """A registry refused or could not be reached; the text is what events show."""


@dataclass(slots=True)
class Registry:
    """A session with one registry for one image; remembers the authorization it has been granted."""

    image: Reference
    credentials: Sequence[Credential] = ()
    settings: Mapping[str, Settings] = field(default_factory=dict)
    """By host, as the machine's owner has them."""
    dial: http.Dial | None = None
    granted: dict[str, str] = field(default_factory=dict)
    """Authorizations by host: none is shown to another one."""
    shown: Credential | None = None
    """The pod's credential, once the registry has asked for it."""

    def endpoints(self) -> list[str]:
        """Base URLs in the order to try them: mirrors first."""
        own = self.settings.get(self.image.registry, Settings())
        scheme = "http" if own.http or _is_loopback(self._host) else "https"
        return [*(mirror.rstrip("/") for mirror in own.mirrors), f"{scheme}://{self._host}"]

    @property
    def _host(self) -> str:
        return "registry-1.docker.io" if self.image.registry == "docker.io" else self.image.registry

    async def manifest(self, selector: str) -> tuple[bytes, str]:
        """A manifest or index by tag or digest, and its media type. Raises PullFailure."""
        failure = PullFailure(f"{self.image}: not found")
        for base in self.endpoints():
            url = f"{base}/v2/{self.image.repository}/manifests/{selector}"
            try:
                async with self._get(url, {"accept": ", ".join(MANIFEST_TYPES)}) as answer:
                    if answer.status == 200:
                        body = await answer.read()
                        declared = answer.headers.get("content-type", "").split(";")[0].strip()
                        return body, orjson.loads(body).get("mediaType") or declared
                    failure = self._refused(answer.status)
            except PullFailure as error:
                failure = error  # of this one alone: the next may know better
            except (http.HttpFailure, orjson.JSONDecodeError) as error:
                failure = PullFailure(f'failed to resolve reference "{self.image}": {error}')
        raise failure

    @asynccontextmanager
    async def blob(self, digest: str, start: int = 0) -> AsyncIterator[http.Answer]:
        """A blob's bytes from an offset on: status 200 means the whole, 206 the rest, 416 none. Raises PullFailure."""
        failure, handed = PullFailure(f"{digest}: not found"), False
        for base in self.endpoints():
            url = f"{base}/v2/{self.image.repository}/blobs/{digest}"
            try:
                async with self._get(url, {"range": f"bytes={start}-"} if start else {}) as answer:
                    if answer.status in {200, 206, 416}:
                        handed = True
                        yield answer
                        return
                    failure = self._refused(answer.status)
            except (http.HttpFailure, PullFailure) as error:
                if handed:
                    raise  # it broke off while it was read: the next attempt goes on there
                failure = PullFailure(str(error))
        raise failure

    @asynccontextmanager
    async def _get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[http.Answer]:
        """GET with one round of authorization, following redirects without handing the authorization on."""
        host = urlsplit(url).netloc
        for attempt in range(2):
            sent = {**headers, **({"authorization": self.granted[host]} if host in self.granted else {})}
            async with self._followed(url, sent) as answer:
                if answer.status != 401 or attempt:
                    yield answer
                    return
                challenge = answer.headers.get("www-authenticate", "")
            if authorization := await self._authorize(host, challenge):
                self.granted[host] = authorization

    @asynccontextmanager
    async def _followed(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[http.Answer]:
        for _ in range(6):
            async with http.request("GET", url, headers, tls=self._tls(url), dial=self.dial) as answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                target = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {name: value for name, value in headers.items() if name != "authorization"}
            url = target
        raise http.HttpFailure(f"GET {url}: too many redirects")

    def _tls(self, url: str) -> ssl.SSLContext | None:
        """Whom to trust beyond those the machine trusts."""
        authority = self.settings.get(urlsplit(url).netloc, Settings()).ca
        return trusting(authority) if authority else None

    def _login(self, host: str) -> Credential | None:
        """The pod's credential for the registry itself, or the owner's for this host."""
        if host == self._host and self.credentials:
            self.shown = self.credentials[0]
            return self.shown
        own = self.settings.get(self.image.registry if host == self._host else host, Settings())
        return Credential(host, own.username, own.password) if own.username else None

    async def _authorize(self, host: str, challenge: str) -> str:
        bearer = _BEARER.search(challenge)  # of several ways a token is the one that all registries mean
        login = self._login(host)
        basic = _basic(login) if login is not None else ""
        if bearer is None:
            return basic
        own = _NEXT_WAY.split(challenge[bearer.end() :])[0]
        asked = {key: quoted or plain for key, quoted, plain in _CHALLENGE.findall(own)}
        if "realm" not in asked:
            return basic
        scope = asked.get("scope") or f"repository:{self.image.repository}:pull"
        named = {key: value for key, value in (("service", asked.get("service", "")), ("scope", scope)) if value}
        async with self._asked(asked["realm"], named, login) as answer:
            if answer.status != 200:
                raise PullFailure(
                    f'failed to resolve reference "{self.image}": failed to authorize: failed to fetch '
                    f"{'oauth' if basic else 'anonymous'} token: unexpected status: {answer.status}"
                )
            body = orjson.loads(await answer.read())
        return "Bearer " + str(body.get("token") or body.get("access_token") or "")

    @asynccontextmanager
    async def _asked(
        self, realm: str, named: Mapping[str, str], login: Credential | None
    ) -> AsyncIterator[http.Answer]:
        """The authority's answer: an identity token is exchanged, a password (or nothing) shown."""
        tls = self._tls(realm)
        if login is not None and login.identity:
            form = {**named, "grant_type": "refresh_token", "client_id": "mizzen", "refresh_token": login.identity}
            headers = {"content-type": "application/x-www-form-urlencoded"}
            body = urlencode(form).encode()
            async with http.request("POST", realm, headers, body, tls=tls, dial=self.dial) as answer:
                yield answer
            return
        joint = "&" if "?" in realm else "?"
        headers = {"authorization": _basic(login)} if login is not None else {}
        url = f"{realm}{joint}{urlencode(named)}"
        async with http.request("GET", url, headers, tls=tls, dial=self.dial) as answer:
            yield answer

    def _refused(self, status: int) -> PullFailure:
        if status in {401, 403}:
            return PullFailure(
                f"pull access denied, repository does not exist or may require authorization: "
                f'failed to resolve reference "{self.image}": status {status}'
            )
        if status == 404:
            return PullFailure(f'failed to resolve reference "{self.image}": {self.image}: not found')
        return PullFailure(f'failed to resolve reference "{self.image}": unexpected status: {status}')


def _basic(login: Credential) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
