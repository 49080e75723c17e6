"""TokenReview (whose token is this?) and SelfSubjectReview (who am I?): answered, never stored.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from mizzen.base.clock import Clock
from mizzen.machinery import times
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.identity import Identity
from mizzen.server.authn.chain import BadToken, Chain


class TokenReviews:
    """Answers TokenReviews by the server's own authenticators."""

    def __init__(self, chain: Chain, audiences: tuple[str, ...]) -> None:
        self._chain = chain
        self._audiences = audiences

    def __call__(self, review: Object, namespace: str, user: Identity) -> Object:
        """The review with its status. Raises ApiError 400 without a token."""
        spec = review.get("spec") or {}
        if not spec.get("token"):
            raise Errors.bad_request("token is required for TokenReview in authentication")
        asked = tuple(spec.get("audiences") or ())
        review.setdefault("metadata", {}).setdefault("creationTimestamp", None)
        try:
            found = self._chain.identify(spec["token"], asked or self._audiences)
        except BadToken as error:
            review["status"] = {"user": {}, "error": str(error)}
            return review
        if found is None or (asked and not found.audiences):
            review["status"] = {"user": {}, "error": "invalid bearer token"}
            return review
        review["status"] = {"authenticated": True, "user": user_info(found.user)}
        if found.audiences:
            review["status"]["audiences"] = list(found.audiences)
        return review


class SelfSubjectReviews:
    """Answers with the user that asks, after impersonation."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, review: Object, namespace: str, user: Identity) -> Object:
        review.setdefault("metadata", {})["creationTimestamp"] = times.format(self._clock.now())
        review["status"] = {"userInfo": user_info(user)}
        return review


def user_info(user: Identity) -> Object:
    """The UserInfo object of a user, empty fields left out."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
