"""ServiceCIDRs: ready for use, and not to be deleted while addresses in them depend on them.

Ref: https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from mizzen.api.views.resource import IPAddress, ServiceCIDR
from mizzen.client.cache import Cache
from mizzen.client.resources import IP_ADDRESSES, SERVICE_CIDRS
from mizzen.controllers.status import status_patch, with_condition
from mizzen.machinery import times
from mizzen.reconcile.controller import Controller, Watch, own
from mizzen.reconcile.plan import NOTHING, Answer, Get, Patch, Plan

_GRACE = 10.0
"""Seconds in which a Service that was given an address just before the deletion may still write it."""
_QUESTION = Get(IP_ADDRESSES.path())
FINALIZER = "networking.k8s.io/service-cidr-finalizer"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A range, the others, and whether an address in it lies in no other range."""

    range: ServiceCIDR
    others: tuple[ServiceCIDR, ...]
    needed: bool
    verified: bool = False
    """The addresses are those of the API itself: a watch that lags must not cost a Service its range."""


def observe(cache: Cache, key: str) -> Snapshot | None:
    table = cache.of(SERVICE_CIDRS, ServiceCIDR)
    one = table.get("", key)
    if one is None:
        return None
    if not one.metadata.deleting:
        return Snapshot(one, (), True)
    others = tuple(each for each in table if each.metadata.name != key and not each.metadata.deleting)
    addresses = (address.metadata.name for address in cache.of(IP_ADDRESSES, IPAddress))
    return Snapshot(one, others, _is_needed(one, others, addresses))


def _is_needed(one: ServiceCIDR, others: tuple[ServiceCIDR, ...], addresses: Iterable[str]) -> bool:
    return any(_holds(one, ip) and not any(_holds(other, ip) for other in others) for ip in addresses)


def informed(seen: Snapshot, answers: Mapping[Get, Answer]) -> Snapshot:
    answer = answers[_QUESTION]
    if answer.status != 200:
        return replace(seen, needed=True, verified=True)
    addresses = [one["metadata"]["name"] for one in answer.body.get("items") or ()]
    return replace(seen, needed=_is_needed(seen.range, seen.others, addresses), verified=True)


def _holds(one: ServiceCIDR, ip: str) -> bool:
    return any(ipaddress.ip_address(ip) in ipaddress.ip_network(cidr) for cidr in one.spec.cidrs)


def reconcile(seen: Snapshot, now: float) -> Plan:
    one = seen.range
    meta = one.metadata
    if not meta.deleting and FINALIZER not in meta.finalizers:
        return _finalizers(one, [*meta.finalizers, FINALIZER])
    if meta.deleting and not seen.needed:
        if FINALIZER not in meta.finalizers or meta.deletionTimestamp is None:
            return NOTHING
        left = times.parse(meta.deletionTimestamp) + _GRACE - now
        if left > 0:
            return Plan(requeue_after=left)
        if not seen.verified:
            return Plan(ask=(_QUESTION,))
        return _finalizers(one, [name for name in meta.finalizers if name != FINALIZER])
    verdict = ("True", "", "Kubernetes Service CIDR is ready")
    if meta.deleting:
        text = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
        verdict = ("False", "Terminating", text)
    conditions = with_condition(one.status.conditions, "Ready", *verdict, now)
    status = msgspec.structs.replace(one.status, conditions=conditions)
    wait = _GRACE if meta.deleting and seen.verified else None  # the watch lags: it will not tell again
    return Plan(status_patch(SERVICE_CIDRS, meta, one.status, status), requeue_after=wait)


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
    informed=informed,
    component="service-cidr-controller",
)
