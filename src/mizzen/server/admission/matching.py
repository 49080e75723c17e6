"""Whether a webhook or a policy concerns a request: rules, selectors, and conditions in CEL.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.kind import Kind
from mizzen.machinery import decode, labels, structural
from mizzen.machinery.cel import CelError, compile_expression
from mizzen.machinery.cel.timing import limited
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import AUTHENTICATED, Identity
from mizzen.server.authn.reviews import user_info
from mizzen.server.authn.serviceaccounts import groups, split_username
from mizzen.server.bodies import schema_of
from mizzen.server.scales import scale_of
from mizzen.server.seams import Admission, Attributes, Authorizer, Reader

REGISTRATION: Final = "admissionregistration.k8s.io"
CEL_SECONDS: Final = 0.5
"""Of processor time, for all expressions of one kind that are evaluated for a request."""
REVIEWS: Final = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
"""Groups of questions, which policies and quotas do not concern."""


class Context:
    """What matching reads beside the request itself."""

    def __init__(self, reader: Reader, authorizer: Authorizer) -> None:
        self.reader = reader
        self.authorizer = authorizer
        self._kinds: Sequence[Kind] = ()
        self._named: dict[tuple[str, str], Kind] = {}
        self._stored: dict[str, list[Kind]] = {}

    def namespace(self, admission: Admission) -> Object | None:
        """The namespace of the request's object; None outside of namespaces."""
        return self.reader.get(NAMESPACE, "", admission.namespace) if admission.namespace else None

    def find_kind(self, api_version: str, kind: str) -> Kind | None:
        """The kind of this name that is served."""
        self._index()
        return self._named.get((api_version, kind))

    def relatives(self, kind: Kind) -> Sequence[Kind]:
        """Kinds that are the same objects in other groups or versions."""
        self._index()
        known = self._stored.get(kind.storage, ())
        if len(known) < 2:
            return ()
        own = kind.group, kind.version
        return [one for one in known if (one.group, one.version) != own]

    def _index(self) -> None:
        kinds = self.reader.kinds()
        if kinds is self._kinds:
            return
        self._kinds, self._stored = kinds, {}
        self._named = {(kind.api_version, kind.kind): kind for kind in reversed(kinds)}
        for kind in kinds:
            self._stored.setdefault(kind.storage, []).append(kind)


def matched_kind(context: Context, admission: Admission, holder: Object) -> Kind | None:
    """The kind as which the rules want to see the object; None when they do not concern it.

    With matchPolicy Equivalent (the default) rules that name another version of the same objects match too.
    """
    rules: Sequence[Object] = holder.get("rules") or holder.get("resourceRules") or ()
    own = admission.kind
    for rule in holder.get("excludeResourceRules") or ():
        if _names(rule, admission, own):
            return None
    for rule in rules:
        if _names(rule, admission, own):
            return own
    if holder.get("matchPolicy", "Equivalent") != "Equivalent":
        return None
    relatives = context.relatives(own)
    for rule in rules if relatives else ():
        for kind in relatives:
            if _names(rule, admission, kind):
                return kind
    return None


def _names(rule: Object, admission: Admission, kind: Kind) -> bool:
    """Whether a rule names the operation and resource, and by resourceNames the object."""
    operations = rule.get("operations") or ()
    if admission.operation not in operations and "*" not in operations:
        return False
    if kind.group not in (named := rule.get("apiGroups") or ()) and "*" not in named:
        return False
    if kind.version not in (versions := rule.get("apiVersions") or ()) and "*" not in versions:
        return False
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != (bool(admission.namespace) and kind.namespaced):
        return False
    names = rule.get("resourceNames") or ()
    if names and admission.name not in names:
        return False
    return any(_covers(pattern, kind.plural, admission.subresource) for pattern in rule.get("resources") or ())


def _covers(pattern: str, plural: str, subresource: str) -> bool:
    resource, slash, sub = pattern.partition("/")
    if resource not in ("*", plural):
        return False
    if not slash:
        return not subresource
    return sub in ("*", subresource)


def selects(context: Context, admission: Admission, holder: Object) -> bool:
    """Whether namespaceSelector and objectSelector select the request."""
    selector = holder.get("namespaceSelector")
    if selector and not _selects_namespace(context, admission, labels.from_object(selector)):
        return False
    selector = holder.get("objectSelector")
    if not selector:
        return True
    parsed = labels.from_object(selector)
    return any(
        parsed.matches((obj.get("metadata") or {}).get("labels") or {})
        for obj in (admission.object, admission.old)
        if obj is not None
    )


def _selects_namespace(context: Context, admission: Admission, selector: labels.Selector) -> bool:
    if admission.kind.plural == "namespaces" and not admission.kind.group:
        found = admission.object or admission.old
    elif not admission.namespace:
        return True
    else:
        found = context.namespace(admission)
    return selector.matches(((found or {}).get("metadata") or {}).get("labels") or {})


