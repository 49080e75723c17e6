"""Extended resources that are devices: a pod asks for a number as ever, and gets a claim that the scheduler makes.

On a node that counts the resource itself, its device plugin serves the pod; elsewhere a DeviceClass that names it does.
Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#extended-resource
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from mizzen.api.views.core import Container
from mizzen.api.views.resource import DeviceClass, ResourceClaim
from mizzen.machinery.errors import Object
from mizzen.scheduler.devices import Devices, Picked
from mizzen.scheduler.requests import amounts
from mizzen.scheduler.snapshot import NodeInfo, PodInfo, Snapshot

ANNOTATION: Final = "resource.kubernetes.io/extended-resource-claim"
_PREFIX: Final = "deviceclass.resource.kubernetes.io/"
"""Every class has a resource of its own name below this."""
_LONGEST: Final = 58
"""So much of a name goes before what is generated."""


def delegated(pod: PodInfo, snapshot: Snapshot) -> dict[str, str]:
    """The extended resources that a pod asks for and that are devices, with their classes."""
    wanted = [name for name, amount in pod.requests.items() if amount and "/" in name]
    if not wanted:
        return {}
    named: dict[str, DeviceClass] = {}
    for one in snapshot.lookups.device_classes():
        for name in (_PREFIX + one.metadata.name, one.spec.get("extendedResourceName") or ""):
            if name in wanted and (name not in named or _later(one, named[name])):
                named[name] = one
    return {name: one.metadata.name for name, one in named.items()}


def _later(one: DeviceClass, other: DeviceClass) -> bool:
    """Of two classes for the same resource the younger counts, then the first by name."""
    mine, its = one.metadata, other.metadata
    if mine.creationTimestamp != its.creationTimestamp:
        return (mine.creationTimestamp or "") > (its.creationTimestamp or "")
    return mine.name < its.name


def served_by_devices(classes: Mapping[str, str], node: NodeInfo) -> dict[str, str]:
    """Those of the resources that a node does not count itself."""
    return {name: kind for name, kind in classes.items() if not node.allocatable.get(name)}


def uid(pod: str) -> str:
    """What stands for the uid of the claim that is not made yet, by that of its pod."""
    return f"extended {pod}"


def found(pod: PodInfo, claim: ResourceClaim, devices: dict[str, Picked], snapshot: Snapshot) -> None:
    """The claim is there: its devices are taken under its own uid, so that news of no other claim releases them."""
    stand_in, uid_ = uid(pod.pod.metadata.uid), claim.metadata.uid
    if stand_in in snapshot.assumed_devices and uid_ not in devices:
        devices[uid_] = devices[stand_in]
        snapshot.assumed_devices[uid_] = (pod.key, devices[stand_in])
        snapshot.assumed_devices[stand_in] = (pod.key, ())
        snapshot.taken = None


def claim_of(pod: PodInfo, snapshot: Snapshot) -> ResourceClaim | None:
    """The claim that was made for a pod's extended resources, by an attempt that did not come to its end."""
    told = pod.pod.status.extendedResourceClaimStatus
    if told is not None:
        return snapshot.lookups.resource_claim(pod.pod.metadata.namespace, told.resourceClaimName)
    return next((one for one in snapshot.lookups.resource_claims() if owner(one) == pod.pod.metadata.uid), None)


def owner(claim: ResourceClaim) -> str:
    """The uid of the pod whose extended resources a claim is for; "" for other claims."""
    of = claim.metadata.controller
    return of.uid if of is not None and ANNOTATION in claim.metadata.annotations else ""


def requests(pod: PodInfo, classes: Mapping[str, str]) -> tuple[list[Object], list[Object]]:
    """The claim's requests for these resources, one for each container and resource; and which is for which.

    Init containers that are done before others start take what those will get, where it is the same number.
    """
    wanted: list[Object] = []
    mappings: list[Object] = []
    spec = pod.pod.spec
    lasting: dict[tuple[str, int], str] = {}
    first = len(spec.initContainers)
    ordered = [*enumerate(spec.containers, first), *enumerate(spec.initContainers)]
    for at, container in ordered:
        is_passing = at < first and container.restartPolicy != "Always"
        for number, (resource, count) in enumerate(_counts(container, classes)):
            name = lasting.get((resource, count)) if is_passing else None
            if name is None:
                name = f"container-{at}-request-{number}"
                exactly = {"deviceClassName": classes[resource], "allocationMode": "ExactCount", "count": count}
                wanted.append({"name": name, "exactly": exactly})
            if not is_passing:
                lasting.setdefault((resource, count), name)
            mappings.append({"containerName": container.name, "resourceName": resource, "requestName": name})
    return wanted, mappings


def _counts(container: Container, classes: Iterable[str]) -> Iterator[tuple[str, int]]:
    asked = amounts(container.resources.requests)
    yield from ((name, asked[name]) for name in sorted(classes) if asked.get(name))


def devices(pod: PodInfo, classes: Mapping[str, str]) -> Devices:
    """What is allocated for these resources."""
    wanted, _ = requests(pod, classes)
    return msgspec.convert({"requests": wanted}, Devices)


def claim_name(pod: PodInfo) -> str:
    """The claim's name: as if it were generated, but the same at every attempt."""
    meta = pod.pod.metadata
    return f"{meta.name}-extended-resources-"[:_LONGEST] + hashlib.sha256(meta.uid.encode()).hexdigest()[:5]


def claim_body(pod: PodInfo, classes: Mapping[str, str], finalizer: str) -> Object:
    """The claim to be made for these resources."""
    meta = pod.pod.metadata
    reference = {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid}
    wanted, _ = requests(pod, classes)
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "name": claim_name(pod),
            "namespace": meta.namespace,
            "annotations": {ANNOTATION: "true"},
            "finalizers": [finalizer],
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"devices": {"requests": wanted}},
    }
