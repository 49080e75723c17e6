"""Approving after a SubjectAccessReview, signing with the seam handed in, and cleaning by age."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import orjson

from mizzen.api.views.certificates import CertificateSigningRequest
from mizzen.api.views.meta import Condition, is_true, plain
from mizzen.client.cache import Cache
from mizzen.client.resources import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS
from mizzen.controllers.certificates import kubelets
from mizzen.controllers.config import Config, Sign
from mizzen.controllers.status import created_at
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Answer, Delete, Get, Patch, Plan, Review

_MINUTE = 60.0
_KEPT = {"Approved": 60 * _MINUTE, "Denied": 60 * _MINUTE, "Failed": 60 * _MINUTE, "": 24 * 60 * _MINUTE}
_ASK_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Petition:
    """A request, and whether its author may have such certificates; None before that was asked."""

    request: CertificateSigningRequest
    allowed: bool | None = None


def _of(cache: Cache, key: str) -> CertificateSigningRequest | None:
    return cache.of(CERTIFICATE_SIGNING_REQUESTS, CertificateSigningRequest).get("", key)


def observe(cache: Cache, key: str) -> Petition | None:
    request = _of(cache, key)
    return None if request is None else Petition(request)


def informed(seen: Petition, answers: Mapping[Get, Answer]) -> Petition:
    allowed = any(answer.status == 200 and answer.body["status"].get("allowed") for answer in answers.values())
    return replace(seen, allowed=allowed)


def approve(seen: Petition, now: float) -> Plan:
    """Approve client certificates that nodes ask for, if a review says that they may have them."""
    request = seen.request
    conditions = request.status.conditions
    if is_true(conditions, "Approved") or is_true(conditions, "Denied") or request.status.certificate:
        return NOTHING
    if request.spec.signerName != kubelets.KUBELET_CLIENT:
        return NOTHING
    try:
        wanted = kubelets.asked(request)
    except ValueError:
        return NOTHING
    if kubelets.problem(kubelets.KUBELET_CLIENT, wanted, request.spec.usages):
        return NOTHING
    is_own = request.spec.username == wanted.name
    if seen.allowed is None:
        kinds = ("selfnodeclient", "nodeclient") if is_own else ("nodeclient",)
        return Plan(ask=tuple(_review(request, kind) for kind in kinds))
    if not seen.allowed:
        return Plan(requeue_after=_ASK_AGAIN)
    whose = "self kubelet" if is_own else "kubelet"
    text = f"Auto approving {whose} client certificate after SubjectAccessReview."
    return Plan((_with_condition(request, "Approved", "AutoApproved", text, now, "approval"),))


def _review(request: CertificateSigningRequest, kind: str) -> Review:
    spec = request.spec
    attributes = {
        "group": CERTIFICATE_SIGNING_REQUESTS.group,
        "version": "*",
        "resource": CERTIFICATE_SIGNING_REQUESTS.plural,
        "subresource": kind,
        "verb": "create",
    }
    asked = {"user": spec.username, "groups": list(spec.groups), "uid": spec.uid, "extra": spec.extra}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**{name: value for name, value in asked.items() if value}, "resourceAttributes": attributes},
    }
    return Review(SUBJECT_ACCESS_REVIEWS.path(), body=orjson.dumps(body, option=orjson.OPT_SORT_KEYS))


def sign(signer: Sign, seconds: int, request: CertificateSigningRequest, now: float) -> Plan:
    """Sign what is approved and ours to sign; say why when it cannot be."""
    status, spec = request.status, request.spec
    if status.certificate or spec.signerName not in kubelets.SIGNERS or not is_true(status.conditions, "Approved"):
        return NOTHING
    if is_true(status.conditions, "Failed") or is_true(status.conditions, "Denied"):
        return NOTHING
    lasts = min(seconds, spec.expirationSeconds or seconds)
    try:
        why = kubelets.problem(spec.signerName, kubelets.asked(request), spec.usages)
        if why:
            raise ValueError(why)
        certificate = signer(base64.b64decode(spec.request), spec.usages, lasts)
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
    made = Condition(kind, "True", reason, message, lastTransitionTime=stamp, lastUpdateTime=stamp)
    conditions = [plain(one) for one in (*request.status.conditions, made)]
    meta = request.metadata
    return Patch(
        CERTIFICATE_SIGNING_REQUESTS,
        "",
        meta.name,
        {"status": {"conditions": conditions}},
        subresource=subresource,
        uid=meta.uid,
        resource_version=meta.resourceVersion,
    )


_WATCHES = (Watch(CERTIFICATE_SIGNING_REQUESTS, CertificateSigningRequest, own),)
APPROVING = Controller(name="csrapproving", watches=_WATCHES, observe=observe, reconcile=approve, informed=informed)
CLEANING = Controller(name="csrcleaner", watches=_WATCHES, observe=_of, reconcile=clean)


def signing(config: Config) -> Controller | None:
    """Signs with what the configuration hands in."""
    if config.sign is None:
        return None
    return Controller(
        name="csrsigning",
        watches=_WATCHES,
        observe=_of,
        reconcile=partial(sign, config.sign, config.certificate_seconds),
    )
