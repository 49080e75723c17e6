"""What the scheduler reads: its tables in the process's shared cache, and the look-ups that decisions make in them."""

from collections.abc import Mapping
from typing import Any, Final

from mizzen.api.views.apps import ReplicaSet, StatefulSet
from mizzen.api.views.core import (
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    ReplicationController,
    Service,
)
from mizzen.api.views.meta import LabelSelector, Requirement
from mizzen.api.views.policy import PodDisruptionBudget
from mizzen.api.views.resource import DeviceClass, DeviceTaintRule, ResourceClaim, ResourceSlice
from mizzen.api.views.storage import CSIDriver, CSINode, CSIStorageCapacity, StorageClass
from mizzen.client import resources
from mizzen.client.cache import Cache
from mizzen.client.client import Resource
from mizzen.scheduler.preemption import Budget
from mizzen.scheduler.snapshot import Lookups

FOLLOWED: Final[Mapping[Resource, type[Any]]] = {
    resources.NODES: Node,
    resources.PODS: Pod,
    resources.NAMESPACES: Namespace,
    resources.PERSISTENT_VOLUMES: PersistentVolume,
    resources.PERSISTENT_VOLUME_CLAIMS: PersistentVolumeClaim,
    resources.POD_DISRUPTION_BUDGETS: PodDisruptionBudget,
    resources.STORAGE_CLASSES: StorageClass,
    resources.CSI_NODES: CSINode,
    resources.CSI_DRIVERS: CSIDriver,
    resources.CSI_STORAGE_CAPACITIES: CSIStorageCapacity,
    resources.SERVICES: Service,
    resources.REPLICA_SETS: ReplicaSet,
    resources.REPLICATION_CONTROLLERS: ReplicationController,
    resources.STATEFUL_SETS: StatefulSet,
    resources.RESOURCE_CLAIMS: ResourceClaim,
    resources.DEVICE_CLASSES: DeviceClass,
    resources.RESOURCE_SLICES: ResourceSlice,
    resources.DEVICE_TAINT_RULES: DeviceTaintRule,
}
_REMEMBERED: Final = 4096


def is_finished(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def open_tables(cache: Cache) -> None:
    """Have everything followed that decisions look at."""
    for resource, view in FOLLOWED.items():
        cache.of(resource, view)


def lookups(cache: Cache) -> Lookups:
    """The look-ups into the cache."""
    volumes = cache.of(resources.PERSISTENT_VOLUMES, PersistentVolume)
    storage_classes = cache.of(resources.STORAGE_CLASSES, StorageClass)
    namespaces = cache.of(resources.NAMESPACES, Namespace)
    csi_nodes = cache.of(resources.CSI_NODES, CSINode)
    csi_drivers = cache.of(resources.CSI_DRIVERS, CSIDriver)
    capacities = cache.of(resources.CSI_STORAGE_CAPACITIES, CSIStorageCapacity)
    classes = cache.of(resources.DEVICE_CLASSES, DeviceClass)
    claims = cache.of(resources.RESOURCE_CLAIMS, ResourceClaim)
    slices = cache.of(resources.RESOURCE_SLICES, ResourceSlice)
    rules = cache.of(resources.DEVICE_TAINT_RULES, DeviceTaintRule)

    return Lookups(
        claim=cache.of(resources.PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).get,
        volume=lambda name: volumes.get("", name),
        volumes=lambda: volumes,
        storage_class=lambda name: storage_classes.get("", name),
        namespace=lambda name: namespaces.get("", name),
        csi_node=lambda name: csi_nodes.get("", name),
        csi_driver=lambda name: csi_drivers.get("", name),
        storage_capacities=lambda: capacities,
        siblings=Siblings(cache).selector,
        resource_claim=claims.get,
        resource_claims=lambda: claims,
        device_class=lambda name: classes.get("", name),
        device_classes=lambda: classes,
        resource_slices=lambda: slices,
        device_taint_rules=lambda: rules,
    )


class Siblings:
    """Finds the selector of the pods that belong together with a pod; remembers it for pods that look the same."""

    def __init__(self, cache: Cache) -> None:
        self._services = cache.of(resources.SERVICES, Service)
        self._owners: dict[str, Any] = {
            "ReplicaSet": cache.of(resources.REPLICA_SETS, ReplicaSet),
            "StatefulSet": cache.of(resources.STATEFUL_SETS, StatefulSet),
            "ReplicationController": cache.of(resources.REPLICATION_CONTROLLERS, ReplicationController),
        }
        self._known: dict[object, LabelSelector | None] = {}
        self._services.subscribe(lambda old, new: self._known.clear())

    def selector(self, pod: Pod) -> LabelSelector | None:
        """The labels that all Services of the pod select by, with the selector of its workload."""
        meta = pod.metadata
        owner = meta.controller
        key = (meta.namespace, owner.uid if owner else "", tuple(sorted(meta.labels.items())))
        if key in self._known:
            return self._known[key]
        pairs: dict[str, str] = {}
        expressions: tuple[Requirement, ...] = ()
        for service in self._services.in_namespace(meta.namespace):
            wanted = service.spec.selector
            if wanted and all(meta.labels.get(name) == value for name, value in wanted.items()):
                pairs |= wanted
        workload = None
        if owner is not None and owner.kind in self._owners:
            workload = self._owners[owner.kind].get(meta.namespace, owner.name)
            if workload is None:
                return LabelSelector(pairs) if pairs else None  # not seen yet: nothing to remember
        match workload:
            case ReplicationController():
                pairs |= workload.spec.selector
            case ReplicaSet() | StatefulSet():
                pairs |= workload.spec.selector.matchLabels
                expressions = workload.spec.selector.matchExpressions
            case _:
                pass
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        found = self._known[key] = LabelSelector(pairs, expressions) if pairs or expressions else None
        return found


def budgets(cache: Cache) -> tuple[Budget, ...]:
    """What the PodDisruptionBudgets still allow."""
    table = cache.of(resources.POD_DISRUPTION_BUDGETS, PodDisruptionBudget)
    return tuple(
        Budget(one.metadata.namespace, one.spec.selector, one.status.disruptionsAllowed)
        for one in table
        if one.spec.selector is not None
    )
