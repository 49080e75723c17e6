"""VolumeAttributesClass (storage.k8s.io/v1)."""

from mizzen.api.kind import Kind

VOLUME_ATTRIBUTES_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    namespaced=False,
    singular="volumeattributesclass",
    short_names=("vac",),
)
