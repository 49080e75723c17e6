"""Certificates of pods: the node makes a key and asks for them, a signer of the cluster's issues them.

Ref: https://kubernetes.io/docs/concepts/storage/projected-volumes/#podcertificate
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mizzen.agent.volumes.kinds import VolumeFailure
from mizzen.agent.volumes.projected import Certificate
from mizzen.api.views.podspec import CertificateProjection, Pod, Volume
from mizzen.base.clock import Clock
from mizzen.client.client import Client
from mizzen.client.resources import NODES, POD_CERTIFICATE_REQUESTS, SERVICE_ACCOUNTS
from mizzen.machinery import times
from mizzen.machinery.errors import ApiError, Object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

_PATIENCE = 15.0
_FINAL = ("Issued", "Denied", "Failed")
Key = tuple[str, int]
"""Volume, and which of its sources."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that waits for its signer, and the key that is behind it."""

    name: str
    key: bytes


def wanted(volumes: "tuple[Volume, ...] | list[Volume]") -> dict[Key, CertificateProjection]:
    """The certificates that volumes hold."""
    return {
        (volume.name, index): one.podCertificate
        for volume in volumes
        if volume.projected is not None
        for index, one in enumerate(volume.projected.sources or ())
        if one.podCertificate is not None
    }


class Certificates:
    """Asks for certificates, and remembers what it has asked for and what was refused for good."""

    def __init__(self, client: Client, clock: Clock, node: str) -> None:
        self._client = client
        self._clock = clock
        self._node = node
        self._asked: dict[tuple[str, Key], _Asked] = {}
        self._refused: dict[tuple[str, Key], str] = {}

    async def get(self, pod: Pod, key: Key, projection: CertificateProjection) -> Certificate:
        """A fresh certificate. Raises VolumeFailure, ApiError, ConnectionError."""
        place = pod.metadata.uid, key
        if refusal := self._refused.get(place):
            raise VolumeFailure(refusal)
        asked = self._asked.get(place)
        if asked is None:
            asked = self._asked[place] = await self._ask(pod, projection)
        status = await self._outcome(pod.metadata.namespace, asked.name)
        if status is None:
            raise VolumeFailure(f"PodCertificateRequest {pod.metadata.namespace}/{asked.name} is not issued yet")
        del self._asked[place]
        condition = next((one for one in status.get("conditions") or () if one["type"] in _FINAL), None)
        if condition is None:
            raise VolumeFailure(f"PodCertificateRequest {pod.metadata.namespace}/{asked.name} is gone")
        if condition["type"] != "Issued":
            name, said = f"{pod.metadata.namespace}/{asked.name}", condition.get("message") or condition.get("reason")
            refusal = self._refused[place] = f"PodCertificateRequest {name} is {condition['type']}: {said}"
            raise VolumeFailure(refusal)
        return Certificate(asked.key, status["certificateChain"], times.parse(status["beginRefreshAt"]))

    def forget(self, uid: str) -> None:
        """A pod is gone."""
        for known in (self._asked, self._refused):
            for place in [place for place in known if place[0] == uid]:
                known.pop(place)

    async def _ask(self, pod: Pod, projection: CertificateProjection) -> _Asked:
        meta, account = pod.metadata, pod.spec.serviceAccountName or "default"
        own = await self._client.get(SERVICE_ACCOUNTS, account, meta.namespace, view=dict)
        node = await self._client.get(NODES, self._node, view=dict)
        key, request = await asyncio.to_thread(made, projection.keyType)
        spec: Object = {
            "signerName": projection.signerName,
            "podName": meta.name,
            "podUID": meta.uid,
            "serviceAccountName": account,
            "serviceAccountUID": own["metadata"]["uid"],
            "nodeName": self._node,
            "nodeUID": node["metadata"]["uid"],
            "stubPKCS10Request": base64.b64encode(request).decode(),
        }
        if projection.maxExpirationSeconds is not None:
            spec["maxExpirationSeconds"] = projection.maxExpirationSeconds
        if projection.userAnnotations:
            spec["unverifiedUserAnnotations"] = projection.userAnnotations
        owner = {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid}
        body: Object = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "PodCertificateRequest",
            "metadata": {"generateName": f"req-{meta.name[:200]}-", "ownerReferences": [owner]},
            "spec": spec,
        }
        answer = await self._client.create(POD_CERTIFICATE_REQUESTS, body, meta.namespace)
        return _Asked(answer["metadata"]["name"], key)

    async def _outcome(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The status once a signer has decided; empty when the request is gone, None while it waits."""
        try:
            async with asyncio.timeout(_PATIENCE):
                async for event in self._client.watch(
                    POD_CERTIFICATE_REQUESTS, namespace, view=dict, fields=f"metadata.name={name}", initial=True
                ):
                    status = (event.object or {}).get("status") or {}
                    if event.type == "DELETED":
                        return {}
                    if any(one["type"] in _FINAL for one in status.get("conditions") or ()):
                        return status
        except (TimeoutError, ApiError):
            pass
        return None


def made(key_type: str) -> tuple[bytes, bytes]:
    """A new private key as PEM (PKCS #8), and a request that proves to have it, as DER; it asks for nothing itself."""
    from cryptography import x509  # lazily: few pods want certificates
    from cryptography.hazmat.primitives import hashes, serialization

    key = _KEYS[key_type]()
    algorithm = None if key_type == "ED25519" else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, kind, none)
    return text, request.public_bytes(serialization.Encoding.DER)


def _rsa(size: int) -> "CertificateIssuerPrivateKeyTypes":
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, size)


def _ec(name: str) -> "CertificateIssuerPrivateKeyTypes":
    from cryptography.hazmat.primitives.asymmetric import ec

    curves = {"P256": ec.SECP256R1(), "P384": ec.SECP384R1(), "P521": ec.SECP521R1()}
    return ec.generate_private_key(curves[name])


def _ed25519() -> "CertificateIssuerPrivateKeyTypes":
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.generate()


_KEYS: Mapping[str, "Callable[[], CertificateIssuerPrivateKeyTypes]"] = {
    "RSA3072": lambda: _rsa(3072),
    "RSA4096": lambda: _rsa(4096),
    "ECDSAP256": lambda: _ec("P256"),
    "ECDSAP384": lambda: _ec("P384"),
    "ECDSAP521": lambda: _ec("P521"),
    "ED25519": _ed25519,
}
