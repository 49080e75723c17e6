"""Which container has which device of a plugin, and which ones the next can have: values and decisions.

Ref: https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mizzen.agent.env import ConfigFailure
from mizzen.agent.runtime.base import Device, Mount
from mizzen.api.views.podspec import Container, Pod, Resources
from mizzen.machinery import quantity
from mizzen.wire.protobuf import Message

FORGOTTEN_AFTER = 300.0
"""Seconds after which what a plugin offered is no capacity any more, unless it came back."""


class DeviceFailure(ConfigFailure):
    """Devices that a container cannot have, or not now."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The devices of one resource; `lost_at` is when its plugin went, in seconds of a monotonic clock."""

    healthy: frozenset[str] = frozenset()
    unhealthy: frozenset[str] = frozenset()
    lost_at: float | None = None

    def lost(self, now: float) -> "Offer":
        """The same without its plugin: none of the devices can be had."""
        return Offer(frozenset(), self.healthy | self.unhealthy, now)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The devices of one resource that a container has, and what the plugin said when it gave them, as bytes."""

    pod: str
    container: str
    resource: str
    devices: tuple[str, ...]
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a container gets beside what its pod says; `cdi` are names of CDI devices."""

    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    cdi: tuple[str, ...] = ()


def is_extended(resource: str) -> bool:
    """Whether a plugin may offer a resource of this name."""
    domain, slash, name = resource.partition("/")
    if not slash or not name or "/" in name or domain.startswith("requests."):
        return False
    return domain != "kubernetes.io" and not domain.endswith(".kubernetes.io")


def amounts(offers: Mapping[str, Offer], now: float) -> tuple[dict[str, str], dict[str, str]]:
    """Capacity and allocatable by resource."""
    capacity, allocatable = {}, {}
    for resource, offer in offers.items():
        there = offer.lost_at is None or now - offer.lost_at < FORGOTTEN_AFTER
        capacity[resource] = str(len(offer.healthy) + len(offer.unhealthy)) if there else "0"
        allocatable[resource] = str(len(offer.healthy))
    return capacity, allocatable


def wanted(pod: Pod, known: Iterable[str]) -> Iterator[tuple[Container, str, int]]:
    """Container, resource and number of devices, for the resources that are known to be of plugins."""
    resources = set(known)
    for container in (*(pod.spec.initContainers or ()), *pod.spec.containers):
        for resource, amount in ((container.resources or Resources()).limits or {}).items():
            count = quantity.parse(amount).nanos // quantity.NANO
            if resource in resources and count > 0:
                yield container, resource, count


@dataclass(frozen=True, slots=True)
class Choice:
    """Devices that must be part of an allocation, those it can be filled up with, and its size."""

    fixed: tuple[str, ...]
    free: tuple[str, ...]
    size: int

    def filled(self, preferred: Iterable[str] = ()) -> tuple[str, ...]:
        """The allocation, with as many as possible of the devices that the plugin prefers."""
        liked = [one for one in preferred if one in self.free]
        rest = [one for one in self.free if one not in liked]
        return tuple(sorted((*self.fixed, *liked, *rest)[: self.size]))


def choice(pod: Pod, asked: tuple[str, int], offers: Mapping[str, Offer], assigned: Iterable[Assignment]) -> Choice:
    """What a container of the pod can have of a resource; `asked` are its name and a number. Raises DeviceFailure.

    Containers that follow an init container may have its devices.
    """
    resource, size = asked
    offer = offers.get(resource, Offer())
    ours = [one for one in assigned if one.resource == resource]
    passing = {one.name for one in pod.spec.initContainers or () if one.restartPolicy != "Always"}
    own = [one for one in ours if one.pod == pod.metadata.uid]
    lent = {device for one in own if one.container in passing for device in one.devices}
    lent -= {device for one in own if one.container not in passing for device in one.devices}
    fixed = tuple(sorted(lent))[:size]
    if offer.lost_at is not None and not offer.unhealthy:
        raise DeviceFailure(f"can't allocate unregistered device {resource}")
    if not offer.healthy:
        raise DeviceFailure(f"no healthy devices present; cannot allocate unhealthy devices {resource}")
    if gone := set(fixed) - offer.healthy:
        raise DeviceFailure(f"previously allocated devices are no longer healthy; {resource} {sorted(gone)}")
    free = tuple(sorted(offer.healthy - {device for one in ours for device in one.devices}))
    needed = size - len(fixed)
    if len(free) < needed:
        raise DeviceFailure(
            f"requested number of devices unavailable for {resource}. Requested: {needed}, Available: {len(free)}"
        )
    return Choice(fixed, free, size)


def health(offer: Offer, devices: Iterable[str]) -> list[Message]:
    """Devices as a container's status shows them."""
    known = dict.fromkeys(offer.healthy, "Healthy") | dict.fromkeys(offer.unhealthy, "Unhealthy")
    return [{"resourceID": one, "health": known.get(one, "Unknown")} for one in devices]


def granted(answers: Iterable[Message]) -> Granted:
    """What several plugins' answers come to: of two that name a variable or a path in the container, the first."""
    env: dict[str, str] = {}
    mounts: dict[str, Mount] = {}
    devices: dict[str, Device] = {}
    annotations: dict[str, str] = {}
    cdi: dict[str, None] = {}
    for one in answers:
        env = {**one["envs"], **env}
        annotations = {**one["annotations"], **annotations}
        for mount in one["mounts"]:
            path = mount["container_path"]
            mounts.setdefault(path, Mount(mount["host_path"], path, read_only=bool(mount["read_only"])))
        for device in one["devices"]:
            path = device["container_path"]
            devices.setdefault(path, Device(device["host_path"], path, device["permissions"] or "rwm"))
        cdi |= dict.fromkeys(device["name"] for device in one["cdi_devices"])
    return Granted(tuple(env.items()), tuple(mounts.values()), tuple(devices.values()), annotations, tuple(cdi))
