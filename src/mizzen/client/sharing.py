"""Equal parts of cached objects are kept once: what pods have from their template, their node or their second of birth.

A pod costs a third of what it would on its own; the parts are frozen, or dicts that nobody may change.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import force_setattr as put

from mizzen.api.views.core import Pod, PodIP, PodSpec, PodStatus
from mizzen.api.views.meta import ObjectMeta

T = TypeVar("T")

_LIMIT: Final = 100_000
"""Parts that are remembered; past it all are forgotten, and sharing begins anew."""
_encoded: Final = msgspec.msgpack.Encoder().encode
_SPEC_PARTS: Final = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "containers",
    "initContainers",
    "overhead",
    "resources",
    "volumes",
    "resourceClaims",
    "readinessGates",
    "schedulingGates",
)
_SPEC_TEXTS: Final = (
    "nodeName",
    "schedulerName",
    "priorityClassName",
    "preemptionPolicy",
    "restartPolicy",
    "serviceAccountName",
    "subdomain",
)


class Shared:
    """Remembers parts; what it answers is equal to what it is given, and the same object for equal ones."""

    def __init__(self) -> None:
        self._parts: dict[Any, Any] = {}

    def object(self, seen: T) -> T:
        """An object with its parts shared; it must be freshly made, nobody else may have seen it."""
        meta = getattr(seen, "metadata", None)
        if isinstance(meta, ObjectMeta):
            self._metadata(meta)
        if isinstance(seen, Pod):
            self._spec(seen.spec)
            self._status(seen.status)
        return seen

    def value(self, part: T) -> T:
        """A text or a frozen struct of such."""
        if len(self._parts) > _LIMIT:
            self._parts.clear()
        found: T = self._parts.setdefault(part, part)
        return found

    def part(self, field: str, part: T) -> T:
        """Anything, known by the field it stands in and how it is written."""
        if len(self._parts) > _LIMIT:
            self._parts.clear()
        found: T = self._parts.setdefault((field, _encoded(part)), part)
        return found

    def _metadata(self, meta: ObjectMeta) -> None:
        put(meta, "namespace", self.value(meta.namespace))
        if meta.generateName:
            put(meta, "generateName", self.value(meta.generateName))
        put(meta, "creationTimestamp", self.value(meta.creationTimestamp))
        for name in ("labels", "annotations", "finalizers"):
            if found := getattr(meta, name):
                put(meta, name, self.part(name, found))
        if meta.ownerReferences:
            put(meta, "ownerReferences", self.value(meta.ownerReferences))

    def _spec(self, spec: PodSpec) -> None:
        _each(spec, _SPEC_TEXTS, self.value)
        for name in _SPEC_PARTS:
            if found := getattr(spec, name):
                put(spec, name, self.part(name, found))

    def _status(self, status: PodStatus) -> None:
        _each(status, ("phase", "reason", "hostIP", "startTime", "qosClass"), self.value)
        if status.conditions:
            put(status, "conditions", tuple(self.value(one) for one in status.conditions))
        for name in ("containerStatuses", "initContainerStatuses"):
            if found := getattr(status, name):
                put(status, name, self.part(name, found))
        if len(status.podIPs) == 1 and status.podIPs[0].ip == status.podIP:
            put(status, "podIPs", (PodIP(status.podIP),))


def _each(struct: msgspec.Struct, names: tuple[str, ...], shared: Callable[[Any], Any]) -> None:
    for name in names:
        if found := getattr(struct, name):
            put(struct, name, shared(found))