def request_of(admission: Admission, kind: Kind, uid: str) -> Object:
    """The AdmissionRequest of a write, as `kind` sees it."""
    as_kind = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    own_kind = {"group": admission.kind.group, "version": admission.kind.version, "kind": admission.kind.kind}
    obj, old = admission.object, admission.old
    foreign = is_foreign(admission)
    if is_scaling(admission):
        obj, old = scaled(admission, obj), scaled(admission, old)
        as_kind = own_kind = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        foreign = True
    elif foreign and admission.object is not None:
        group, _, version = str(admission.object["apiVersion"]).rpartition("/")
        as_kind = own_kind = {"group": group, "version": version, "kind": admission.object["kind"]}
    as_resource = {"group": kind.group, "version": kind.version, "resource": kind.plural}
    own = admission.kind
    request: Object = {
        "uid": uid,
        "kind": as_kind,
        "resource": as_resource,
        "requestKind": own_kind,
        "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
        "name": admission.name,
        "operation": admission.operation,
        "userInfo": user_info(admission.user),
        "object": obj if foreign else converted(obj, own, kind),
        "oldObject": old if foreign else converted(old, own, kind),
        "dryRun": admission.dry_run,
        "options": _options(admission),
    }
    if admission.subresource:
        request["subResource"] = request["requestSubResource"] = admission.subresource
    if admission.namespace:
        request["namespace"] = admission.namespace
    return request


def is_scaling(admission: Admission) -> bool:
    """Whether the object is a workload whose scale is written."""
    return admission.subresource == "scale" and admission.kind.scale is not None and not is_foreign(admission)


def scaled(admission: Admission, obj: Object | None) -> Object | None:
    """The Scale of a workload, which is what webhooks and policies see of it."""
    assert admission.kind.scale is not None
    return scale_of(obj, admission.kind.scale) if obj is not None else None


def complete(kind: Kind, obj: Object) -> Object:
    """The object after somebody's change: of the types of its kind, without unknown fields, with defaults.

    Raises DecodeError.
    """
    if kind.structure is not None:
        structural.coerce_metadata(obj, kind.structure)
        structural.prune(obj, kind.structure)
    else:
        obj = decode.normalise(obj, schema_of(kind))
    if kind.default is not None:
        kind.default(obj)
    return obj


def is_foreign(admission: Admission) -> bool:
    """Whether the object is of another kind than the resource: an Eviction of a pod, options of a connection."""
    obj = admission.object
    return bool(admission.subresource) and obj is not None and obj.get("kind") != admission.kind.kind


def converted(obj: Object | None, source: Kind, target: Kind) -> Object | None:
    """The object as another of its kinds has it."""
    if obj is None or source == target:
        return obj
    stored = source.to_stored(dict(obj)) if source.to_stored else dict(obj)
    made = target.from_stored(stored) if target.from_stored else stored
    return {**made, "kind": target.kind, "apiVersion": target.api_version}


def _options(admission: Admission) -> Object | None:
    kind = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}.get(admission.operation)
    if kind is None:
        return None
    return {"kind": kind, "apiVersion": "meta.k8s.io/v1", **admission.options}


_VARIABLES: Final = ("object", "oldObject", "request", "authorizer", "namespaceObject", "params", "variables")


def data_of(context: Context, admission: Admission, kind: Kind, *, params: Object | None = None) -> dict[str, Any]:
    """The variables that expressions see."""
    request = request_of(admission, kind, "")
    own = admission.kind
    resource = {"group": own.group, "resource": own.plural, "namespace": admission.namespace, "name": admission.name}
    if admission.subresource:
        resource["subresource"] = admission.subresource
    return {
        "object": request.pop("object"),
        "oldObject": request.pop("oldObject"),
        "request": request,
        "authorizer": {"authorizer": {}, "requestResource": {"authorizer": resource}},
        "namespaceObject": context.namespace(admission),
        "params": params,
        "variables": {},
    }


def authorize_by(context: Context, admission: Admission) -> Callable[[dict[str, Any]], tuple[bool, str]]:
    """Answers checks of the `authorizer` variable, for the user of the request or a ServiceAccount."""

    def authorize(question: dict[str, Any]) -> tuple[bool, str]:
        user = _account(question["user"]) if "user" in question else admission.user
        decision = context.authorizer.authorize(
            Attributes(
                user,
                question["verb"],
                question.get("group", ""),
                "*",
                question.get("resource", ""),
                question.get("subresource", ""),
                question.get("namespace", ""),
                question.get("name", ""),
                question.get("path", ""),
                fields=question.get("fieldSelector", ""),
                labels=question.get("labelSelector", ""),
            )
        )
        return decision.allowed, decision.reason

    return authorize


def _account(name: str) -> Identity:
    account = split_username(name)
    return Identity(name, groups=(*groups(account[0]), AUTHENTICATED) if account else (AUTHENTICATED,))


def conditions_hold(
    context: Context, admission: Admission, conditions: Sequence[Mapping[str, Any]], data: Mapping[str, Any]
) -> bool:
    """Whether all matchConditions are true; one that is false decides, even if another fails. Raises CelError."""
    problem: CelError | None = None
    authorize = authorize_by(context, admission)
    with limited(time.thread_time, CEL_SECONDS):
        for condition in conditions:
            try:
                if not compile_expression(condition["expression"], _VARIABLES).holds(data, authorize):
                    return False
            except CelError as error:
                problem = problem or error
    if problem is not None:
        raise problem
    return True


VARIABLES: Final = _VARIABLES


def configured(reader: Reader, kind: Kind) -> Iterator[Object]:
    """Webhook configurations or policies, by name."""
    found = list(reader.list(kind))
    if found:
        yield from sorted(found, key=lambda one: str(one["metadata"]["name"]))
