"""Nobody may hand out what they do not hold: checks on writes of roles and bindings.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
"""

from typing import Final

from mizzen.api.kind import Kind
from mizzen.machinery.errors import Errors, Object
from mizzen.machinery.identity import MASTERS
from mizzen.server.authz.rbac import Rbac
from mizzen.server.authz.rules import ALL, Rule, not_covered
from mizzen.server.seams import Admission, Attributes, Authorizer, Operation

GROUP: Final = "rbac.authorization.k8s.io"
_ROLES: Final = {"roles", "clusterroles"}
_BINDINGS: Final = {"rolebindings", "clusterrolebindings"}
_EVERYTHING: Final = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), paths=(ALL,)))


class RbacEscalation:
    """Refuses roles and bindings that would give more than their writer has."""

    name = "RBACEscalation"

    def __init__(self, rbac: Rbac, authorizer: Authorizer) -> None:
        self._rbac = rbac
        self._authorizer = authorizer

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return kind.group == GROUP and operation in ("CREATE", "UPDATE") and not subresource

    def mutate(self, admission: Admission) -> None:
        return None

    def validate(self, admission: Admission) -> None:
        if admission.object is None or MASTERS in admission.user.groups:
            return
        if admission.kind.plural in _ROLES:
            self._check_role(admission, admission.object)
        elif admission.kind.plural in _BINDINGS:
            self._check_binding(admission, admission.object)

    def _check_role(self, admission: Admission, role: Object) -> None:
        old = admission.old or {}
        wanted = [Rule.parse(rule) for rule in role.get("rules") or ()]
        aggregates = bool(role.get("aggregationRule")) and role.get("aggregationRule") != old.get("aggregationRule")
        if admission.old is not None and role.get("rules") == old.get("rules") and not aggregates:
            return
        if self._may(admission, "escalate", admission.kind.plural, admission.name):
            return
        if aggregates:
            # A role that collects others may come to hold anything.
            if self._missing(admission, _EVERYTHING):
                why = "must have cluster-admin privileges to use an aggregationRule"
                raise Errors.forbidden(GROUP, admission.kind.plural, admission.name, why)
            return
        if missing := self._missing(admission, wanted):
            raise self._refusal(admission, missing)

    def _check_binding(self, admission: Admission, binding: Object) -> None:
        old, role = admission.old or {}, binding["roleRef"]
        if admission.old is not None and (role, binding.get("subjects")) == (old["roleRef"], old.get("subjects")):
            return
        plural = "clusterroles" if role["kind"] == "ClusterRole" else "roles"
        if self._may(admission, "bind", plural, role["name"]):
            return
        wanted = self._rbac.role_rules(role["kind"], admission.namespace, role["name"])
        if wanted is None:
            raise Errors.not_found(GROUP, plural, role["name"])
        if missing := self._missing(admission, wanted):
            raise self._refusal(admission, missing)

    def _may(self, admission: Admission, verb: str, plural: str, name: str) -> bool:
        attributes = Attributes(admission.user, verb, GROUP, "v1", plural, namespace=admission.namespace, name=name)
        return self._authorizer.authorize(attributes).allowed

    def _missing(self, admission: Admission, wanted: "list[Rule] | tuple[Rule, ...]") -> list[Rule]:
        held, _ = self._rbac.rules(admission.user, admission.namespace)
        return not_covered(wanted, held)

    @staticmethod
    def _refusal(admission: Admission, missing: list[Rule]) -> Exception:
        groups = " ".join(f'"{group}"' for group in admission.user.groups)
        listed = "\n".join(sorted(str(rule) for rule in missing))
        why = (
            f'user "{admission.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently '
            f"held:\n{listed}"
        )
        return Errors.forbidden(GROUP, admission.kind.plural, admission.name, why)
