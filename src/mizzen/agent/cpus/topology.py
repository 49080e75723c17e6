"""The machine's processors: which are threads of one core, and which cores share a socket and a memory node."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["socket", "node", "core"]


@dataclass(frozen=True, slots=True)
class Cpu:
    """A processor as the kernel numbers it; `core` is the lowest number among the threads of its core."""

    id: int
    core: int
    socket: int = 0
    node: int = 0


@dataclass(frozen=True, slots=True)
class Topology:
    """The processors that a node may give."""

    cpus: tuple[Cpu, ...]

    @property
    def ids(self) -> frozenset[int]:
        """All of them."""
        return frozenset(one.id for one in self.cpus)

    @property
    def threads(self) -> int:
        """How many processors a core is."""
        return max(1, len(self.cpus) // max(1, len({one.core for one in self.cpus})))

    def units(self, level: Level) -> dict[int, frozenset[int]]:
        """The processors of each socket, memory node or core, by its number."""
        found: dict[int, set[int]] = {}
        for one in self.cpus:
            found.setdefault(getattr(one, level), set()).add(one.id)
        return {number: frozenset(found[number]) for number in sorted(found)}


def read(sys: Path, usable: Set[int]) -> Topology:
    """The topology of the processors of `usable`, below a directory such as /sys. Raises OSError, ValueError."""
    nodes = {
        cpu: int(path.name.removeprefix("node"))
        for path in (sys / "devices/system/node").glob("node[0-9]*")
        for cpu in parse((path / "cpulist").read_text())
    }
    found = []
    for cpu in sorted(usable):
        at = sys / f"devices/system/cpu/cpu{cpu}/topology"
        threads = parse((at / "thread_siblings_list").read_text())
        found.append(Cpu(cpu, min(threads), int((at / "physical_package_id").read_text()), nodes.get(cpu, 0)))
    return Topology(tuple(found))


def parse(text: str) -> frozenset[int]:
    """A set as the kernel and the configuration write it, `0-2,5`. Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        found.update(range(int(first), int(last if dash else first) + 1) if part else ())
    return frozenset(found)


def shown(cpus: Iterable[int]) -> str:
    """A set as `parse` reads it."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
