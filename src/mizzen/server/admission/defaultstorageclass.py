"""DefaultStorageClass: a claim that names no class gets the default one.

Ref: https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass
"""

from typing import Final

from mizzen.api.storage.storageclass import STORAGE_CLASS
from mizzen.server.admission.plugin import Plugin
from mizzen.server.seams import Admission, Reader

_ANNOTATIONS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_CLASS_ANNOTATION: Final = "volume.beta.kubernetes.io/storage-class"


class DefaultStorageClass(Plugin):
    """Fills in the class of new claims."""

    name = "DefaultStorageClass"
    resources = frozenset({("", "persistentvolumeclaims")})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def mutate(self, admission: Admission) -> None:
        claim = admission.object
        if claim is None or claim.setdefault("spec", {}).get("storageClassName") is not None:
            return
        if _CLASS_ANNOTATION in (claim["metadata"].get("annotations") or {}):
            return
        name = self._default()
        if name:
            claim["spec"]["storageClassName"] = name

    def _default(self) -> str:
        """The newest of the classes marked as default; of two made in the same second the first by name."""
        defaults = [
            known["metadata"]
            for known in self._reader.list(STORAGE_CLASS)
            if any((known["metadata"].get("annotations") or {}).get(name) == "true" for name in _ANNOTATIONS)
        ]
        defaults.sort(key=lambda metadata: str(metadata["name"]))
        return str(max(defaults, key=lambda metadata: metadata["creationTimestamp"])["name"]) if defaults else ""
