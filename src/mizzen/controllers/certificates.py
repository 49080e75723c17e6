"""Certificate requests: nodes' own are approved, approved ones signed, old ones cleaned away.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

import base64
from functools import partial

from mizzen.api.views.certificates import CertificateSigningRequest
from mizzen.api.views.meta import is_true
from mizzen.client.cache import Cache
from mizzen.client.resources import CERTIFICATE_SIGNING_REQUESTS
from mizzen.controllers.config import Config, Sign
from mizzen.controllers.status import created_at
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Delete, Patch, Plan

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SIGNERS = {
    "kubernetes.io/kube-apiserver-client",
    KUBELET_CLIENT,
    "kubernetes.io/kubelet-serving",
    "kubernetes.io/legacy-unknown",
}
_MINUTE = 60.0
_KEPT = {"Approved": 60 * _MINUTE, "Denied": 60 * _MINUTE, "Failed": 60 * _MINUTE, "": 24 * 60 * _MINUTE}


def observe(cache: Cache, key: str) -> CertificateSigningRequest | None:
    return cache.of(CERTIFICATE_SIGNING_REQUESTS, CertificateSigningRequest).get("", key)


def _is_decided(request: CertificateSigningRequest) -> bool:
    return is_true(request.status.conditions, "Approved") or is_true(request.status.conditions, "Denied")


def approve(request: CertificateSigningRequest, now: float) -> Plan:
    """Approve client certificates that nodes, or those that join, ask for themselves."""
    spec = request.spec
    joins = "system:nodes" in spec.groups or "system:bootstrappers" in spec.groups
    if _is_decided(request) or spec.signerName != KUBELET_CLIENT or not joins:
        return NOTHING
    text = "Auto approving kubelet client certificate after SubjectAccessReview."
    return Plan((_with_condition(request, "Approved", "AutoApproved", text, now, "approval"),))


def sign(signer: Sign, seconds: int, request: CertificateSigningRequest, now: float) -> Plan:
    """Sign what is approved and ours to sign; say why when it cannot be."""
    status, spec = request.status, request.spec
    if status.certificate or spec.signerName not in SIGNERS or not is_true(status.conditions, "Approved"):
        return NOTHING
    if is_true(status.conditions, "Failed") or is_true(status.conditions, "Denied"):
        return NOTHING
    lasts = min(seconds, spec.expirationSeconds or seconds)
    try:
        certificate = signer(spec.signerName, base64.b64decode(spec.request), spec.usages, lasts)
    except ValueError as error:
        return Plan((_with_condition(request, "Failed", "SignerValidationFailure", str(error), now, "status"),))
    meta = request.metadata
    patch = {"status": {"certificate": base64.b64encode(certificate).decode()}}
    return Plan((Patch(CERTIFICATE_SIGNING_REQUESTS, "", meta.name, patch, subresource="status", uid=meta.uid),))


def clean(request: CertificateSigningRequest, now: float) -> Plan:
    """Delete requests that were decided an hour ago or never."""
    decided = next((one for one in request.status.conditions if one.type in _KEPT and one.status == "True"), None)
    since = created_at(request.metadata)
    if decided is not None and decided.lastUpdateTime:
        since = times.parse(decided.lastUpdateTime)
    left = since + _KEPT[decided.type if decided is not None else ""] - now
    if left > 0:
        return Plan(requeue_after=left)
    return Plan((Delete(CERTIFICATE_SIGNING_REQUESTS, "", request.metadata.name, uid=request.metadata.uid),))


def _with_condition(
    request: CertificateSigningRequest, kind: str, reason: str, message: str, now: float, subresource: str
) -> Patch:
    stamp = times.format(now)
    condition: Object = {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
    }
    had = [
        {
            name: value
            for name, value in (
                ("type", one.type),
                ("status", one.status),
                ("reason", one.reason),
                ("message", one.message),
                ("lastUpdateTime", one.lastUpdateTime),
                ("lastTransitionTime", one.lastTransitionTime),
            )
            if value
        }
        for one in request.status.conditions
    ]
    meta = request.metadata
    return Patch(
        CERTIFICATE_SIGNING_REQUESTS,
        "",
        meta.name,
        {"status": {"conditions": [*had, condition]}},
        subresource=subresource,
        uid=meta.uid,
        resource_version=meta.resourceVersion,
    )


_WATCHES = (Watch(CERTIFICATE_SIGNING_REQUESTS, CertificateSigningRequest, own),)
APPROVING = Controller(name="csrapproving", watches=_WATCHES, observe=observe, reconcile=approve)
CLEANING = Controller(name="csrcleaner", watches=_WATCHES, observe=observe, reconcile=clean)


def signing(config: Config) -> Controller | None:
    """Signs with what the configuration hands in."""
    if config.sign is None:
        return None
    return Controller(
        name="csrsigning",
        watches=_WATCHES,
        observe=observe,
        reconcile=partial(sign, config.sign, config.certificate_seconds),
    )
