"""One registry, spoken to over the OCI distribution protocol: manifests and blobs, with token or basic auth.

Ref: https://github.com/opencontainers/distribution-spec
"""

import base64
import ipaddress
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin

import orjson

from mizzen.agent import http
from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.reference import Reference

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_REDIRECTS = {301, 302, 303, 307, 308}
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class PullFailure(Exception):
    """A registry refused or could not be reached; the text is what events show."""


@dataclass(slots=True)
class Registry:
    """A session with one registry for one image; remembers the authorization it has been granted."""

    image: Reference
    credentials: Sequence[Credential] = ()
    mirrors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dial: http.Dial | None = None
    authorization: str = ""

    def endpoints(self) -> list[str]:
        """Base URLs in the order to try them: mirrors first."""
        host = "registry-1.docker.io" if self.image.registry == "docker.io" else self.image.registry
        scheme = "http" if _is_loopback(host) else "https"
        return [*(mirror.rstrip("/") for mirror in self.mirrors.get(self.image.registry, ())), f"{scheme}://{host}"]

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
            except (http.HttpFailure, orjson.JSONDecodeError) as error:
                failure = PullFailure(f'failed to resolve reference "{self.image}": {error}')
        raise failure

    @asynccontextmanager
    async def blob(self, digest: str, start: int = 0) -> AsyncIterator[http.Answer]:
        """A blob's bytes from an offset on: status 200 means the whole, 206 the rest, 416 none. Raises PullFailure."""
        failure = PullFailure(f"{digest}: not found")
        for base in self.endpoints():
            url = f"{base}/v2/{self.image.repository}/blobs/{digest}"
            try:
                async with self._get(url, {"range": f"bytes={start}-"} if start else {}) as answer:
                    if answer.status in {200, 206, 416}:
                        yield answer
                        return
                    failure = self._refused(answer.status)
            except http.HttpFailure as error:
                failure = PullFailure(str(error))
        raise failure

    @asynccontextmanager
    async def _get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[http.Answer]:
        """GET with one round of authorization, following redirects without handing the authorization on."""
        for attempt in range(2):
            sent = {**headers, **({"authorization": self.authorization} if self.authorization else {})}
            async with self._followed(url, sent) as answer:
                if answer.status != 401 or attempt:
                    yield answer
                    return
                challenge = answer.headers.get("www-authenticate", "")
            self.authorization = await self._authorize(challenge)

    @asynccontextmanager
    async def _followed(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[http.Answer]:
        for _ in range(6):
            async with http.request("GET", url, headers, dial=self.dial) as answer:
                if answer.status not in _REDIRECTS:
                    yield answer
                    return
                target = urljoin(url, answer.headers.get("location", ""))
            if target.split("/")[2] != url.split("/")[2]:
                headers = {name: value for name, value in headers.items() if name != "authorization"}
            url = target
        raise http.HttpFailure(f"GET {url}: too many redirects")

    async def _authorize(self, challenge: str) -> str:
        kind, _, rest = challenge.partition(" ")
        basic = ""
        if self.credentials:
            pair = f"{self.credentials[0].user}:{self.credentials[0].password}"
            basic = "Basic " + base64.b64encode(pair.encode()).decode()
        if kind.lower() == "basic":
            return basic
        asked = dict(_CHALLENGE.findall(rest))
        if "realm" not in asked:
            return basic
        scope = asked.get("scope") or f"repository:{self.image.repository}:pull"
        named = {key: value for key, value in (("service", asked.get("service", "")), ("scope", scope)) if value}
        async with self._asked(asked["realm"], named, basic) as answer:
            if answer.status != 200:
                raise PullFailure(
                    f'failed to resolve reference "{self.image}": failed to authorize: failed to fetch '
                    f"{'oauth' if basic else 'anonymous'} token: unexpected status: {answer.status}"
                )
            body = orjson.loads(await answer.read())
        return "Bearer " + str(body.get("token") or body.get("access_token") or "")

    @asynccontextmanager
    async def _asked(self, realm: str, named: Mapping[str, str], basic: str) -> AsyncIterator[http.Answer]:
        """The authority's answer: an identity token is exchanged, a password (or nothing) shown."""
        identity = self.credentials[0].identity if self.credentials else ""
        if identity:
            form = {**named, "grant_type": "refresh_token", "client_id": "mizzen", "refresh_token": identity}
            headers = {"content-type": "application/x-www-form-urlencoded"}
            body = urlencode(form).encode()
            async with http.request("POST", realm, headers, body, dial=self.dial) as answer:
                yield answer
            return
        joint = "&" if "?" in realm else "?"
        headers = {"authorization": basic} if basic else {}
        async with http.request("GET", f"{realm}{joint}{urlencode(named)}", headers, dial=self.dial) as answer:
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


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
