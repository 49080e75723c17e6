"""EndpointSlices: the backends of each Service in slices of at most a hundred, changed as little as possible.

Ref: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mizzen.api.views.core import Node, Pod, Service
from mizzen.api.views.discovery import Endpoint, EndpointConditions, EndpointHints, EndpointSlice, ForZone, SlicePort
from mizzen.api.views.meta import ObjectReference, plain
from mizzen.client.cache import BY_LABEL, BY_NODE, Cache
from mizzen.client.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from mizzen.controllers import backends, topology
from mizzen.controllers.ownership import Identity, about, owned_by
from mizzen.controllers.pods import is_ready
from mizzen.controllers.topology import ZONE
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.reconcile.controller import Controller, Watch, own, split
from mizzen.reconcile.controller import key_of as place_of
from mizzen.reconcile.plan import NOTHING, Action, Create, Delete, Note, Patch, Plan

IDENTITY = Identity("v1", "Service")
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
CAPACITY = 100

Group = tuple[str, tuple[SlicePort, ...]]
"""Address type and ports: what all endpoints of a slice share."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Service, its pods, the zones of their nodes, and its slices as they stand.

    `shares`: those of the zones, or why there are none, where the Service asks for topology aware routing.
    """

    service: Service
    pods: tuple[Pod, ...]
    zones: Mapping[str, str]
    slices: tuple[EndpointSlice, ...]
    shares: topology.Shares | str | None = None


def observe(cache: Cache, key: str) -> Snapshot | None:
    service = cache.of(SERVICES, Service).get(*split(key))
    if service is None or not service.spec.selector or service.spec.type == "ExternalName":
        return None
    pods = backends.pods_of(cache, service)
    nodes = cache.of(NODES, Node)
    names = {pod.spec.nodeName for pod in pods}
    found = (nodes.get("", name) for name in names)
    zones = {node.metadata.name: node.metadata.labels[ZONE] for node in found if node and ZONE in node.metadata.labels}
    shares = topology.shares(nodes) if topology.is_aware(service) else None
    return Snapshot(service, pods, zones, slices_of(cache, *split(key), MANAGER), shares)


def slices_of(cache: Cache, namespace: str, name: str, manager: str) -> tuple[EndpointSlice, ...]:
    """A Service's slices by one manager, by name."""
    found = cache.of(ENDPOINT_SLICES, EndpointSlice).by(BY_LABEL, (SERVICE_NAME, name))
    ours = [
        one for one in found if one.metadata.namespace == namespace and one.metadata.labels.get(MANAGED_BY) == manager
    ]
    return tuple(sorted(ours, key=lambda one: one.metadata.name))


def reconcile(seen: Snapshot, now: float) -> Plan:
    service = seen.service
    if service.metadata.deleting:
        return NOTHING
    wanted: dict[Group, dict[str, Endpoint]] = defaultdict(dict)
    for family in backends.families(service):
        for pod in seen.pods:
            if ips := backends.addresses(pod, family):
                group = (family, slice_ports(backends.ports_of(service, pod)))
                wanted[group][_identity(pod)] = _endpoint(seen, pod, ips[:1])
        if not any(one[0] == family for one in wanted):
            wanted[family, ()] = {}
    notes: tuple[Note, ...] = ()
    if seen.shares is not None:
        wanted, notes = _by_topology(seen, seen.shares, wanted)
    elif service.spec.trafficDistribution:
        wanted = _hinted(service.spec.trafficDistribution, wanted)
    labels = _labels(service)
    actions = arranged(wanted, seen.slices, Frame(service.metadata, IDENTITY, labels), now)
    return Plan(actions, notes, rest=backends.rest(len(seen.pods))) if actions else NOTHING


@dataclass(frozen=True, slots=True)
class Frame:
    """What all slices of a Service have in common; annotations that they have None of are left alone."""

    owner: Any
    identity: Identity
    labels: Mapping[str, str]
    annotations: Mapping[str, str] | None = None


def arranged(
    wanted: Mapping[Group, Mapping[str, Endpoint]], slices: Iterable[EndpointSlice], frame: Frame, now: float
) -> tuple[Action, ...]:
    """The least that makes the slices hold exactly the wanted endpoints."""
    existing: dict[Group, list[EndpointSlice]] = defaultdict(list)
    for one in slices:
        if not one.metadata.deleting:
            existing[one.addressType, one.ports].append(one)
    actions: list[Action] = []
    for group, endpoints in wanted.items():
        actions += _group(group, endpoints, existing.pop(group, []), frame, now)
    actions += (deleted(one) for left in existing.values() for one in left)
    return tuple(actions)


