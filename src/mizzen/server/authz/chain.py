"""The authorizers in order; the first that allows or denies decides."""

from collections.abc import Sequence

from mizzen.machinery.errors import ApiError, Errors, qualified
from mizzen.machinery.identity import MASTERS
from mizzen.server.seams import Attributes, Authorizer, Decision

_SUPERUSER = Decision(True)
_NO_OPINION = Decision(False)


class Superusers:
    """Allows everything to the group system:masters, whatever becomes of the roles."""

    def authorize(self, attributes: Attributes) -> Decision:
        return _SUPERUSER if MASTERS in attributes.user.groups else _NO_OPINION


class Authorizers:
    """Several authorizers as one."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def authorize(self, attributes: Attributes) -> Decision:
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons)) if reasons else _NO_OPINION


def refused(attributes: Attributes, reason: str = "") -> ApiError:
    """The 403 for what the authorizer did not allow."""
    why = describe(attributes)
    if reason:
        why = f"{why}: {reason}"
    if not attributes.is_resource:
        return ApiError(403, "Forbidden", f"forbidden: {why}")
    if attributes.name:
        return Errors.forbidden(attributes.group, attributes.resource, attributes.name, why)
    error = Errors.forbidden(attributes.group, attributes.resource, "", why)
    error.message = f"{qualified(attributes.resource, attributes.group)} is forbidden: {why}"
    return error


def describe(attributes: Attributes) -> str:
    """What the user cannot do, in the words of the original."""
    user = _quoted(attributes.user.name)
    if not attributes.is_resource:
        return f"User {user} cannot {attributes.verb} path {_quoted(attributes.path)}"
    resource = attributes.resource
    if attributes.subresource:
        resource = f"{resource}/{attributes.subresource}"
    place = f"in the namespace {_quoted(attributes.namespace)}" if attributes.namespace else "at the cluster scope"
    group = _quoted(attributes.group)
    return f"User {user} cannot {attributes.verb} resource {_quoted(resource)} in API group {group} {place}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
