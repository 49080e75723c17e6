"""The trust bundle of the API server: what pods project to trust its certificate; older ones of the signer go.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#cluster-trust-bundles
"""

import hashlib
from dataclasses import dataclass
from functools import partial

from mizzen.api.views.certificates import ClusterTrustBundle
from mizzen.api.views.core import Namespace
from mizzen.client.cache import Cache
from mizzen.client.resources import CLUSTER_TRUST_BUNDLES, NAMESPACES
from mizzen.controllers.config import Config
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch
from mizzen.reconcile.plan import Create, Delete, Plan

SIGNER = "kubernetes.io/kube-apiserver-serving"
_SYSTEM = "kube-system"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The bundles of the signer, by name."""

    bundles: tuple[ClusterTrustBundle, ...]


def observe(cache: Cache, key: str) -> Snapshot:
    found = (one for one in cache.of(CLUSTER_TRUST_BUNDLES, ClusterTrustBundle) if one.spec.signerName == SIGNER)
    return Snapshot(tuple(sorted(found, key=lambda one: one.metadata.name)))


def name_of(bundle: str) -> str:
    """The name of a bundle by its content, so that a new authority is published beside the old one."""
    return f"{SIGNER.replace('/', ':')}:{hashlib.sha256(bundle.encode()).hexdigest()[:24]}"


def reconcile(root_ca: str, seen: Snapshot, now: float) -> Plan:
    name = name_of(root_ca)
    old = [one.metadata for one in seen.bundles if one.metadata.name != name]
    if len(old) == len(seen.bundles):
        body: Object = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "ClusterTrustBundle",
            "metadata": {"name": name},
            "spec": {"signerName": SIGNER, "trustBundle": root_ca},
        }
        return Plan((Create(CLUSTER_TRUST_BUNDLES, body),))
    return Plan(tuple(Delete(CLUSTER_TRUST_BUNDLES, "", one.name, uid=one.uid) for one in old if not one.deleting))


def publisher(config: Config) -> Controller | None:
    """Publishes the configured root certificate; nothing without one."""
    if not config.root_ca:
        return None
    return Controller(
        name="kube-apiserver-serving-clustertrustbundle-publisher-controller",
        watches=(
            Watch(
                CLUSTER_TRUST_BUNDLES,
                ClusterTrustBundle,
                lambda _cache, one: (SIGNER,) if one.spec.signerName == SIGNER else (),
            ),
            # There is one namespace from the beginning: its arrival is the occasion to publish.
            Watch(
                NAMESPACES,
                Namespace,
                lambda _cache, one: (SIGNER,) if one.metadata.name == _SYSTEM else (),
                lambda _old, _new: False,
            ),
        ),
        observe=observe,
        reconcile=partial(reconcile, config.root_ca),
        component="kube-apiserver-serving-clustertrustbundle-publisher-controller",
    )