def _group(
    group: Group, endpoints: Mapping[str, Endpoint], slices: list[EndpointSlice], frame: Frame, now: float
) -> list[Action]:
    missing = dict(endpoints)
    kept: list[list[Endpoint]] = []
    for one in slices:
        stays = [missing.pop(key) for key in map(key_of, one.endpoints) if key in missing]
        kept.append(stays)
    room = [(stays, CAPACITY - len(stays)) for stays in kept]
    rest = list(missing.values())
    for stays, free in sorted(room, key=lambda pair: pair[1]):
        if free > 0 and rest and (stays or len(rest) > 0):
            stays.extend(rest[:free])
            rest = rest[free:]
    fresh = [rest[at : at + CAPACITY] for at in range(0, len(rest), CAPACITY)]
    if not endpoints and not slices:
        fresh = [[]]
    actions: list[Action] = []
    spare = 0 if endpoints else 1
    for one, stays in zip(slices, kept, strict=True):
        if not stays and not spare:
            actions.append(deleted(one))
            continue
        spare -= not stays
        actions += _patch(one, tuple(stays), frame, now)
    creates: list[Action] = [_create(group, stays, frame, now) for stays in fresh]
    return [*creates, *sorted(actions, key=lambda action: isinstance(action, Delete))]


def _patch(one: EndpointSlice, endpoints: tuple[Endpoint, ...], frame: Frame, now: float) -> list[Action]:
    meta = one.metadata
    patch: Object = {}
    if one.endpoints != endpoints:
        patch["endpoints"] = [written(endpoint) for endpoint in endpoints]
        patch["metadata"] = {"annotations": {TRIGGER: times.format(now)}}
    labels: dict[str, str | None] = {key: value for key, value in frame.labels.items() if meta.labels.get(key) != value}
    labels |= {key: None for key in meta.labels if key not in frame.labels}
    if labels:
        patch["metadata"] = {**patch.get("metadata", {}), "labels": labels}
    if annotations := _annotations(meta.annotations, frame):
        known = patch.setdefault("metadata", {})
        known["annotations"] = {**annotations, **known.get("annotations", {})}
    if not patch:
        return []
    return [
        Patch(ENDPOINT_SLICES, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)
    ]


def _annotations(have: Mapping[str, str], frame: Frame) -> dict[str, str | None]:
    """What must change for a slice to have the annotations of its frame."""
    if frame.annotations is None:
        return {}
    changed: dict[str, str | None] = {key: value for key, value in frame.annotations.items() if have.get(key) != value}
    return changed | {key: None for key in have if key not in frame.annotations and key != TRIGGER}


def _create(group: Group, endpoints: Iterable[Endpoint], frame: Frame, now: float) -> Create:
    family, ports = group
    meta: Object = {
        "generateName": f"{frame.owner.name}-",
        "namespace": frame.owner.namespace,
        "labels": dict(frame.labels),
        "annotations": {**(frame.annotations or {}), TRIGGER: times.format(now)},
        "ownerReferences": owned_by(frame.owner, frame.identity),
    }
    body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": family,
        "endpoints": [written(endpoint) for endpoint in endpoints],
        "ports": [_port(port) for port in ports],
    }
    return Create(ENDPOINT_SLICES, body)


def deleted(one: EndpointSlice) -> Delete:
    """The deletion of a slice."""
    return Delete(ENDPOINT_SLICES, one.metadata.namespace, one.metadata.name, uid=one.metadata.uid)


def written(endpoint: Endpoint) -> Object:
    """An endpoint as JSON; false conditions are said, not left out."""
    body: Object = plain(endpoint)
    conditions = endpoint.conditions
    known = {"ready": conditions.ready, "serving": conditions.serving, "terminating": conditions.terminating}
    body["conditions"] = {name: value for name, value in known.items() if value is not None}
    return body


def _port(port: SlicePort) -> Object:
    body: Object = {"name": port.name, "protocol": port.protocol, "port": port.port}
    return body | ({"appProtocol": port.appProtocol} if port.appProtocol else {})


def slice_ports(ports: Iterable[backends.Port]) -> tuple[SlicePort, ...]:
    """Ports in the order in which slices are compared."""
    made = (SlicePort(one.name, one.protocol, one.port, one.appProtocol) for one in ports)
    return tuple(sorted(made, key=lambda one: (one.name, one.protocol, one.port or 0)))


def key_of(endpoint: Endpoint) -> str:
    """What makes an endpoint the same one after a change: the pod, or else its first address."""
    if endpoint.targetRef is not None and endpoint.targetRef.uid:
        return endpoint.targetRef.uid
    return endpoint.addresses[0] if endpoint.addresses else ""


def _identity(pod: Pod) -> str:
    return pod.metadata.uid


