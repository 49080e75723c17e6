"""ValidatingAdmissionWebhook: webhooks are all asked at once, and any may refuse."""

import asyncio
from collections.abc import Awaitable, Sequence

from mizzen.api.admissionregistration.validatingwebhookconfiguration import VALIDATING_WEBHOOK_CONFIGURATION
from mizzen.api.kind import Kind
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.admission.plugin import Plugin
from mizzen.server.admission.webhooks import configured
from mizzen.server.admission.webhooks.call import Caller
from mizzen.server.admission.webhooks.configured import Webhook
from mizzen.server.seams import Admission, Operation


class ValidatingAdmissionWebhook(Plugin):
    """Asks the validating webhooks; of several refusals the first in order is told."""

    name = "ValidatingAdmissionWebhook"

    def __init__(self, context: Context, caller: Caller) -> None:
        self._context = context
        self._caller = caller

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return kind.group != matching.REGISTRATION and kind.group not in matching.REVIEWS

    def validate(self, admission: Admission) -> Awaitable[None] | None:
        webhooks = list(configured.concerned(self._context, VALIDATING_WEBHOOK_CONFIGURATION, admission))
        return self._ask_all(admission, webhooks) if webhooks else None

    async def _ask_all(self, admission: Admission, webhooks: Sequence[Webhook]) -> None:
        asked = [configured.ask(self._caller, admission, webhook) for webhook in webhooks]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
