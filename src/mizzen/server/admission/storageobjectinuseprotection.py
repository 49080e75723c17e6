"""StorageObjectInUseProtection: claims and volumes get a finalizer, so that they outlive the pods that use them.

Ref: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
"""

from typing import Final

from mizzen.server.admission.plugin import Plugin
from mizzen.server.seams import Admission

_FINALIZERS: Final = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
    "volumeattributesclasses": "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection(Plugin):
    """Adds the finalizers at creation."""

    name = "StorageObjectInUseProtection"
    resources = frozenset(
        {("", "persistentvolumeclaims"), ("", "persistentvolumes"), ("storage.k8s.io", "volumeattributesclasses")}
    )

    def mutate(self, admission: Admission) -> None:
        if admission.object is None:
            return
        finalizer, metadata = _FINALIZERS[admission.kind.plural], admission.object["metadata"]
        held = metadata.get("finalizers") or []
        if finalizer not in held:
            metadata["finalizers"] = [*held, finalizer]
