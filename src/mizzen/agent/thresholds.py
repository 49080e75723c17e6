"""Which of a node's thresholds are crossed, by how much of everything is left; pure.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mizzen.agent.machineinfo import Pressure
from mizzen.machinery.quantity import NANO, Format, Quantity

Condition = Literal["MemoryPressure", "DiskPressure", "PIDPressure"]
Resource = Literal["memory", "ephemeral-storage", "inodes", "pids"]


@dataclass(frozen=True, slots=True)
class Bound:
    """An amount in bytes or by count, or a part of all there is."""

    amount: int = 0
    part: float = 0.0

    def of(self, whole: int) -> int:
        """The amount it comes to."""
        return self.amount + int(whole * self.part)

    def __str__(self) -> str:
        return f"{self.part * 100:g}%" if self.part else str(Quantity(self.amount * NANO, Format.BINARY))


SIGNALS: Mapping[str, tuple[Resource, Condition]] = {
    "memory.available": ("memory", "MemoryPressure"),
    "nodefs.available": ("ephemeral-storage", "DiskPressure"),
    "nodefs.inodesFree": ("inodes", "DiskPressure"),
    "imagefs.available": ("ephemeral-storage", "DiskPressure"),
    "imagefs.inodesFree": ("inodes", "DiskPressure"),
    "pid.available": ("pids", "PIDPressure"),
}
"""What each signal measures, and the condition of a node that is short of it; most urgent first."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When the node defends itself: at once (`hard`), or once something has been short for a while (`soft`)."""

    hard: Mapping[str, Bound] = field(
        default_factory=lambda: {
            "memory.available": Bound(100 << 20),
            "nodefs.available": Bound(part=0.10),
            "nodefs.inodesFree": Bound(part=0.05),
            "imagefs.available": Bound(part=0.15),
            "imagefs.inodesFree": Bound(part=0.05),
            "pid.available": Bound(part=0.05),
        }
    )
    soft: Mapping[str, Bound] = field(default_factory=dict)
    soft_after: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a soft threshold may stay crossed before pods must go."""
    longest_grace: float = 0.0
    """Seconds that pods which go for a soft threshold have at most."""
    reclaim: Mapping[str, Bound] = field(default_factory=dict)
    """What must be left beyond a crossed threshold before it counts as kept again."""
    calm_after: float = 300.0
    """Seconds for which pressure is reported after it has passed, so that the condition does not flap."""
    image_disk_high: float = 0.85
    image_disk_low: float = 0.80
    image_least_age: float = 120.0
    """Seconds that an image must have been unused for before it goes."""
    image_most_age: float = 0.0
    """Seconds after which an unused image goes however empty the disk is; 0: never."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of all there is."""

    available: int
    whole: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """What the node is short of: how much should be left of it, and how much is; bytes or counts."""

    resource: Resource
    threshold: int
    available: int
    signal: str = ""
    soft: bool = False

    @property
    def key(self) -> tuple[str, bool]:
        """Which threshold it is that was crossed."""
        return self.signal, self.soft

    def shown(self, amount: int) -> str:
        """An amount of the resource as people read it."""
        counted = self.resource in {"pids", "inodes"}
        return str(amount) if counted else str(Quantity(amount * NANO, Format.BINARY))


def left_of(node: Pressure, images: Pressure | None = None) -> dict[str, Left]:
    """What is left by signal; `images` is measured where images have a file system of their own."""
    found = {
        "memory.available": Left(node.memory_available, node.memory),
        "nodefs.available": Left(node.disk_available, node.disk_size),
        "pid.available": Left(node.pids - node.pids_used, node.pids),
    }
    if node.inodes > 0:  # some file systems do not count them
        found["nodefs.inodesFree"] = Left(node.inodes_free, node.inodes)
    if images is not None:
        found["imagefs.available"] = Left(images.disk_available, images.disk_size)
        if images.inodes > 0:
            found["imagefs.inodesFree"] = Left(images.inodes_free, images.inodes)
    return found


def crossed(
    left: Mapping[str, Left], thresholds: Thresholds, before: frozenset[tuple[str, bool]] = frozenset()
) -> tuple[Shortage, ...]:
    """The thresholds that are crossed, or have been (`before`) and are not kept again by as much as they should."""
    found = []
    for signal, (resource, _) in SIGNALS.items():
        if (seen := left.get(signal)) is None:
            continue
        for soft, bounds in ((False, thresholds.hard), (True, thresholds.soft)):
            if (bound := bounds.get(signal)) is None:
                continue
            threshold = bound.of(seen.whole)
            more = thresholds.reclaim.get(signal, Bound()).of(seen.whole) if (signal, soft) in before else 0
            if seen.available < threshold + more:
                found.append(Shortage(resource, threshold, seen.available, signal, soft))
    return tuple(found)


def explained(shortages: Mapping[Condition, Shortage], place: str) -> dict[str, str]:
    """What people are told of each condition; `place` is where the node keeps its data."""
    nouns = {
        "memory": "of memory",
        "ephemeral-storage": f"on the file system of {place}",
        "inodes": f"of the inodes of the file system of {place}",
        "pids": "of the process ids",
    }
    return {
        condition: f"{_shown(short, short.available)} {nouns[short.resource]} are free,"
        f" less than the {_shown(short, short.threshold)} that the node must keep"
        for condition, short in shortages.items()
    }


def _shown(short: Shortage, amount: int) -> str:
    """Rounded, unlike in messages that programs read."""
    if short.resource in {"pids", "inodes"}:
        return str(amount)
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount} bytes"
