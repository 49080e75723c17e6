"""NamespaceLifecycle: nothing is created in a namespace that is missing or ending; three namespaces never end.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle
"""

from typing import Final

from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.kind import Kind
from mizzen.machinery.errors import Errors
from mizzen.server.admission import matching
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.seams import Admission, Operation, Reader

_IMMORTAL: Final = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle(Plugin):
    """Guards namespaces."""

    name = "NamespaceLifecycle"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        if subresource or kind.group in matching.REVIEWS:
            return False
        if kind.plural == "namespaces" and not kind.group:
            return operation == "DELETE"
        return operation == "CREATE" and kind.namespaced

    def mutate(self, admission: Admission) -> None:
        if admission.operation == "DELETE":
            if admission.name in _IMMORTAL:
                raise refusal(admission, "this namespace may not be deleted")
            return
        namespace = self._reader.get(NAMESPACE, "", admission.namespace)
        if namespace is None:
            raise Errors.not_found("", "namespaces", admission.namespace)
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            return
        name = admission.namespace
        error = refusal(admission, f"unable to create new content in namespace {name} because it is being terminated")
        error.details["causes"] = [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {name} is being terminated",
                "field": "metadata.namespace",
            }
        ]
        raise error
