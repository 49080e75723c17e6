"""Access to devices for administration: only where the namespace is marked for administrators.

It is a validation in the original, and answered as such.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#admin-access
"""

from typing import Any

from mizzen.api.core.namespace import NAMESPACE
from mizzen.machinery.errors import Errors, Object, forbidden
from mizzen.server.admission.plugin import WRITES, Plugin
from mizzen.server.seams import Admission, Reader

_LABEL = "resource.kubernetes.io/admin-access"
_DETAIL = f"admin access to devices requires the `{_LABEL}: true` label on the containing namespace"
_TEMPLATES = "resourceclaimtemplates"


class DeviceAdminAccess(Plugin):
    """Refuses requests and allocations for administration in other namespaces."""

    name = "DeviceAdminAccess"
    operations = WRITES
    resources = frozenset({("resource.k8s.io", "resourceclaims"), ("resource.k8s.io", _TEMPLATES)})
    subresources = frozenset({"", "status"})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def validate(self, admission: Admission) -> None:
        if admission.object is None:
            return
        if admission.subresource:
            if admission.old is not None and _first(_results(admission.old)) is not None:
                return  # granted already
            at, where = _first(_results(admission.object)), "status.allocation.devices.results"
        elif admission.old is not None:
            return  # what is asked for does not change
        else:
            at, where = _first(_requests(admission)), "spec.devices.requests"
        if at is None:
            return
        namespace = self._reader.get(NAMESPACE, "", admission.namespace) or {}
        if ((namespace.get("metadata") or {}).get("labels") or {}).get(_LABEL) != "true":
            errors = [forbidden(f"{where}[{at}].adminAccess", _DETAIL)]
            raise Errors.invalid(admission.kind.group, admission.kind.kind, admission.name, errors)


def _requests(admission: Admission) -> list[Any]:
    spec = (admission.object or {}).get("spec") or {}
    if admission.kind.plural == _TEMPLATES:
        spec = spec.get("spec") or {}
    return [one.get("exactly") or {} for one in (spec.get("devices") or {}).get("requests") or ()]


def _results(claim: Object) -> list[Any]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return list((allocation.get("devices") or {}).get("results") or ())


def _first(listed: list[Any]) -> int | None:
    """The number of the first one with access for administration."""
    return next((at for at, one in enumerate(listed) if one.get("adminAccess")), None)
