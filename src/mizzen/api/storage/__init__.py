"""Kinds of the storage.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.storage.csidriver import CSI_DRIVER
from mizzen.api.storage.csinode import CSI_NODE
from mizzen.api.storage.csistoragecapacity import CSI_STORAGE_CAPACITY
from mizzen.api.storage.storageclass import STORAGE_CLASS
from mizzen.api.storage.volumeattachment import VOLUME_ATTACHMENT
from mizzen.api.storage.volumeattributesclass import VOLUME_ATTRIBUTES_CLASS

KINDS: tuple[Kind, ...] = (
    CSI_DRIVER,
    CSI_NODE,
    CSI_STORAGE_CAPACITY,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
    VOLUME_ATTRIBUTES_CLASS,
)
