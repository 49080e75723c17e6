"""Control groups of pods, in both versions: create, limit, measure, remove.

Version 1 spreads a group over one directory per controller; version 2 has one. A pod's group holds its containers'.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mizzen.agent.runtime import consumption
from mizzen.agent.runtime.base import UNBOUNDED, Limits, Usage
from mizzen.agent.runtime.namespaces import in_user_namespace

_V2 = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
_V1 = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "devices", "freezer", "systemd", "hugetlb")
_UNLIMITED_V1 = 1 << 62
_QUOTA = "cpu.cfs_quota_us"
_NEEDED = {"cpu", "memory", "pids"}
_NOWHERE = Path("/proc/self/nowhere")
"""Stands for a controller that the machine does not have."""


class Groups(Protocol):
    """What the embedded runtime needs of control groups, or of what stands for them where there are none."""

    @property
    def parent(self) -> str:
        """The group above those of all pods."""

    def pod(self, qos: str, uid: str) -> str:
        """The name of a pod's group."""

    def make(self, group: str, limits: Limits) -> None:
        """Create a group and set its limits. Raises OSError."""

    def limit(self, group: str, limits: Limits) -> None:
        """Set a group's limits. Raises OSError."""

    def remove(self, group: str) -> None:
        """Remove a group and everything below it. Raises OSError while processes live in it."""

    def members(self, group: str) -> set[int]:
        """The processes of a group and of those below it."""

    def holds(self, group: str, pid: int) -> bool:
        """Whether a process is one of them."""

    def move(self, group: str, pid: int) -> None:
        """Put a process into a group of its own, which is made. Raises OSError."""

    def usage(self, group: str, *, brief: bool = False) -> Usage:
        """What a group consumes; zeros when it is gone. A brief look is for processor time, memory and swap alone."""

    def was_oom_killed(self, group: str) -> bool:
        """Whether the kernel has killed a process of this group for want of memory."""


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The control groups below one parent, such as `/mizzen/node-1`; `mounts` leads from controller to directory."""

    mounts: dict[str, Path]
    parent: str
    unified: bool

    def path(self, group: str, controller: str = "") -> Path:
        """The directory of a group; on version 2 every controller shares it."""
        return self.mounts["" if self.unified else controller] / group.lstrip("/")

    def pod(self, qos: str, uid: str) -> str:
        """The group of a pod: guaranteed pods directly below the parent, others below their class."""
        tier = "" if qos == "Guaranteed" else f"/{qos.lower()}"
        return f"{self.parent}{tier}/pod{uid}"

    def make(self, group: str, limits: Limits) -> None:
        """Create a group (all controllers) and set its limits."""
        if self.unified:
            self._make_unified(group)
        else:
            for mount in self.mounts.values():
                _make_v1(mount, group)
        self.limit(group, limits)

    def limit(self, group: str, limits: Limits) -> None:
        """Set a group's limits; what is zero is lifted."""
        for path, value in self._settings(group, limits):
            with contextlib.suppress(FileNotFoundError):
                try:
                    path.write_text(value)
                except OSError as error:
                    if error.errno != errno.EINVAL or path.name != _QUOTA:
                        raise
                    _lift_ended(path.parent)
                    path.write_text(value)

    def _settings(self, group: str, limits: Limits) -> Iterator[tuple[Path, str]]:
        if limits.cpus and (self.unified or "cpuset" in self.mounts):
            yield self.path(group, "cpuset") / "cpuset.cpus", limits.cpus
        if self.unified:
            at = self.path(group)
            yield at / "cpu.weight", str(weight(limits.cpu_shares))
            yield at / "cpu.max", f"{limits.cpu_quota or 'max'} {limits.cpu_period}"
            yield at / "memory.max", str(limits.memory or "max")
            yield at / "memory.swap.max", "max" if limits.swap == UNBOUNDED else str(limits.swap)
            yield at / "pids.max", str(limits.pids or "max")
            for size, amount in limits.hugepages.items():
                yield at / f"hugetlb.{size}.max", str(amount)
            return
        yield self.path(group, "cpu") / "cpu.shares", str(max(2, limits.cpu_shares))
        yield self.path(group, "cpu") / "cpu.cfs_period_us", str(limits.cpu_period)
        yield self.path(group, "cpu") / _QUOTA, str(limits.cpu_quota or -1)
        yield from _memory_v1(self.path(group, "memory"), limits.memory)
        yield self.path(group, "pids") / "pids.max", str(limits.pids or "max")
        for size, amount in limits.hugepages.items() if "hugetlb" in self.mounts else ():
            yield self.path(group, "hugetlb") / f"hugetlb.{size}.limit_in_bytes", str(amount)

    def remove(self, group: str) -> None:
        """Remove a group and everything below it. Raises OSError while processes live in it."""
        for controller in [""] if self.unified else list(self.mounts):
            top = self.path(group, controller)
            for directory, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(FileNotFoundError):
                    Path(directory).rmdir()

    def members(self, group: str) -> set[int]:
        """The processes of a group and of those below it."""
        top = self.path(group, "pids")
        found: set[int] = set()
        for directory, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split())
        return found

    def holds(self, group: str, pid: int) -> bool:
        return pid in self.members(group)

    def move(self, group: str, pid: int) -> None:
        for controller in [""] if self.unified else list(self.mounts):
            if controller in {"devices", "freezer"}:
                continue
            directory = self.path(group, controller)
            directory.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if controller == "cpuset":
                    (directory / name).write_text((directory.parent / name).read_text())
            (directory / "cgroup.procs").write_text(str(pid))

    def was_oom_killed(self, group: str) -> bool:
        path = self.path(group, "memory") / ("memory.events" if self.unified else "memory.oom_control")
        try:
            lines = path.read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and not line.endswith(" 0") for line in lines)

    def usage(self, group: str, *, brief: bool = False) -> Usage:
        """What a group consumes; zeros when it is gone. A brief look is for processor time, memory and swap alone."""
        if self.unified:
            return (consumption.brief_unified if brief else consumption.of_unified)(self.path(group))
        if brief:
            return consumption.brief_split(self._place(group, "cpuacct"), self._place(group, "memory"))
        controllers = ("cpu", "cpuacct", "memory", "pids", "blkio")
        return consumption.of_split(*(self._place(group, name) for name in controllers))

    def _place(self, group: str, controller: str) -> Path:
        return self.path(group, controller) if controller in self.mounts else _NOWHERE

    def _make_unified(self, group: str) -> None:
        at = self.mounts[""]
        for part in group.strip("/").split("/"):
            with contextlib.suppress(OSError):
                _hand_down(at)
            at = at / part
            at.mkdir(exist_ok=True)


