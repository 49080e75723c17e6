"""Topology aware routing: which zone each endpoint is meant for, in proportion to the processors of the zones.

An endpoint is meant for its own zone where that can be; only as many are lent to others as keep any zone from having
more than a fifth too few. Ref: https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from mizzen.api.views.core import Node, Service
from mizzen.api.views.meta import condition
from mizzen.machinery import quantity

ZONE: Final = "topology.kubernetes.io/zone"
_MODES: Final = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")
_LEFT_OUT: Final = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_OVERLOAD: Final = 0.2
"""How much more than its share an endpoint may get."""

Shares = Mapping[str, float]
"""The share of all processors that each zone has; together one."""


def is_aware(service: Service) -> bool:
    """Whether a Service asks for it, by the annotation of today or that of old."""
    annotations = service.metadata.annotations
    mode = next((annotations[one] for one in _MODES if one in annotations), "")
    return mode in ("Auto", "auto")


def weight(node: Node) -> tuple[str, int] | None:
    """The zone of a node, and its processors in millicores; None for one that is not ready, or of the control plane."""
    ready = condition(node.status.conditions, "Ready")
    if any(one in node.metadata.labels for one in _LEFT_OUT) or ready is None or ready.status != "True":
        return None
    cpu = node.status.allocatable.get("cpu")
    return node.metadata.labels.get(ZONE, ""), 0 if cpu is None else quantity.millicores(cpu)


def shares(nodes: Iterable[Node]) -> Shares | str:
    """The share of each zone; or why there are none to go by."""
    found: dict[str, int] = defaultdict(int)
    for node in nodes:
        told = weight(node)
        if told is None:
            continue
        zone, cpu = told
        if not zone or not cpu:
            return "Nodes do not have their zone or their processors specified"
        found[zone] += cpu
    if len(found) < 2:
        return "There are fewer than two zones"
    total = sum(found.values())
    return {zone: cpu / total for zone, cpu in found.items()}


def meant_for(zones: Mapping[str, str], known: Shares) -> Mapping[str, str] | str:
    """The zone that each ready endpoint is meant for, by its key, from the zone where it is; or why that cannot be.

    The same endpoints get the same answer, and one more or less changes few of the others.
    """
    count = len(zones)
    least = {zone: math.ceil(share * count / (1 + _OVERLOAD)) for zone, share in known.items()}
    if count < len(known) or sum(least.values()) > count:
        return f"Insufficient number of endpoints ({count}), so that zones cannot be served in proportion"
    if not all(zones.values()):
        return "One or more endpoints do not have a zone specified"
    meant: dict[str, list[str]] = {zone: [] for zone in sorted(known)}
    spare: list[str] = []
    for key in sorted(zones):
        meant.get(zones[key], spare).append(key)
    for zone, own in meant.items():
        while len(own) < least[zone]:
            own.append(spare.pop(0) if spare else _lent(meant, known, least, count))
    for key in spare:
        neediest = min(meant, key=lambda zone: (len(meant[zone]) - known[zone] * count, zone))
        meant[neediest].append(key)
    return {key: zone for zone, keys in meant.items() for key in keys}


def _lent(meant: Mapping[str, list[str]], known: Shares, least: Mapping[str, int], count: int) -> str:
    """An endpoint of the zone that has most beyond its share and can do without one."""
    able = [zone for zone, keys in meant.items() if len(keys) > least[zone]]
    giver = max(able, key=lambda zone: (len(meant[zone]) - known[zone] * count, zone))
    return meant[giver].pop()
