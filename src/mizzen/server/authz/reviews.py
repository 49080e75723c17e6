"""SubjectAccessReview and its kin: may this user do that? And SelfSubjectRulesReview: what may I do here?

Ref: https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/
"""

from collections.abc import Iterable

from mizzen.api.authorization.localsubjectaccessreview import LOCAL_SUBJECT_ACCESS_REVIEW
from mizzen.api.authorization.reviews import validate_local, validate_of_user, validate_self
from mizzen.machinery.errors import Errors, FieldError, Object
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server import metadata
from mizzen.server.authz.rbac import Rbac
from mizzen.server.authz.rules import ALL, Rule
from mizzen.server.seams import Attributes, Authorizer

GROUP = "authorization.k8s.io"
_INCOMPLETE = "user may have permissions that the node and webhook authorizers do not enumerate"


class AccessReviews:
    """Answers SubjectAccessReview, LocalSubjectAccessReview and SelfSubjectAccessReview."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def subject(self, review: Object, namespace: str, user: Identity) -> Object:
        """A SubjectAccessReview: for the user it names. Raises ApiError 422."""
        _check(validate_of_user(review, None))
        return self._answer(review, _named(review["spec"]))

    def local(self, review: Object, namespace: str, user: Identity) -> Object:
        """A LocalSubjectAccessReview: for the user it names, in its own namespace only. Raises ApiError 400, 422."""
        metadata.place(review, LOCAL_SUBJECT_ACCESS_REVIEW, namespace)
        _check(validate_local(review, None))
        return self._answer(review, _named(review["spec"]))

    def self(self, review: Object, namespace: str, user: Identity) -> Object:
        """A SelfSubjectAccessReview: for the user that asks. Raises ApiError 422."""
        _check(validate_self(review, None))
        return self._answer(review, user)

    def _answer(self, review: Object, user: Identity) -> Object:
        review.setdefault("metadata", {}).setdefault("creationTimestamp", None)
        decision = self._authorizer.authorize(attributes_of(review["spec"], user))
        status: Object = {"allowed": decision.allowed}
        if decision.denied:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        review["status"] = status
        return review


class RulesReviews:
    """Answers SelfSubjectRulesReview, which `kubectl auth can-i --list` asks."""

    def __init__(self, rbac: Rbac) -> None:
        self._rbac = rbac

    def __call__(self, review: Object, namespace: str, user: Identity) -> Object:
        place = (review.get("spec") or {}).get("namespace", "")
        if not place:
            raise Errors.bad_request("no namespace on request")
        rules, problems = self._rbac.rules(user, place)
        if MASTERS in user.groups:
            rules = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), paths=(ALL,)), *rules)
        review.setdefault("metadata", {}).setdefault("creationTimestamp", None)
        review["status"] = {
            "resourceRules": [_resource_rule(rule) for rule in rules if rule.resources],
            "nonResourceRules": [
                {"verbs": list(rule.verbs), "nonResourceURLs": list(rule.paths)} for rule in rules if rule.paths
            ],
            "incomplete": bool(problems),
        }
        if problems:
            review["status"]["evaluationError"] = ", ".join(problems)
        return review


def attributes_of(spec: Object, user: Identity) -> Attributes:
    """What a review asks about, as the authorizer takes it."""
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return Attributes(user, path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    return Attributes(
        user,
        asked.get("verb", ""),
        asked.get("group", ""),
        asked.get("version", ""),
        asked.get("resource", ""),
        asked.get("subresource", ""),
        asked.get("namespace", ""),
        asked.get("name", ""),
        fields=_raw_selector(asked.get("fieldSelector")),
        labels=_raw_selector(asked.get("labelSelector")),
    )


def _raw_selector(selector: Object | None) -> str:
    """A review's selector as a request would carry it; requirements are equalities of one value here."""
    if not selector:
        return ""
    if selector.get("rawSelector"):
        return str(selector["rawSelector"])
    pairs = [
        f"{need['key']}={need['values'][0]}"
        for need in selector.get("requirements") or ()
        if need.get("operator") == "In" and len(need.get("values") or ()) == 1
    ]
    return ",".join(pairs)


def _named(spec: Object) -> Identity:
    return Identity(
        spec.get("user", ""),
        spec.get("uid", ""),
        tuple(spec.get("groups") or ()),
        {key: tuple(values) for key, values in (spec.get("extra") or {}).items()},
    )


def _check(errors: Iterable[FieldError]) -> None:
    if problems := list(errors):
        raise Errors.invalid(GROUP, "", "", problems)


def _resource_rule(rule: Rule) -> Object:
    shown: Object = {
        "verbs": list(rule.verbs),
        "apiGroups": list(rule.groups),
        "resources": list(rule.resources),
    }
    if rule.names:
        shown["resourceNames"] = list(rule.names)
    return shown