def _hand_down(at: Path) -> None:
    """Let groups below have every controller that this one has. Raises OSError.

    A group that is not the machine's own top, as a container's is, must hold no process for that: its are moved.
    """
    offered = (at / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in _V2 if name in offered)
    try:
        (at / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        (at / "init").mkdir(exist_ok=True)
        for pid in (at / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (at / "init" / "cgroup.procs").write_text(pid)
        (at / "cgroup.subtree_control").write_text(wanted)


def _lift_ended(group: Path) -> None:
    """Lift the quotas of ended containers, beyond which version 1 lets no group above them go."""
    for below in group.glob(f"*/{_QUOTA}"):
        if not (below.parent / "cgroup.procs").read_text().strip():
            below.write_text("-1")


def _memory_v1(at: Path, limit: int) -> Iterator[tuple[Path, str]]:
    """The limit of memory, and of memory with swap where there is one: the second may never be below the first."""
    settings = [(at / "memory.limit_in_bytes", str(limit or -1))]
    both = at / "memory.memsw.limit_in_bytes"
    if 0 < (current := consumption.number(both)) < _UNLIMITED_V1:
        settings.insert(0 if not limit or limit >= current else 1, (both, str(limit or -1)))
    yield from settings


def _make_v1(mount: Path, group: str) -> None:
    at = mount
    for part in group.strip("/").split("/"):
        above, at = at, at / part
        if at.is_dir():
            continue
        at.mkdir(exist_ok=True)
        # An empty cpuset admits no process: inherit the parent's.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (above / name).exists() and not (at / name).read_text().strip():
                (at / name).write_text((above / name).read_text())


def bound(groups: Groups, whole: Limits, tiers: Mapping[str, Limits]) -> None:
    """Bound the node's pods together, and those of a class, by its name in lower case. Raises OSError.

    What may be swapped out each pod's own group says.
    """
    groups.make(groups.parent, replace(whole, swap=UNBOUNDED))
    for tier, limits in tiers.items():
        groups.make(f"{groups.parent}/{tier}", replace(limits, swap=UNBOUNDED))


def weight(shares: int) -> int:
    """cpu.weight (1…10,000) of version 2 for cpu.shares (2…262,144) of version 1."""
    return max(1, min(10_000, 1 + ((max(2, shares) - 2) * 9_999) // 262_142))


def find(parent: str) -> Cgroups:
    """The machine's control groups, as mounted in this mount namespace. Raises OSError when there are none."""
    v1: dict[str, Path] = {}
    unified: Path | None = None
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, fstype, options, *_ = line.split()
        if not Path(target).is_dir():  # another mount hides it
            continue
        if fstype == "cgroup":
            names = {option.removeprefix("name=") for option in options.split(",")}
            v1.update((name, Path(target)) for name in _V1 if name in names)
        elif fstype == "cgroup2":
            unified = Path(target)
    if "memory" in v1:
        if unified is not None:  # a hybrid layout: runc makes groups there too
            v1["unified"] = unified
        return Cgroups(v1, parent, unified=False)
    if unified is None:
        raise OSError("no control groups are mounted")
    return Cgroups({"": unified}, parent, unified=True)


def are_ours(groups: Cgroups) -> bool:
    """Whether groups that limit can be made here: root's can, an ordinary user's where they have been delegated."""
    if not in_user_namespace():
        return True
    top = groups.path("", "memory")
    if not os.access(top, os.W_OK):
        return False
    return not groups.unified or set((top / "cgroup.controllers").read_text().split()) >= _NEEDED
