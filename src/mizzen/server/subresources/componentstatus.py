"""ComponentStatuses: how scheduler, controllers and store do, made when they are asked for.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/component-status-v1/
"""

from mizzen.api.core.componentstatus import COMPONENT_STATUS
from mizzen.base.clock import Clock
from mizzen.machinery import fields, labels
from mizzen.machinery.errors import Errors, Object
from mizzen.server import codec, representation
from mizzen.server.call import Call
from mizzen.server.health import Check
from mizzen.server.served import ListMeta, encode_tail
from mizzen.server.work import Handlers
from mizzen.wire.message import Response


class ComponentStatuses:
    """One for each component whose check is known; checks may be added."""

    def __init__(self, clock: Clock) -> None:
        self.checks: dict[str, Check] = {}
        self._clock = clock

    def register(self, handlers: Handlers) -> None:
        """Answer reads of the kind."""
        handlers.unstored[COMPONENT_STATUS.storage] = self

    def __call__(self, call: Call) -> Response:
        name = call.info.name
        if call.info.verb == "get":
            if name not in self.checks:
                raise Errors.not_found("", COMPONENT_STATUS.plural, name)
            shown = representation.choose(call.request, call.served, call.media, self._clock.now, listing=False)
            return codec.respond(call.request, shown.one(encode_tail(_status(name, self.checks[name]()))), call.media)
        found = [_status(one, check()) for one, check in self.checks.items() if _selected(call, one)]
        shown = representation.choose(call.request, call.served, call.media, self._clock.now, listing=True)
        return codec.respond(call.request, shown.many([encode_tail(one) for one in found], ListMeta(0)), call.media)


def _selected(call: Call, name: str) -> bool:
    try:
        by_label = labels.parse(call.request.parameter("labelSelector"))
        by_field = fields.parse(call.request.parameter("fieldSelector"))
    except (labels.SelectorError, fields.SelectorError) as error:
        raise Errors.bad_request(str(error)) from None
    return by_label.matches({}) and by_field.matches({"metadata.name": name})


def _status(name: str, problem: str) -> Object:
    healthy: Object = {"type": "Healthy", "status": "True", "message": "ok"}
    if problem:
        healthy = {"type": "Healthy", "status": "False", "error": problem}
    return {"metadata": {"name": name}, "conditions": [healthy]}
