"""ServiceCIDRs: ready for use, and not to be deleted while addresses in them depend on them.

Ref: https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from mizzen.api.views.resource import IPAddress, ServiceCIDR
from mizzen.client.cache import Cache
from mizzen.client.resources import IP_ADDRESSES, SERVICE_CIDRS
from mizzen.controllers.status import status_patch, with_condition
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Patch, Plan

FINALIZER = "networking.k8s.io/service-cidr-finalizer"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A range, and whether an address in it lies in no other range."""

    range: ServiceCIDR
    needed: bool


def observe(cache: Cache, key: str) -> Snapshot | None:
    table = cache.of(SERVICE_CIDRS, ServiceCIDR)
    one = table.get("", key)
    if one is None:
        return None
    if not one.metadata.deleting:
        return Snapshot(one, True)
    others = [each for each in table if each.metadata.name != key and not each.metadata.deleting]
    addresses = (address.metadata.name for address in cache.of(IP_ADDRESSES, IPAddress))
    needed = any(_holds(one, ip) and not any(_holds(other, ip) for other in others) for ip in addresses)
    return Snapshot(one, needed)


def _holds(one: ServiceCIDR, ip: str) -> bool:
    return any(ipaddress.ip_address(ip) in ipaddress.ip_network(cidr) for cidr in one.spec.cidrs)


def reconcile(seen: Snapshot, now: float) -> Plan:
    one = seen.range
    meta = one.metadata
    if not meta.deleting and FINALIZER not in meta.finalizers:
        return _finalizers(one, [*meta.finalizers, FINALIZER])
    if meta.deleting and not seen.needed:
        if FINALIZER not in meta.finalizers:
            return NOTHING
        return _finalizers(one, [name for name in meta.finalizers if name != FINALIZER])
    verdict = ("True", "", "Kubernetes Service CIDR is ready")
    if meta.deleting:
        verdict = ("False", "Terminating", "There are still IPAddresses referencing the ServiceCIDR")
    conditions = with_condition(one.status.conditions, "Ready", *verdict, now)
    status = msgspec.structs.replace(one.status, conditions=conditions)
    return Plan(status_patch(SERVICE_CIDRS, meta, one.status, status))


def _finalizers(one: ServiceCIDR, finalizers: list[str]) -> Plan:
    meta = one.metadata
    patch = {"metadata": {"finalizers": finalizers or None}}
    return Plan((Patch(SERVICE_CIDRS, "", meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion),))


def _keys_of_address(cache: Cache, _address: IPAddress) -> Iterable[str]:
    return [one.metadata.name for one in cache.of(SERVICE_CIDRS, ServiceCIDR) if one.metadata.deleting]


CONTROLLER = Controller(
    name="service-cidr",
    watches=(Watch(SERVICE_CIDRS, ServiceCIDR, own), Watch(IP_ADDRESSES, IPAddress, _keys_of_address)),
    observe=observe,
    reconcile=reconcile,
    component="service-cidr-controller",
)
