"""An AuthenticationConfiguration: who else's tokens are good, and where nobody needs one.

Ref: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from mizzen.machinery.cel.program import CelError, Program, compile_expression
from mizzen.server.authn.mappings import Mappings, Rule, Source

VERSIONS: Final = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
_CLAIMS: Final = ("claims",)
_USER: Final = ("user",)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens, for whom these must be meant, and what they make of a user. `ca`: PEM, or the system's."""

    url: str
    discovery: str
    audiences: tuple[str, ...]
    mappings: Mappings
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Where a request without credentials is let in as system:anonymous; without paths everywhere."""

    enabled: bool
    paths: frozenset[str] = frozenset()

    def allows(self, path: str) -> bool:
        return self.enabled and (not self.paths or path in self.paths)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it; `anonymous` None: as it is without a configuration."""

    issuers: tuple[Issuer, ...] = ()
    anonymous: Anonymous | None = None


class ConfigurationFile:
    """The configuration in a file that may be written anew while it is used."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError, OSError."""
        self.path = path
        self._read = _identity(path)
        self.current = load(path)

    def changed(self) -> Configuration | None:
        """What it says, if it was written since the last look. Raises ValueError, OSError."""
        now = _identity(self.path)
        if now == self._read:
            return None
        self._read = now
        self.current = load(self.path)
        return self.current


def _identity(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def load(path: Path) -> Configuration:
    """The configuration in a file. Raises ValueError, OSError."""
    try:
        document = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("no AuthenticationConfiguration")
    return parse(document)


def parse(document: Mapping[str, Any]) -> Configuration:
    """Raises ValueError with the place that is wrong."""
    if document.get("apiVersion") not in VERSIONS or document.get("kind") != "AuthenticationConfiguration":
        raise ValueError(f"apiVersion, kind: must be {VERSIONS[0]} AuthenticationConfiguration")
    issuers = tuple(_issuer(one, f"jwt[{index}]") for index, one in enumerate(document.get("jwt") or ()))
    urls = [address for one in issuers for address in {one.url, one.discovery}]
    if len(set(urls)) < len(urls):
        raise ValueError("jwt: each issuer needs a url and a discoveryURL of its own")
    given = document.get("anonymous")
    return Configuration(issuers, _anonymous(given) if given is not None else None)


def _anonymous(given: Mapping[str, Any]) -> Anonymous:
    conditions = given.get("conditions") or ()
    if conditions and not given.get("enabled"):
        raise ValueError("anonymous.conditions: must not be there when anonymous requests are not let in")
    return Anonymous(bool(given.get("enabled")), frozenset(one["path"] for one in conditions))


def _issuer(given: Mapping[str, Any], where: str) -> Issuer:
    issuer = given.get("issuer") or {}
    url = _https(issuer.get("url") or "", f"{where}.issuer.url")
    told = issuer.get("discoveryURL") or ""
    if told.rstrip("/") == url.rstrip("/"):
        raise ValueError(f"{where}.issuer.discoveryURL: must be another than url")
    discovery = (
        _https(told, f"{where}.issuer.discoveryURL") if told else f"{url.rstrip('/')}/.well-known/openid-configuration"
    )
    audiences = tuple(issuer.get("audiences") or ())
    if not audiences:
        raise ValueError(f"{where}.issuer.audiences: at least one is needed")
    policy = issuer.get("audienceMatchPolicy") or ""
    if policy not in ("", "MatchAny") or (len(audiences) > 1 and not policy):
        raise ValueError(f"{where}.issuer.audienceMatchPolicy: must be MatchAny for several audiences")
    return Issuer(url, discovery, audiences, _mappings(given, where), issuer.get("certificateAuthority") or "")


def _https(url: str, where: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f"{where}: {url!r} must be an https URL without user, query or fragment")
    return url


def _mappings(given: Mapping[str, Any], where: str) -> Mappings:
    claims = given.get("claimMappings") or {}
    place = f"{where}.claimMappings"
    username = _source(claims.get("username") or {}, f"{place}.username", prefixed=True)
    if username is None:
        raise ValueError(f"{place}.username: claim or expression is needed")
    extra = {}
    for index, one in enumerate(claims.get("extra") or ()):
        key, at = one.get("key") or "", f"{place}.extra[{index}]"
        if "/" not in key or key != key.lower() or key in extra:
            raise ValueError(f"{at}.key: {key!r} must be a path with a domain before it, in lower case, and there once")
        extra[key] = Source(program=_program(one.get("valueExpression") or "", f"{at}.valueExpression", _CLAIMS))
    return Mappings(
        username,
        _source(claims.get("groups") or {}, f"{place}.groups", prefixed=True),
        _source(claims.get("uid") or {}, f"{place}.uid", prefixed=False),
        extra,
        tuple(_claim_rule(one, f"{where}.claimValidationRules[{n}]") for n, one in enumerate(_rules(given, "claim"))),
        tuple(_user_rule(one, f"{where}.userValidationRules[{n}]") for n, one in enumerate(_rules(given, "user"))),
    )


def _rules(given: Mapping[str, Any], of: str) -> list[Mapping[str, Any]]:
    return list(given.get(f"{of}ValidationRules") or ())


def _source(given: Mapping[str, Any], where: str, *, prefixed: bool) -> Source | None:
    claim, expression, prefix = given.get("claim") or "", given.get("expression") or "", given.get("prefix")
    if claim and expression:
        raise ValueError(f"{where}: claim and expression exclude each other")
    if expression and prefix is not None:
        raise ValueError(f"{where}.prefix: belongs to a claim, not to an expression")
    if claim and prefixed and prefix is None:
        raise ValueError(f"{where}.prefix: is needed beside a claim, be it empty")
    if expression:
        return Source(program=_program(expression, f"{where}.expression", _CLAIMS))
    return Source(claim, prefix or "") if claim else None


def _claim_rule(given: Mapping[str, Any], where: str) -> Rule:
    claim, expression = given.get("claim") or "", given.get("expression") or ""
    if bool(claim) == bool(expression):
        raise ValueError(f"{where}: either claim or expression is needed")
    if claim:
        return Rule(claim, given.get("requiredValue") or "")
    return Rule(program=_program(expression, f"{where}.expression", _CLAIMS), message=given.get("message") or "")


def _user_rule(given: Mapping[str, Any], where: str) -> Rule:
    program = _program(given.get("expression") or "", f"{where}.expression", _USER)
    return Rule(program=program, message=given.get("message") or "")


def _program(expression: str, where: str, variables: tuple[str, ...]) -> Program:
    if not expression:
        raise ValueError(f"{where}: is needed")
    try:
        return compile_expression(expression, variables)
    except CelError as error:
        raise ValueError(f"{where}: {error}") from error
