"""Which programs of a node are asked for credentials of which registries: a CredentialProviderConfig.

Ref: https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mizzen.machinery import times

GROUP: Final = "credentialprovider.kubelet.k8s.io"
_FORMS: Final = tuple(f"kubelet.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_PROTOCOLS: Final = tuple(f"{GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))


@dataclass(frozen=True, slots=True)
class TokenUse:
    """What a program is told of the ServiceAccount of the pod that an image is for."""

    audience: str
    is_cached_by_token: bool
    """Whether credentials are kept for one token alone, or for the account."""
    is_required: bool
    """Whether pods without an account are not asked for."""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """Keys of annotations that it is told; pods whose accounts lack a required one are not asked for."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One program, by its file name."""

    name: str
    protocol: str
    images: tuple[str, ...]
    """Hosts with wildcards, ports and paths that its images begin with."""
    cached_for: float
    """Seconds that credentials are kept, where the program does not say."""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    token: TokenUse | None = None


def parse(documents: Sequence[Any]) -> tuple[Provider, ...]:
    """The providers of configurations, in their order. Raises ValueError."""
    found: list[Provider] = []
    for document in documents:
        if not isinstance(document, dict) or document.get("kind") != "CredentialProviderConfig":
            raise ValueError("not a CredentialProviderConfig")
        if document.get("apiVersion") not in _FORMS:
            raise ValueError(f"apiVersion {document.get('apiVersion')!r} is none of {', '.join(_FORMS)}")
        found += [_provider(one) for one in document.get("providers") or ()]
    if not found:
        raise ValueError("providers: at least one is required")
    names = [one.name for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"providers: {', '.join(sorted(twice))} is there more than once")
    return tuple(found)


def _provider(one: Mapping[str, Any]) -> Provider:
    name = str(one.get("name") or "")
    if not name or name in {".", ".."} or any(mark in name for mark in "/\\ "):
        raise ValueError(f"name {name!r} is no file name")
    if one.get("apiVersion") not in _PROTOCOLS:
        raise ValueError(f"{name}: apiVersion {one.get('apiVersion')!r} is none of {', '.join(_PROTOCOLS)}")
    if not one.get("matchImages"):
        raise ValueError(f"{name}: matchImages is required")
    if one.get("defaultCacheDuration") is None:
        raise ValueError(f"{name}: defaultCacheDuration is required")
    seconds = times.parse_duration(str(one["defaultCacheDuration"]))
    if seconds < 0:
        raise ValueError(f"{name}: defaultCacheDuration is less than nothing")
    token = one.get("tokenAttributes")
    if token is not None and one["apiVersion"] != _PROTOCOLS[0]:
        raise ValueError(f"{name}: tokenAttributes need apiVersion {_PROTOCOLS[0]}")
    return Provider(
        name=name,
        protocol=str(one["apiVersion"]),
        images=tuple(map(str, one["matchImages"])),
        cached_for=seconds,
        args=tuple(map(str, one.get("args") or ())),
        env=tuple((str(entry["name"]), str(entry.get("value", ""))) for entry in one.get("env") or ()),
        token=None if token is None else _token(name, token),
    )


def _token(name: str, one: Mapping[str, Any]) -> TokenUse:
    audience = str(one.get("serviceAccountTokenAudience") or "")
    if not audience:
        raise ValueError(f"{name}: serviceAccountTokenAudience is required")
    if one.get("cacheType") not in {"Token", "ServiceAccount"}:
        raise ValueError(f"{name}: cacheType is neither Token nor ServiceAccount")
    if not isinstance(one.get("requireServiceAccount"), bool):
        raise ValueError(f"{name}: requireServiceAccount is required")
    required = tuple(map(str, one.get("requiredServiceAccountAnnotationKeys") or ()))
    if required and not one["requireServiceAccount"]:
        raise ValueError(f"{name}: requiredServiceAccountAnnotationKeys need requireServiceAccount")
    optional = tuple(map(str, one.get("optionalServiceAccountAnnotationKeys") or ()))
    return TokenUse(audience, one["cacheType"] == "Token", one["requireServiceAccount"], required, optional)
