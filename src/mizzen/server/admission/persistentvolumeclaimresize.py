"""PersistentVolumeClaimResize: a claim grows only if its class says that volumes can.

Ref: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from mizzen.api.storage.storageclass import STORAGE_CLASS
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.seams import Admission, Reader

_CANNOT_GROW = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


class PersistentVolumeClaimResize(Plugin):
    """Refuses growth that nothing can carry out."""

    name = "PersistentVolumeClaimResize"
    operations = frozenset({"UPDATE"})
    resources = frozenset({("", "persistentvolumeclaims")})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def validate(self, admission: Admission) -> None:
        if admission.object is None or admission.old is None:
            return
        if quantity.compare(_size(admission.object), _size(admission.old)) <= 0:
            return
        if (admission.old.get("status") or {}).get("phase") != "Bound":
            raise refusal(admission, "Only bound persistent volume claims can be expanded")
        name = admission.old["spec"].get("storageClassName")
        found = self._reader.get(STORAGE_CLASS, "", name) if name else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise refusal(admission, _CANNOT_GROW)


def _size(claim: Object) -> str:
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))