def _endpoint(seen: Snapshot, pod: Pod, ips: tuple[str, ...]) -> Endpoint:
    serving = is_ready(pod)
    terminating = pod.metadata.deleting
    ready = seen.service.spec.publishNotReadyAddresses or (serving and not terminating)
    return Endpoint(
        addresses=ips,
        conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
        hostname=backends.hostname(seen.service, pod),
        nodeName=pod.spec.nodeName or None,
        zone=seen.zones.get(pod.spec.nodeName),
        targetRef=ObjectReference(
            kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
    )


def _hinted(distribution: str, wanted: Mapping[Group, dict[str, Endpoint]]) -> dict[Group, dict[str, Endpoint]]:
    """Hints that keep traffic in its zone (or on its node)."""
    return {
        group: {key: _with_hints(distribution, one) for key, one in endpoints.items()}
        for group, endpoints in wanted.items()
    }


def _with_hints(distribution: str, one: Endpoint) -> Endpoint:
    zones = (ForZone(one.zone),) if one.zone else ()
    nodes = (ForZone(one.nodeName),) if one.nodeName and distribution == "PreferSameNode" else ()
    if not zones and not nodes:
        return one
    return _meant(one, EndpointHints(forZones=zones, forNodes=nodes))


def _by_topology(
    seen: Snapshot, shares: topology.Shares | str, wanted: Mapping[Group, dict[str, Endpoint]]
) -> tuple[dict[Group, dict[str, Endpoint]], tuple[Note, ...]]:
    """Hints by the processors of the zones where that can be, and what is to be told when that changes."""
    hinted: dict[Group, dict[str, Endpoint]] = {}
    notes: list[Note] = []
    for family in dict.fromkeys(family for family, _ in wanted):
        ours = {group: endpoints for group, endpoints in wanted.items() if group[0] == family}
        ready = {key: one for endpoints in ours.values() for key, one in endpoints.items() if one.conditions.ready}
        zones = {key: one.zone or "" for key, one in ready.items()}
        meant = shares if isinstance(shares, str) else topology.meant_for(zones, shares)
        had = any(one.hints for each in seen.slices if each.addressType == family for one in each.endpoints)
        subject = about(seen.service.metadata, IDENTITY)
        if isinstance(meant, str):
            hinted |= ours
            if had:
                notes.append(Note(subject, "TopologyAwareHintsDisabled", f"{meant}, addressType: {family}", "Warning"))
            continue
        if not had:
            text = f"Topology Aware Hints has been enabled, addressType: {family}"
            notes.append(Note(subject, "TopologyAwareHintsEnabled", text))
        for group, endpoints in ours.items():
            hinted[group] = {
                key: _meant(one, EndpointHints((ForZone(meant[key]),))) if key in meant else one
                for key, one in endpoints.items()
            }
    return hinted, tuple(notes)


def _meant(one: Endpoint, hints: EndpointHints) -> Endpoint:
    return Endpoint(one.addresses, one.conditions, one.hostname, one.nodeName, one.zone, one.targetRef, hints)


def _labels(service: Service) -> dict[str, str]:
    own_labels = {key: value for key, value in service.metadata.labels.items() if key != HEADLESS}
    headless = {HEADLESS: ""} if service.spec.clusterIP == "None" else {}
    return {**own_labels, **headless, SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}


def _keys_of_slice(_cache: Cache, one: EndpointSlice) -> tuple[str, ...]:
    labels = one.metadata.labels
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return ()
    return (f"{one.metadata.namespace}/{labels[SERVICE_NAME]}",)


def _keys_of_node(cache: Cache, node: Node) -> tuple[str, ...]:
    """A node's zone concerns every Service with a pod there; its processors those that are aware of the topology."""
    pods = cache.of(PODS, Pod).by(BY_NODE, node.metadata.name)
    aware = (place_of(one) for one in cache.of(SERVICES, Service) if topology.is_aware(one))
    return tuple({*(key for pod in pods for key in backends.keys_of_pod(cache, pod)), *aware})


def _node_concerns(old: Node, new: Node) -> bool:
    zones = old.metadata.labels.get(ZONE), new.metadata.labels.get(ZONE)
    return zones[0] != zones[1] or topology.weight(old) != topology.weight(new)


CONTROLLER = Controller(
    name="endpointslice",
    watches=(
        Watch(SERVICES, Service, own),
        Watch(PODS, Pod, backends.keys_of_pod, backends.pod_concerns),
        Watch(ENDPOINT_SLICES, EndpointSlice, _keys_of_slice),
        Watch(
            NODES,
            Node,
            _keys_of_node,
            _node_concerns,
        ),
    ),
    observe=observe,
    reconcile=reconcile,
    component="endpoint-slice-controller",
)
