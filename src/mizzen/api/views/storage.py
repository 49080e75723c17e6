"""Views of storage.k8s.io/v1."""

from typing import Any

from mizzen.api.views.core import Quantity
from mizzen.api.views.meta import LabelSelector, ObjectMeta, View


class TopologySelectorRequirement(View, frozen=True, gc=False):
    key: str = ""
    values: tuple[str, ...] = ()


class TopologySelectorTerm(View, frozen=True, gc=False):
    matchLabelExpressions: tuple[TopologySelectorRequirement, ...] = ()


class StorageClass(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    provisioner: str = ""
    parameters: dict[str, str] = {}
    reclaimPolicy: str = "Delete"
    mountOptions: tuple[str, ...] = ()
    allowVolumeExpansion: bool = False
    volumeBindingMode: str = "Immediate"
    allowedTopologies: tuple[TopologySelectorTerm, ...] = ()


class CSIDriverSpec(View, frozen=True, gc=False):
    attachRequired: bool = True
    storageCapacity: bool = False
    preventPodSchedulingIfMissing: bool = False


class CSIDriver(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: CSIDriverSpec = CSIDriverSpec()


class CSINodeDriver(View, frozen=True, gc=False):
    name: str = ""
    nodeID: str = ""
    topologyKeys: tuple[str, ...] = ()
    allocatable: dict[str, Any] | None = None


class CSINodeSpec(View, frozen=True, gc=False):
    drivers: tuple[CSINodeDriver, ...] = ()


class CSINode(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: CSINodeSpec = CSINodeSpec()


class CSIStorageCapacity(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    storageClassName: str = ""
    nodeTopology: LabelSelector | None = None
    capacity: Quantity | None = None
    maximumVolumeSize: Quantity | None = None


class VolumeAttachmentSource(View, frozen=True, gc=False):
    persistentVolumeName: str | None = None


class VolumeAttachmentSpec(View, frozen=True, gc=False):
    attacher: str = ""
    nodeName: str = ""
    source: VolumeAttachmentSource = VolumeAttachmentSource()


class VolumeAttachmentStatus(View, frozen=True, gc=False):
    attached: bool = False


class VolumeAttachment(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()
    status: VolumeAttachmentStatus = VolumeAttachmentStatus()


class VolumeAttributesClass(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
