"""PersistentVolumeClaim (core/v1)."""

from mizzen.api.kind import Kind

PERSISTENT_VOLUME_CLAIM = Kind(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    namespaced=True,
    singular="persistentvolumeclaim",
    short_names=("pvc",),
    has_status=True,
)
