"""Kinds of the storagemigration.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.storagemigration.storageversionmigration import STORAGE_VERSION_MIGRATION

KINDS: tuple[Kind, ...] = (STORAGE_VERSION_MIGRATION,)
