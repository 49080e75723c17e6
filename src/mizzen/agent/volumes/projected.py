"""The content of configMap, secret, downwardAPI and projected volumes: pure, from objects already fetched.

Ref: https://kubernetes.io/docs/concepts/storage/projected-volumes/
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mizzen.agent.env import ConfigFailure, Sources, field_value
from mizzen.agent.life import all_containers
from mizzen.agent.resources import resource_field
from mizzen.agent.volumes.files import File
from mizzen.api.views.podspec import (
    CertificateProjection,
    ConfigMapVolume,
    Container,
    DownwardVolume,
    KeyToPath,
    Pod,
    SecretProjection,
    SecretVolume,
    TokenProjection,
    TrustBundleProjection,
    Volume,
)
from mizzen.machinery.errors import Object
from mizzen.machinery.labels import from_object

_DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Token:
    """A service account token and when it ends, in seconds since the epoch."""

    text: str
    issued: float
    expires: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """A pod's private key, its certificates (both PEM), and from when on to ask for others."""

    key: bytes
    chain: str
    refresh_at: float


@dataclass(frozen=True, slots=True)
class Material:
    """What the files are made from."""

    sources: Sources
    tokens: Mapping[tuple[str, int], Token] = field(default_factory=dict)
    """By audience and lifetime asked for."""
    trust_bundles: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[tuple[str, int], Certificate] = field(default_factory=dict)
    """By volume and the number of the source."""
    token_owner: int | None = None


def token_requests(volume: Volume) -> tuple[TokenProjection, ...]:
    """The tokens that a volume holds."""
    sources = volume.projected.sources or () if volume.projected is not None else ()
    return tuple(one.serviceAccountToken for one in sources if one.serviceAccountToken is not None)


def bundles(volume: Volume) -> tuple[TrustBundleProjection, ...]:
    """The trust bundles that a volume holds."""
    sources = volume.projected.sources or () if volume.projected is not None else ()
    return tuple(one.clusterTrustBundle for one in sources if one.clusterTrustBundle is not None)


def bundle_key(wanted: TrustBundleProjection) -> str:
    """What tells one choice of bundles from another."""
    return wanted.name or f"{wanted.signerName}\0{wanted.labelSelector}"


def chosen_bundles(wanted: TrustBundleProjection, listed: Iterable[Object]) -> list[str]:
    """The texts of the bundles of a name, or of a signer and with fitting labels (no selector: none, `{}`: all)."""
    if wanted.name:
        return [one["spec"]["trustBundle"] for one in listed if one["metadata"]["name"] == wanted.name]
    if wanted.labelSelector is None:
        return []
    selector = from_object(wanted.labelSelector)
    return [
        one["spec"]["trustBundle"]
        for one in listed
        if one["spec"].get("signerName") == wanted.signerName and selector.matches(one["metadata"].get("labels") or {})
    ]


def joined(texts: Iterable[str]) -> str:
    """All certificates of some bundles, each once."""
    end = "-----END CERTIFICATE-----"
    found = (part.strip() for text in texts for part in text.split(end))
    return "".join(f"{part}\n{end}\n" for part in dict.fromkeys(found) if part)


