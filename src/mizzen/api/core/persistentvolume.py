"""PersistentVolume (core/v1)."""

from mizzen.api.kind import Kind

PERSISTENT_VOLUME = Kind(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    namespaced=False,
    singular="persistentvolume",
    short_names=("pv",),
    has_status=True,
)
