"""Webhooks that concern a request, and what they answer.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import base64
import binascii
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from mizzen.api.kind import Kind
from mizzen.machinery.cel import CelError
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.admission.webhooks.call import Caller, Unreachable
from mizzen.server.seams import Admission

_SECONDS: Final = 10
_BAD_REQUEST: Final = 400
_HARMLESS: Final = ("None", "NoneOnDryRun")


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration, and the kind as which it wants to see the object."""

    configuration: str
    spec: Object
    kind: Kind

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def fails_open(self) -> bool:
        return bool(self.spec.get("failurePolicy") == "Ignore")


class _Status(msgspec.Struct, frozen=True):
    """Why a webhook refuses; attributes have the names of the wire."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: dict[str, Any] | None = None


class _Response(msgspec.Struct, frozen=True):
    """What a webhook answers; attributes have the names of the wire."""

    uid: str | None = None
    allowed: bool | None = None
    status: _Status | None = None
    patch: str | None = None
    patchType: str | None = None
    auditAnnotations: dict[str, str] | None = None
    warnings: tuple[str, ...] | None = None


def concerned(context: Context, configurations: Kind, admission: Admission) -> Iterator[Webhook]:
    """The webhooks to ask, in order. Raises ApiError when a condition fails that must not."""
    for configuration in matching.configured(context.reader, configurations):
        for spec in configuration.get("webhooks") or ():
            kind = matching.matched_kind(context, admission, spec)
            if kind is None or not matching.selects(context, admission, spec):
                continue
            webhook = Webhook(configuration["metadata"]["name"], spec, kind)
            if _conditions_hold(context, admission, webhook):
                yield webhook


def _conditions_hold(context: Context, admission: Admission, webhook: Webhook) -> bool:
    conditions = webhook.spec.get("matchConditions") or ()
    if not conditions:
        return True
    try:
        data = matching.data_of(context, admission, webhook.kind)
        return matching.conditions_hold(context, admission, conditions, data)
    except CelError as error:
        if webhook.fails_open:
            return False
        why = f'failed to evaluate match conditions of webhook "{webhook.name}": {error}'
        raise ApiError(403, "Forbidden", why) from error


async def ask(caller: Caller, admission: Admission, webhook: Webhook) -> list[Any] | None:
    """The JSON patch that the webhook wants applied, if any. Raises ApiError when it refuses or must not fail."""
    if admission.dry_run and webhook.spec.get("sideEffects") not in _HARMLESS:
        raise Errors.bad_request(f"admission webhook {webhook.name!r} does not support dry run".replace("'", '"'))
    uid = str(uuid.uuid4())
    request = matching.request_of(admission, webhook.kind, uid)
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    try:
        seconds = webhook.spec.get("timeoutSeconds") or _SECONDS
        answer = await caller.post(webhook.spec.get("clientConfig") or {}, review, seconds)
        response = _response(answer, uid)
        patch = _patch(response)
    except Unreachable as error:
        if webhook.fails_open:
            admission.annotations[f"failed-open.webhook.admission.k8s.io/{webhook.name}"] = webhook.configuration
            return None
        raise Errors.internal(f'failed calling webhook "{webhook.name}": {error}') from error
    admission.warnings.extend(response.warnings or ())
    for key, value in (response.auditAnnotations or {}).items():
        admission.annotations[f"{webhook.name}/{key}"] = value
    if not response.allowed:
        raise _denial(webhook, response.status or _Status())
    return patch


def _response(answer: Object, uid: str) -> _Response:
    answered = answer.get("apiVersion"), answer.get("kind")
    if answered != ("admission.k8s.io/v1", "AdmissionReview"):
        got = f"{answered[0]}, Kind={answered[1]}"
        raise Unreachable(f"expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {got}")
    if answer.get("response") is None:
        raise Unreachable("webhook response was absent")
    try:
        response = msgspec.convert(answer["response"], _Response)
    except msgspec.ValidationError as error:
        raise Unreachable(f"failed to call webhook: the answer is no AdmissionReview: {error}") from error
    if response.uid != uid:
        raise Unreachable(f'expected response.uid="{uid}", got "{response.uid or ""}"')
    return response


def _patch(response: _Response) -> list[Any] | None:
    if not response.patch:
        return None
    if response.patchType != "JSONPatch":
        raise Unreachable('webhook returned response.patch but not response.patchType="JSONPatch"')
    try:
        patch = orjson.loads(base64.b64decode(response.patch))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise Unreachable(f"webhook returned a patch that cannot be read: {error}") from error
    if not isinstance(patch, list):
        raise Unreachable("webhook returned a patch that is no list")
    return patch


def _denial(webhook: Webhook, status: _Status) -> ApiError:
    said = status.message or status.reason
    text = f'admission webhook "{webhook.name}" denied the request'
    text = f"{text}: {said}" if said else f"{text} without explanation"
    return ApiError(max(status.code or 0, _BAD_REQUEST), status.reason or "", text, status.details or {})