def needs(volume: Volume) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the ConfigMaps and Secrets that a volume is made from."""
    maps: set[str] = set()
    secrets: set[str] = set()
    if volume.configMap is not None:
        maps.add(volume.configMap.name)
    if volume.secret is not None:
        secrets.add(volume.secret.secretName)
    for one in (volume.projected.sources or ()) if volume.projected is not None else ():
        maps.update([one.configMap.name] if one.configMap is not None else ())
        secrets.update([one.secret.name] if one.secret is not None else ())
    return frozenset(maps), frozenset(secrets)


def payload(pod: Pod, volume: Volume, material: Material) -> dict[str, File] | None:
    """The files of a volume; None when it is of another kind. Raises ConfigFailure."""
    if volume.configMap is not None:
        return _config_map(volume.configMap, volume.configMap.defaultMode, material)
    if volume.secret is not None:
        return _secret(volume.secret.secretName, volume.secret, volume.secret.defaultMode, material)
    if volume.downwardAPI is not None:
        return _downward(volume.downwardAPI, volume.downwardAPI.defaultMode, material, pod)
    if volume.projected is None:
        return None
    files: dict[str, File] = {}
    mode = volume.projected.defaultMode
    for index, one in enumerate(volume.projected.sources or ()):
        if one.podCertificate is not None:
            certificate = material.certificates[volume.name, index]
            files |= _certificate(one.podCertificate, certificate, mode, material, pod)
        if one.configMap is not None:
            files |= _config_map(one.configMap, mode, material)
        if one.secret is not None:
            files |= _secret(one.secret.name, one.secret, mode, material)
        if one.downwardAPI is not None:
            files |= _downward(one.downwardAPI, mode, material, pod)
        if one.serviceAccountToken is not None:
            files |= _token(one.serviceAccountToken, mode, material, pod)
        if one.clusterTrustBundle is not None:
            bundle = material.trust_bundles.get(bundle_key(one.clusterTrustBundle))
            if bundle is None and not one.clusterTrustBundle.optional:
                wanted = one.clusterTrustBundle.name or f"signer {one.clusterTrustBundle.signerName}"
                raise ConfigFailure(f'clustertrustbundle "{wanted}" not found')
            files[one.clusterTrustBundle.path] = File((bundle or "").encode(), mode or _DEFAULT_MODE)
    return files


def _config_map(source: ConfigMapVolume, mode: int | None, material: Material) -> dict[str, File]:
    found = material.sources.config_maps.get(source.name)
    if found is None:
        if source.optional:
            return {}
        raise ConfigFailure(f'configmap "{source.name}" not found')
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return _chosen(data, source.items, mode, bool(source.optional), "configmap references non-existent config key")


def _secret(
    name: str, source: SecretVolume | SecretProjection, mode: int | None, material: Material
) -> dict[str, File]:
    found = material.sources.secrets.get(name)
    if found is None:
        if source.optional:
            return {}
        raise ConfigFailure(f'secret "{name}" not found')
    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return _chosen(data, source.items, mode, bool(source.optional), "references non-existent secret key")


def _chosen(
    data: Mapping[str, bytes], items: Sequence[KeyToPath] | None, mode: int | None, optional: bool, complaint: str
) -> dict[str, File]:
    base = _DEFAULT_MODE if mode is None else mode
    if not items:
        return {key: File(value, base) for key, value in data.items()}
    files = {}
    for item in items:
        if item.key in data:
            files[item.path] = File(data[item.key], base if item.mode is None else item.mode)
        elif not optional:
            raise ConfigFailure(f"{complaint}: {item.key}")
    return files


def _downward(source: DownwardVolume, mode: int | None, material: Material, pod: Pod) -> dict[str, File]:
    files = {}
    for item in source.items or ():
        if item.fieldRef is not None:
            text = field_value(pod, item.fieldRef.fieldPath, material.sources)
        elif item.resourceFieldRef is not None:
            wanted = item.resourceFieldRef
            named = next((one for one in all_containers(pod) if one.name == wanted.containerName), Container())
            text = resource_field(pod, named, wanted.resource, wanted.divisor, material.sources.node_allocatable)
        else:
            text = ""
        base = _DEFAULT_MODE if mode is None else mode
        files[item.path] = File(text.encode(), base if item.mode is None else item.mode)
    return files


def _token(source: TokenProjection, mode: int | None, material: Material, pod: Pod) -> dict[str, File]:
    token = material.tokens[(source.audience or "", source.expirationSeconds or 3600)]
    base = _DEFAULT_MODE if mode is None else mode
    shared = pod.spec.securityContext is not None and pod.spec.securityContext.fsGroup is not None
    if material.token_owner is not None:
        return {source.path: File(token.text.encode(), 0o600, material.token_owner)}
    return {source.path: File(token.text.encode(), 0o600 if shared else base)}


def _certificate(
    source: CertificateProjection, certificate: Certificate, mode: int | None, material: Material, pod: Pod
) -> dict[str, File]:
    chain = certificate.chain.encode()
    contents = {
        source.credentialBundlePath: certificate.key + chain,
        source.keyPath: certificate.key,
        source.certificateChainPath: chain,
    }
    owner = material.token_owner
    shared = pod.spec.securityContext is not None and pod.spec.securityContext.fsGroup is not None
    base = _DEFAULT_MODE if mode is None else mode
    return {
        path: File(data, 0o600 if owner is not None or shared else base, owner)
        for path, data in contents.items()
        if path
    }


def token_owner(pod: Pod) -> int | None:
    """The one user that all containers run as, who owns the tokens; None when they differ or are unknown."""
    shared = pod.spec.securityContext.runAsUser if pod.spec.securityContext is not None else None
    users = {
        one.securityContext.runAsUser
        if one.securityContext is not None and one.securityContext.runAsUser is not None
        else shared
        for one in (*pod.spec.containers, *(pod.spec.initContainers or ()))
    }
    return next(iter(users)) if len(users) == 1 else None


def wants_rotation(token: Token, now: float) -> bool:
    """Whether a token has lived four fifths of its life, or a day."""
    return now > token.issued + 0.8 * (token.expires - token.issued) or now > token.issued + 86_400
