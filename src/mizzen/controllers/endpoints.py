"""Endpoints, the older form of a Service's backends, and their mirroring into EndpointSlices when users write them.

Ref: https://kubernetes.io/docs/concepts/services-networking/service/#endpoints
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mizzen.api.views.core import EndpointPort, Endpoints, EndpointSubset, Pod, Service
from mizzen.api.views.discovery import Endpoint, EndpointConditions, EndpointSlice, SlicePort
from mizzen.api.views.meta import plain
from mizzen.client.cache import Cache
from mizzen.client.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from mizzen.controllers import backends, endpointslices
from mizzen.controllers.endpointslices import HEADLESS, MANAGED_BY, SERVICE_NAME, TRIGGER, Frame, Group
from mizzen.controllers.ownership import Identity
from mizzen.controllers.pods import is_ready
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.plan import NOTHING, Create, Delete, Patch, Plan

IDENTITY = Identity("v1", "Endpoints")
MANAGER = "endpointslicemirroring-controller.k8s.io"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED = "endpoints.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CAPACITY = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Service (None once it is gone), its pods, and its Endpoints."""

    service: Service | None
    pods: tuple[Pod, ...]
    endpoints: Endpoints | None


def observe(cache: Cache, key: str) -> Snapshot | None:
    service = cache.of(SERVICES, Service).get(*split(key))
    endpoints = cache.of(ENDPOINTS, Endpoints).get(*split(key))
    if service is None:
        managed = endpoints is not None and endpoints.metadata.labels.get(MANAGED) == "endpoint-controller"
        return Snapshot(None, (), endpoints) if managed else None
    if not service.spec.selector or service.spec.type == "ExternalName":
        return None
    return Snapshot(service, backends.pods_of(cache, service), endpoints)


def reconcile(seen: Snapshot, now: float) -> Plan:
    service, old = seen.service, seen.endpoints
    if service is None:
        if old is None:
            return NOTHING
        return Plan((Delete(ENDPOINTS, old.metadata.namespace, old.metadata.name, uid=old.metadata.uid),))
    if service.metadata.deleting:
        return NOTHING
    subsets, cut = _subsets(seen, service)
    labels = {key: value for key, value in service.metadata.labels.items() if key != HEADLESS}
    labels[MANAGED] = "endpoint-controller"
    if service.spec.clusterIP == "None":
        labels[HEADLESS] = ""
    annotations = {OVER_CAPACITY: "truncated"} if cut else {}
    meta = service.metadata
    if old is None:
        annotations[TRIGGER] = times.format(now)
        head = {"name": meta.name, "namespace": meta.namespace, "labels": labels, "annotations": annotations}
        body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": head, "subsets": subsets}
        return Plan((Create(ENDPOINTS, body),))
    had = old.metadata
    patch: Object = {}
    if subsets != [plain(one) for one in old.subsets]:
        patch["subsets"] = subsets or None
        annotations[TRIGGER] = times.format(now)
    changed: dict[str, str | None] = {key: value for key, value in labels.items() if had.labels.get(key) != value}
    changed |= {key: None for key in had.labels if key not in labels}
    marks: dict[str, str | None] = {k: v for k, v in annotations.items() if had.annotations.get(k) != v}
    if OVER_CAPACITY in had.annotations and not cut:
        marks[OVER_CAPACITY] = None
    if changed or marks:
        patch["metadata"] = {"labels": changed, "annotations": marks}
    if not patch:
        return NOTHING
    action = Patch(ENDPOINTS, had.namespace, had.name, patch, resource_version=had.resourceVersion)
    return Plan((action,), rest=backends.rest(len(seen.pods)))


def _subsets(seen: Snapshot, service: Service) -> tuple[list[Object], bool]:
    """Addresses grouped by the ports they serve, at most a thousand; whether some were cut off."""
    family = backends.families(service)[0]
    groups: dict[tuple[backends.Port, ...], tuple[list[Object], list[Object]]] = defaultdict(lambda: ([], []))
    pods = [pod for pod in seen.pods if not pod.metadata.deleting or service.spec.publishNotReadyAddresses]
    for pod in pods[:CAPACITY]:
        for ip in backends.addresses(pod, family)[:1]:
            ready = is_ready(pod) or service.spec.publishNotReadyAddresses
            address: Object = {
                "ip": ip,
                "targetRef": {
                    "kind": "Pod",
                    "namespace": pod.metadata.namespace,
                    "name": pod.metadata.name,
                    "uid": pod.metadata.uid,
                },
            }
            if name := backends.hostname(service, pod):
                address["hostname"] = name
            if pod.spec.nodeName:
                address["nodeName"] = pod.spec.nodeName
            groups[backends.ports_of(service, pod)][0 if ready else 1].append(address)
    subsets = []
    for ports, (ready_ones, others) in sorted(groups.items(), key=lambda pair: [str(port) for port in pair[0]]):
        subset: Object = {}
        if ready_ones:
            subset["addresses"] = sorted(ready_ones, key=lambda one: one["ip"])
        if others:
            subset["notReadyAddresses"] = sorted(others, key=lambda one: one["ip"])
        if ports:
            subset["ports"] = [_port(port) for port in sorted(ports, key=lambda port: (port.name, port.port))]
        subsets.append(_ordered(subset))
    return subsets, len(pods) > CAPACITY


