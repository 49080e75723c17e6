"""VolumeAttachment (storage.k8s.io/v1)."""

from mizzen.api.kind import Kind

VOLUME_ATTACHMENT = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    namespaced=False,
    singular="volumeattachment",
    has_status=True,
)
