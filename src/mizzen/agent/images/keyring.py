"""Registry credentials: from pull secrets of both forms, and which of them fit an image."""

import base64
import binascii
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any

import orjson

from mizzen.agent.images.reference import Reference

_HUB = {"index.docker.io", "docker.io", "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password, or an identity token, for the registries and paths that `scope` matches."""

    scope: str
    user: str
    password: str
    identity: str = ""
    secret: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The uid, namespace and name of the Secret it comes from, if it does."""
    account: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The same of the ServiceAccount that a program of the node was given it for, if it was."""
    of_node: bool = False
    """Whether it is the node's, and all of its pods may have what it opens."""


def from_secret(secret: Mapping[str, Any]) -> tuple[Credential, ...]:
    """The credentials in a Secret of type dockerconfigjson or dockercfg; empty when it holds none."""
    data = secret.get("data") or {}
    found: tuple[Credential, ...] = ()
    with contextlib.suppress(orjson.JSONDecodeError, binascii.Error, AttributeError):
        if (encoded := data.get(".dockerconfigjson")) is not None:
            found = from_config(base64.b64decode(encoded))
        elif (encoded := data.get(".dockercfg")) is not None:
            found = from_entries(orjson.loads(base64.b64decode(encoded)))
    meta = secret.get("metadata") or {}
    named = {key: str(meta[key]) for key in ("uid", "namespace", "name") if key in meta}
    return tuple(replace(one, secret=named) for one in found)


def from_config(text: bytes) -> tuple[Credential, ...]:
    """The credentials in a `config.json` as image tools keep it. Raises JSONDecodeError, AttributeError."""
    return from_entries(orjson.loads(text).get("auths") or {})


def from_entries(entries: Mapping[str, Mapping[str, str]]) -> tuple[Credential, ...]:
    """Credentials by what they are for."""
    return tuple(one for scope, entry in entries.items() if (one := _credential(scope, entry)) is not None)


def _credential(scope: str, entry: Mapping[str, str]) -> Credential | None:
    user, password = entry.get("username", ""), entry.get("password", "")
    if not user and (packed := entry.get("auth")):
        try:
            user, _, password = base64.b64decode(packed).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    stripped = scope.removeprefix("https://").removeprefix("http://").rstrip("/")
    stripped = stripped.removesuffix("/v1").removesuffix("/v2")
    return Credential(stripped, user, password, entry.get("identitytoken", ""))


def matching(credentials: Iterable[Credential], image: Reference) -> tuple[Credential, ...]:
    """Those that fit the image, the most specific path first."""
    fitting = [one for one in credentials if fits(one.scope, image)]
    return tuple(sorted(fitting, key=lambda one: -len(one.scope)))


def fits(scope: str, image: Reference) -> bool:
    """Whether an image is of a registry, with wildcards for labels of its name, and below a path."""
    host, _, path = scope.partition("/")
    same_host = image.registry in _HUB if host in _HUB else fnmatch(image.registry, host)
    # A wildcard stands for one label of a host name, never for several.
    same_depth = host in _HUB or host.count(".") == image.registry.count(".")
    return same_host and same_depth and (not path or (image.repository + "/").startswith(path.rstrip("/") + "/"))
