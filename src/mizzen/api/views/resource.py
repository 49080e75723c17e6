"""Views of resource.k8s.io/v1, networking's ServiceCIDR and storagemigration's StorageVersionMigration."""

from typing import Any

from mizzen.api.views.meta import Condition, ObjectMeta, View


class ConsumerReference(View, frozen=True, gc=False):
    apiGroup: str = ""
    resource: str = ""
    name: str = ""
    uid: str = ""


class ResourceClaimStatus(View, frozen=True, gc=False):
    allocation: dict[str, Any] | None = None
    reservedFor: tuple[ConsumerReference, ...] = ()
    devices: tuple[dict[str, Any], ...] = ()


class ResourceClaim(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: dict[str, Any] = {}
    status: ResourceClaimStatus = ResourceClaimStatus()


class ClaimTemplateSpec(View, frozen=True, gc=False):
    metadata: dict[str, Any] = {}
    spec: dict[str, Any] = {}


class ResourceClaimTemplate(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ClaimTemplateSpec = ClaimTemplateSpec()


class DeviceClass(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: dict[str, Any] = {}


class ResourceSlice(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: dict[str, Any] = {}


class Conditions(View, frozen=True, gc=False):
    conditions: tuple[Condition, ...] = ()


class DeviceTaintRule(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: dict[str, Any] = {}
    status: Conditions = Conditions()


class ServiceCIDRSpec(View, frozen=True, gc=False):
    cidrs: tuple[str, ...] = ()


class ServiceCIDR(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceCIDRSpec = ServiceCIDRSpec()
    status: Conditions = Conditions()


class IPAddress(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()


class GroupResource(View, frozen=True, gc=False):
    group: str = ""
    resource: str = ""


class StorageVersionMigrationSpec(View, frozen=True, gc=False):
    resource: GroupResource = GroupResource()


class StorageVersionMigrationStatus(View, frozen=True, gc=False):
    conditions: tuple[Condition, ...] = ()
    resourceVersion: str = ""


class StorageVersionMigration(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: StorageVersionMigrationSpec = StorageVersionMigrationSpec()
    status: StorageVersionMigrationStatus = StorageVersionMigrationStatus()
