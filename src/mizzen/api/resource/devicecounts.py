"""How many devices a claim may be given, as quotas count them.

Ref: https://kubernetes.io/docs/concepts/policy/resource-quotas/#resource-quota-per-deviceclass
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST: Final = 32
"""Devices of one claim; so many may be all that there are."""


def by_class(spec: Mapping[str, Any]) -> dict[str, int]:
    """The most devices that a claim's spec may be given, by the name that quotas have for their class."""
    counts: dict[str, int] = {}
    for request in (spec.get("devices") or {}).get("requests") or ():
        for name, count in _of_request(request).items():
            counts[name] = counts.get(name, 0) + count
    return counts


def _of_request(request: Mapping[str, Any]) -> dict[str, int]:
    """Of alternatives, that one counts of each class which takes most of it."""
    most: dict[str, int] = {}
    for name, count in _choices(request):
        most[name] = max(count, most.get(name, 0))
    return most


def _choices(request: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    exactly = request.get("exactly")
    for one in (exactly,) if exactly else request.get("firstAvailable") or ():
        mode, name = one.get("allocationMode") or "ExactCount", one.get("deviceClassName") or ""
        count = {"ExactCount": one.get("count") or 1, "All": MOST}.get(mode, 0)
        yield f"{name}.deviceclass.resource.k8s.io/devices", count