def _port(port: backends.Port) -> Object:
    return plain(EndpointPort(port.name, port.port, port.protocol, port.appProtocol))  # type: ignore[no-any-return]


def _ordered(subset: Object) -> Object:
    """A subset as the view writes it, so that equal ones compare equal."""
    made: Object = plain(msgspec.convert(subset, EndpointSubset))
    return made


@dataclass(frozen=True, slots=True)
class Mirrored:
    """Endpoints that a user wrote for a Service without selector (or None any more), and the slices made from them."""

    endpoints: Endpoints | None
    slices: tuple[EndpointSlice, ...]


def observe_mirror(cache: Cache, key: str) -> Mirrored | None:
    endpoints = cache.of(ENDPOINTS, Endpoints).get(*split(key))
    service = cache.of(SERVICES, Service).get(*split(key))
    slices = endpointslices.slices_of(cache, *split(key), MANAGER)
    if endpoints is None or service is None or service.spec.selector or _is_private(endpoints):
        return Mirrored(None, slices) if slices else None
    return Mirrored(endpoints, slices)


def _is_private(endpoints: Endpoints) -> bool:
    """Whether its writer, or a leader election, wants it for itself."""
    return endpoints.metadata.labels.get(SKIP_MIRROR) == "true" or LEADER in endpoints.metadata.annotations


def reconcile_mirror(seen: Mirrored, now: float) -> Plan:
    endpoints = seen.endpoints
    if endpoints is None:
        return Plan(tuple(endpointslices.deleted(one) for one in seen.slices if not one.metadata.deleting))
    if endpoints.metadata.deleting:
        return NOTHING
    wanted: dict[Group, dict[str, Endpoint]] = defaultdict(dict)
    for subset in endpoints.subsets:
        ports = tuple(SlicePort(one.name, one.protocol, one.port, one.appProtocol) for one in subset.ports)
        for addresses, ready in ((subset.addresses, True), (subset.notReadyAddresses, False)):
            for address in addresses:
                family = "IPv6" if ":" in address.ip else "IPv4"
                made = Endpoint(
                    addresses=(address.ip,),
                    conditions=EndpointConditions(ready=ready),
                    hostname=address.hostname or None,
                    nodeName=address.nodeName,
                    targetRef=address.targetRef,
                )
                wanted[family, ports][endpointslices.key_of(made)] = made
    meta = endpoints.metadata
    labels = {**meta.labels, SERVICE_NAME: meta.name, MANAGED_BY: MANAGER}
    annotations = {key: value for key, value in meta.annotations.items() if key not in (TRIGGER, APPLIED)}
    actions = endpointslices.arranged(wanted, seen.slices, Frame(meta, IDENTITY, labels, annotations), now)
    return Plan(actions) if actions else NOTHING


def _keys_of_slice(_cache: Cache, one: EndpointSlice) -> Iterable[str]:
    labels = one.metadata.labels
    if labels.get(MANAGED_BY) == MANAGER and SERVICE_NAME in labels:
        yield f"{one.metadata.namespace}/{labels[SERVICE_NAME]}"


CONTROLLER = Controller(
    name="endpoint",
    watches=(
        Watch(SERVICES, Service, own),
        Watch(PODS, Pod, backends.keys_of_pod, backends.pod_concerns),
        Watch(ENDPOINTS, Endpoints, own),
    ),
    observe=observe,
    reconcile=reconcile,
    component="endpoint-controller",
)
MIRROR = Controller(
    name="endpointslicemirroring",
    watches=(
        Watch(ENDPOINTS, Endpoints, own),
        Watch(SERVICES, Service, own),
        Watch(ENDPOINT_SLICES, EndpointSlice, _keys_of_slice),
    ),
    observe=observe_mirror,
    reconcile=reconcile_mirror,
    component="endpointslicemirroring-controller",
)
