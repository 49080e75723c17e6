"""MutatingAdmissionWebhook: webhooks change objects one after the other; whoever came before may look again."""

from collections.abc import Awaitable, Sequence
from typing import Any

import orjson

from mizzen.api.admissionregistration.mutatingwebhookconfiguration import MUTATING_WEBHOOK_CONFIGURATION
from mizzen.api.kind import Kind
from mizzen.machinery import paths
from mizzen.machinery.copies import copied
from mizzen.machinery.decode import DecodeError
from mizzen.machinery.errors import ApiError, Errors, Object
from mizzen.machinery.patch import json as json_patch
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.admission.plugin import Plugin
from mizzen.server.admission.webhooks import configured
from mizzen.server.admission.webhooks.call import Caller
from mizzen.server.admission.webhooks.configured import Webhook
from mizzen.server.seams import Admission, AdmissionPlugin, Operation


class MutatingAdmissionWebhook(Plugin):
    """Asks the mutating webhooks. `earlier` plugins run once more when a webhook has changed the object."""

    name = "MutatingAdmissionWebhook"

    def __init__(self, context: Context, caller: Caller, earlier: Sequence[AdmissionPlugin]) -> None:
        self._context = context
        self._caller = caller
        self._earlier = tuple(earlier)

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return kind.group != matching.REGISTRATION and kind.group not in matching.REVIEWS

    def mutate(self, admission: Admission) -> Awaitable[None] | None:
        webhooks = list(configured.concerned(self._context, MUTATING_WEBHOOK_CONFIGURATION, admission))
        return self._ask_all(admission, webhooks) if webhooks else None

    async def _ask_all(self, admission: Admission, webhooks: Sequence[Webhook]) -> None:
        original = orjson.dumps(admission.object)
        seen: list[tuple[Webhook, bytes]] = []
        for webhook in webhooks:
            await self._ask(admission, webhook)
            seen.append((webhook, orjson.dumps(admission.object)))
        if seen[-1][1] == original:
            return
        await self._again(admission)
        for webhook, left in seen:
            if webhook.spec.get("reinvocationPolicy") == "IfNeeded" and left != orjson.dumps(admission.object):
                await self._ask(admission, webhook)

    async def _ask(self, admission: Admission, webhook: Webhook) -> None:
        patch = await configured.ask(self._caller, admission, webhook)
        if patch and admission.object is not None:
            admission.object = _patched(admission, webhook, patch)

    async def _again(self, admission: Admission) -> None:
        for plugin in self._earlier:
            if plugin.handles(admission.operation, admission.kind, admission.subresource):
                waiting: Awaitable[None] | None = plugin.mutate(admission)
                if waiting is not None:
                    await waiting


def _patched(admission: Admission, webhook: Webhook, patch: list[Any]) -> Object:
    """The object with the patch applied, in the kind that the webhook saw, then defaulted. Raises ApiError."""
    foreign, scaling = matching.is_foreign(admission), matching.is_scaling(admission)
    if scaling:
        seen = matching.scaled(admission, admission.object)
    else:
        seen = admission.object if foreign else matching.converted(admission.object, admission.kind, webhook.kind)
    try:
        changed: Object = json_patch.apply(seen, patch)
    except ApiError as error:
        raise Errors.internal(f'failed to apply the patch of webhook "{webhook.name}": {error}') from error
    if foreign:
        return changed
    if scaling:
        return _with_replicas(admission, changed)
    back = matching.converted(changed, webhook.kind, admission.kind) or changed
    try:
        return matching.complete(admission.kind, back)
    except DecodeError as error:
        why = f'the patch of webhook "{webhook.name}" makes no {admission.kind.kind}: {error}'
        raise Errors.internal(why) from None


def _with_replicas(admission: Admission, scale: Object) -> Object:
    """The workload with the replicas of a Scale. Raises ApiError."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if type(replicas) is not int:
        raise Errors.internal(f"a webhook made a scale of {replicas!r} replicas")
    obj = copied(admission.object)
    assert admission.kind.scale is not None and obj is not None
    paths.put(obj, admission.kind.scale.replicas, replicas)
    return obj
