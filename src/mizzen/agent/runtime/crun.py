"""Containers without a daemon: crun (or runc) under one conmon each; this node's state is plain files.

`root/containers/ID` holds one container (record, bundle, overlay), `root/sandboxes/UID` what a pod shares.
Nothing is kept in memory that `observe` could not read back.
"""
# shape: one class, the embedded runtime; its parts that stand alone are modules beside it

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import orjson

from mizzen.agent.runtime import (
    cdi,
    conmon,
    machine,
    mapped,
    namespaces,
    oci_config,
    records,
    signals,
    spawn,
    syscalls,
    users,
)
from mizzen.agent.runtime.base import (
    Abilities,
    ContainerSeen,
    ContainerSpec,
    Exec,
    Limits,
    Observed,
    Process,
    RuntimeFailure,
    Sandbox,
    SandboxSpec,
    Usage,
    Used,
)
from mizzen.agent.runtime.cgroups import Groups, bound
from mizzen.agent.runtime.disk import tree
from mizzen.agent.runtime.exits import Exits
from mizzen.agent.runtime.streams import attach_to, execute
from mizzen.agent.volumes import teardown
from mizzen.base import log

_log = log.get("runtime")
_KILL_PATIENCE = 10.0
MONITORS_EVERY = 5.0
_IDS = 1 << 16
"""How many ids a pod with a user namespace has."""
_NO_IDS = "the pod's own users need ids {0} and {1} more of this machine, which this node does not have"


class Unpacked(Protocol):
    """What this runtime needs of an image store."""

    def layers(self, image_id: str) -> tuple[str, ...]:
        """Directories of the image's layers, uppermost first. Raises KeyError."""

    def hold(self, image_id: str, holder: str) -> None:
        """Keep an image from being removed."""

    def release(self, image_id: str, holder: str) -> None:
        """Let go of it."""

    def image_config(self, image_id: str) -> Mapping[str, Any]:
        """The `config` part of the image's configuration. Raises KeyError."""


class _ContainerRecord(msgspec.Struct, frozen=True):
    """What is written beside a container: enough to know it again."""

    spec: ContainerSpec
    sandbox: str
    cgroup: str
    created_at: float
    stop_signal: int
    own_pid_namespace: bool


class _SandboxRecord(msgspec.Struct, frozen=True):
    spec: SandboxSpec
    cgroup: str
    created_at: float
    id_map: tuple[int, int] | None = None
    is_made: bool = True
    """Whether all of it is there; before that the record only keeps others from its ids."""


class CrunRuntime:  # shape: the calls of the runtime seam
    """The embedded runtime; see `Runtime` for what its calls promise."""

    name = "mizzen"
    abilities = Abilities(apparmor=machine.apparmor())

    def __init__(
        self,
        root: Path,
        images: Unpacked,
        cgroups: Groups,
        programs: machine.Programs,
        cdi_directories: tuple[Path, ...] = cdi.DIRECTORIES,
    ) -> None:
        self.version = programs.version
        self._root = root
        self._images = images
        self._cgroups = cgroups
        self._programs = programs
        self._cdi_directories = cdi_directories
        for directory in ("containers", "sandboxes", "exits", "state"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        self._monitor = conmon.Monitor(programs, root / "state", root / "exits")
        self._exits = Exits(root / "exits")
        self._seen_exits: dict[str, ContainerSeen] = {}
        self._removing: set[str] = set()
        self._sandboxes: dict[str, str] = {}
        """The sandbox of each container that was looked for: it never changes, and to read every record takes long."""

    # Sandboxes

    async def open_sandbox(self, spec: SandboxSpec) -> Sandbox:
        home = self._root / "sandboxes" / spec.uid
        known = self._sandbox(spec.uid)
        if known is not None and self._is_open(home, known):
            return self._as_sandbox(known)
        _clear(home)  # what an attempt that failed half-way, or a restart of the machine, has left
        group = self._cgroups.pod(spec.qos, spec.uid)
        record = _SandboxRecord(spec, group, time.time(), None if spec.host_users else self._free_ids())
        try:
            home.mkdir(parents=True, exist_ok=True)
            if record.id_map is not None:
                # Nobody else may take these ids from now on.
                records.write(home / "record.json", msgspec.structs.replace(record, is_made=False))
            self._cgroups.make(group, machine.with_every_page_size(spec.limits))
            # The UTS namespace is the pod's own unless the host's network shows the host's name.
            namespaces.make(
                home / "ns",
                net=not spec.host_network,
                ipc=not spec.host_ipc,
                hostname=spec.hostname,
                sysctls=spec.sysctls,
                id_map=record.id_map,
            )
            if not spec.host_ipc:
                self._mount_shm(home / "shm", spec.shm_bytes)
            if spec.shared_pid:
                await self._start_init(home, group)
            records.write(home / "record.json", record)
        except PermissionError as error:
            lacking = "" if record.id_map is None else f": {_NO_IDS.format(*record.id_map)}"
            raise RuntimeFailure("CreatePodSandboxError", f"{error}{lacking}") from error
        except OSError as error:
            raise RuntimeFailure("CreatePodSandboxError", str(error)) from error
        return self._as_sandbox(record)

    async def close_sandbox(self, sandbox: str) -> None:
        home = self._root / "sandboxes" / sandbox
        record = self._sandbox(sandbox)
        for container in self._of_sandbox(sandbox):
            await self.remove(container)
        init = records.read_pid(home / "init.pid")
        if init and record and self._cgroups.holds(record.cgroup, init):
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
            await machine.gone(init)
        _clear(home)
        # An agent that was killed while it made the sandbox has left a group, but no record of it.
        unnoted = (self._cgroups.pod(qos, sandbox) for qos in ("Guaranteed", "Burstable", "BestEffort"))
        for group in (record.cgroup,) if record is not None else unnoted:
            await self._remove_cgroup(group)
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)

    async def has_sandbox(self, sandbox: str) -> bool:
        record = self._sandbox(sandbox)
        return record is not None and self._is_open(self._root / "sandboxes" / sandbox, record)

    # Containers

    async def create(self, sandbox: str, spec: ContainerSpec) -> str:
        container = container_id(str(self._root), spec)
        home = self._root / "containers" / container
        shared = self._sandbox(sandbox)
        if shared is None:
            raise RuntimeFailure("CreateContainerError", f"sandbox {sandbox} is not open")
        if home.exists():
            await self.remove(container)
        try:
            image = self._images.image_config(spec.image_id)
            layers = self._images.layers(spec.image_id)
        except KeyError as error:
            raise RuntimeFailure("CreateContainerError", f"image {spec.image} is not on this node") from error
        try:
            self._images.hold(spec.image_id, container)
            with self._user_namespace(shared) as users_fd:
                self._mount_root(home, layers, shared.id_map, users_fd)
                spec = mapped.with_mapped_mounts(home, spec, users_fd)
            record, config = self._prepared(home, container, shared, spec, image)
            (home / "config.json").write_bytes(orjson.dumps(config))
            records.write(home / "record.json", record)
            Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
            await self._monitor.create(container, home, spec.log_path, _flags(spec))
        except BaseException as error:
            await self.remove(container)
            self._images.release(spec.image_id, container)  # also when there is no record yet that says so
            if isinstance(error, OSError):
                raise RuntimeFailure("CreateContainerError", str(error)) from error
            if isinstance(error, RuntimeFailure):
                error.container = container
            raise
        return container

    async def start(self, container: str) -> None:
        home = self._root / "containers" / container
        try:
            (home / "starting").touch()  # an agent that is killed before it notes the start knows that there may be one
        except FileNotFoundError as error:
            raise RuntimeFailure("RunContainerError", f"container {container} is gone") from error
        done = await self._oci("start", container)
        if done.code:
            text = done.output.decode("utf-8", "replace").strip()
            raise RuntimeFailure("RunContainerError", text or f"start failed with code {done.code}")
        (home / "started").write_text(repr(time.time()))

    async def stop(self, container: str, grace: float) -> None:
        home = self._root / "containers" / container
        record = self._container(container)
        if record is None or not self._is_alive(container, record):
            return
        if grace > 0:
            self._signal(home, container, record, record.stop_signal)
            if await self._exits.wait(container, grace):
                return
        self._signal(home, container, record, signal.SIGKILL)
        if not conmon.is_watching(home):
            await self._end_unwatched(home, record)  # nobody else would tell of its end
        elif not await self._exits.wait(container, _KILL_PATIENCE):
            raise RuntimeFailure("KillContainerError", f"container {container} does not end")

    async def remove(self, container: str) -> None:
        self._removing.add(container)
        try:
            await self._remove(container)
        finally:
            self._removing.discard(container)

    async def _remove(self, container: str) -> None:
        home = self._root / "containers" / container
        record = self._container(container)
        # What never started has nothing to end, and maybe no monitor that would tell of its end.
        if record is not None and (home / "starting").exists():
            with contextlib.suppress(RuntimeFailure):
                await self.stop(container, 0)
        # A monitor whose agent was killed may still be creating the container, or write of its end later.
        if not (self._root / "exits" / container).exists():
            await conmon.end(home, container)
        if (self._root / "state" / container).exists():
            await self._oci("delete", "--force", container)
        if record is not None:
            await self._remove_cgroup(record.cgroup)
        with contextlib.suppress(OSError):
            syscalls.unmount(str(home / "rootfs"))
        if record is not None:
            self._images.release(record.spec.image_id, container)
        self._exits.forget(container)
        self._seen_exits.pop(container, None)
        if (home / "mapped").exists():
            try:
                teardown.unmount_below(home / "mapped")
            except OSError as error:
                raise RuntimeFailure("KillContainerError", str(error)) from error
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)

    async def update(self, container: str, limits: Limits) -> None:
        record = self._container(container)
        if record is None:
            raise RuntimeFailure("ResizeFailed", f"container {container} is gone")
        try:
            self._cgroups.limit(record.cgroup, limits)
        except OSError as error:
            raise RuntimeFailure("ResizeFailed", str(error)) from error

    def limit_sandbox(self, sandbox: str, limits: Limits) -> None:
        if (record := self._sandbox(sandbox)) is not None:
            self._cgroups.limit(record.cgroup, limits)

    def limit_node(self, whole: Limits, tiers: Mapping[str, Limits]) -> None:
        bound(self._cgroups, whole, tiers)

    async def exec(self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> Exec:
        record = self._container(container)
        if record is None or not self._is_alive(container, record):
            raise RuntimeFailure("NotFound", f"container {container} is not running")
        process = orjson.loads((self._root / "containers" / container / "config.json").read_bytes())["process"]
        return await execute(
            self._command("exec"), container, {**process, "args": list(command), "terminal": tty}, stdin=stdin
        )

    async def attach(self, container: str) -> Exec:
        home = self._root / "containers" / container
        record = self._container(container)
        if record is None or not self._is_alive(container, record):
            raise RuntimeFailure("NotFound", f"container {container} is not running")
        return attach_to(home, self._exits, container, stdin_once=record.spec.stdin_once)

    async def process_of(self, container: str) -> Process:
        config = orjson.loads((self._root / "containers" / container / "config.json").read_bytes())
        record = self._container(container)
        return Process(oci_config.user_of(config), signals.name(record.stop_signal) if record is not None else "")

    async def observe(self) -> Observed:
        sandboxes = []
        for home in sorted((self._root / "sandboxes").iterdir()):
            record = self._sandbox(home.name)
            if record is not None and self._is_open(home, record):
                sandboxes.append(self._as_sandbox(record))
            else:
                # The machine restarted: the namespaces went, the directory stayed. Or the record cannot be read, and
                # what runs in there would go on beside its successors.
                await self.close_sandbox(home.name)
        homes = sorted((self._root / "containers").iterdir())
        for home in homes:
            if self._container(home.name) is None:
                await self.remove(home.name)  # its creation had hardly begun
            else:
                await self._note_start(home)
        containers = [self._seen(home.name) for home in homes]
        return Observed(tuple(sandboxes), tuple(one for one in containers if one is not None))

    async def _note_start(self, home: Path) -> None:
        """Note that a container has started, if the agent that started it was killed before it could."""
        record = self._container(home.name)
        starting = home / "starting"
        if record is None or (home / "started").exists() or not starting.exists():
            return
        if not self._is_alive(home.name, record):
            return
        done = await self._oci("state", home.name)
        if done.code == 0 and orjson.loads(done.output).get("status") == "running":
            (home / "started").write_text(repr(starting.stat().st_mtime))

    async def stats(self, *, brief: bool = False) -> Mapping[str, Usage]:
        found: dict[str, Usage] = {}
        for home in (self._root / "containers").iterdir():
            record = self._container(home.name)
            if record is not None and not (self._root / "exits" / home.name).exists():
                found[home.name] = self._cgroups.usage(record.cgroup, brief=brief)
        for home in (self._root / "sandboxes").iterdir():
            shared = self._sandbox(home.name)
            if shared is not None:
                found[f"pod/{home.name}"] = self._cgroups.usage(shared.cgroup, brief=brief)
        return found

    async def layers(self, containers: Collection[str]) -> Mapping[str, Used]:
        return {one: await asyncio.to_thread(tree, self._root / "containers" / one / "upper") for one in containers}

    async def watch(self) -> AsyncIterator[ContainerSeen]:
        minding = asyncio.create_task(self._mind_monitors(), name="monitors")
        try:
            async for container in self._exits.names():
                if container in self._removing:
                    continue  # nobody waits for the end of what is removed
                seen = self._seen(container)
                # The name may have waited while the container was removed, and even created anew.
                if seen is not None and seen.state == "exited":
                    yield seen
        finally:
            minding.cancel()

    async def _mind_monitors(self) -> None:
        """End containers whose monitor was killed: nobody reads their output, nor would hear of their end."""
        while True:
            for home in list((self._root / "containers").iterdir()):
                if conmon.is_watching(home):
                    continue  # nearly always so, and asked often
                record = self._container(home.name)
                if record is None or home.name in self._removing or not (home / "started").exists():
                    continue
                # In this order: a monitor tells of the end before it goes itself.
                if not conmon.is_watching(home) and not (self._root / "exits" / home.name).exists():
                    await self._end_unwatched(home, record)
            await asyncio.sleep(MONITORS_EVERY)

    async def _end_unwatched(self, home: Path, record: _ContainerRecord) -> None:
        if self._is_alive(home.name, record):
            _log.warning("monitor of a container is gone, ending it", container=home.name)
            self._signal(home, home.name, record, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await machine.gone(records.read_pid(home / "pid"))
        is_there = self._container(home.name) is not None and home.name not in self._removing
        if is_there and not self._is_alive(home.name, record):
            records.write_exit(self._root / "exits" / home.name, 128 + signal.SIGKILL)

    async def trouble(self) -> str:
        return ""

    async def close(self) -> None:
        self._exits.close()

    async def checkpoint(self, container: str, archive: Path, patience: float) -> None:
        raise RuntimeFailure("CheckpointFailed", f"the {self.name} runtime of this node makes no checkpoints")

    def reopen_log(self, container: str) -> None:
        with contextlib.suppress(OSError):
            conmon.reopen_log(self._root / "containers" / container)

    # Inside

    def _prepared(
        self, home: Path, container: str, shared: _SandboxRecord, spec: ContainerSpec, image: Mapping[str, Any]
    ) -> tuple[_ContainerRecord, dict[str, Any]]:
        group = f"{shared.cgroup}/{container}"
        spec = replace(spec, devices=machine.nodes_of(spec.devices))
        label = f"pod: {spec.pod_name}_{spec.pod_namespace}({spec.pod_uid}), container: {spec.name}"
        user = users.resolve(str(home / "rootfs"), image.get("User") or "", spec.security, label)
        paths = self._namespaces(shared, spec)
        shm = "/dev/shm" if shared.spec.host_ipc else str(self._root / "sandboxes" / shared.spec.uid / "shm")
        place = machine.place(group, paths, shm, spec)
        config = oci_config.config(
            spec, shared.spec, image, user=user, place=place, seccomp=machine.seccomp_profile(spec.security.seccomp)
        )
        if spec.cdi_devices:
            config = cdi.applied(config, cdi.edits(spec.cdi_devices, cdi.found(self._cdi_directories)), machine.device)
        if not config["process"]["args"]:
            raise RuntimeFailure("CreateContainerError", "no command specified")
        stop = signals.number(spec.stop_signal or image.get("StopSignal") or "")
        return _ContainerRecord(spec, shared.spec.uid, group, time.time(), stop, paths.get("pid") == ""), config

    def _namespaces(self, shared: _SandboxRecord, spec: ContainerSpec) -> dict[str, str]:
        bound = self._root / "sandboxes" / shared.spec.uid / "ns"
        paths = {"uts": str(bound / "uts")}
        if shared.id_map is not None:
            paths["user"] = str(bound / "user")
        if not shared.spec.host_network:
            paths["net"] = str(bound / "net")
        if not shared.spec.host_ipc:
            paths["ipc"] = str(bound / "ipc")
        if shared.spec.shared_pid:
            init = records.read_pid(bound.parent / "init.pid")
            paths["pid"] = f"/proc/{init}/ns/pid"
        elif spec.target and (pid := self._pid_of(shared.spec.uid, spec.target)):
            paths["pid"] = f"/proc/{pid}/ns/pid"
        elif not shared.spec.host_pid:
            paths["pid"] = ""
        return paths

    def _pid_of(self, sandbox: str, name: str) -> int:
        for container in self._of_sandbox(sandbox):
            record = self._container(container)
            if record is not None and record.spec.name == name and self._is_alive(container, record):
                return records.read_pid(self._root / "containers" / container / "pid")
        return 0

    def _mount_root(self, home: Path, layers: tuple[str, ...], ids: namespaces.IdMap | None, users_fd: int) -> None:
        for part in ("rootfs", "upper", "work"):
            (home / part).mkdir(parents=True, exist_ok=True)
        (home / "upper").chmod(0o755)
        if ids is not None:
            os.chown(home / "upper", ids[0], ids[0])
            layers = tuple(mapped.view(home, f"layer{index}", layer, users_fd) for index, layer in enumerate(layers))
        upper, work, target = (str(home / part) for part in ("upper", "work", "rootfs"))
        syscalls.mount_overlay(layers, upper, work, target, as_user=namespaces.in_user_namespace())
        for layer in layers if ids is not None else ():
            syscalls.unmount(layer)  # the overlay has its own reference

    @contextlib.contextmanager
    def _user_namespace(self, shared: _SandboxRecord) -> Iterator[int]:
        """A descriptor of the pod's user namespace; -1 when it has none of its own."""
        if shared.id_map is None:
            yield -1
            return
        fd = os.open(self._root / "sandboxes" / shared.spec.uid / "ns" / "user", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def _free_ids(self) -> namespaces.IdMap:
        """A range of host ids that no other pod of this node has."""
        records = (self._sandbox(home.name) for home in (self._root / "sandboxes").iterdir())
        taken = {one.id_map[0] for one in records if one is not None and one.id_map is not None}
        first = next(first for first in range(_IDS, 1 << 32, _IDS) if first not in taken)
        return first, _IDS

    def _mount_shm(self, path: Path, size: int) -> None:
        path.mkdir(exist_ok=True)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("shm", str(path), "tmpfs", flags, f"mode=1777,size={size}")

    async def _start_init(self, home: Path, group: str) -> None:
        pid = machine.start_init()
        (home / "init.pid").write_text(str(pid))
        self._cgroups.move(f"{group}/init", pid)

    def _signal(self, home: Path, container: str, record: _ContainerRecord, signal_number: int) -> None:
        members = self._cgroups.members(record.cgroup)
        first = records.read_pid(home / "pid")
        insisting = signal_number == signal.SIGKILL
        for pid in members if insisting and not record.own_pid_namespace else {first} & members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)

    def _is_alive(self, container: str, record: _ContainerRecord) -> bool:
        if (self._root / "exits" / container).exists():
            return False
        first = records.read_pid(self._root / "containers" / container / "pid")
        return self._cgroups.holds(record.cgroup, first)

    async def _remove_cgroup(self, group: str) -> None:
        for attempt in range(50):
            try:
                self._cgroups.remove(group)
            except OSError:
                # The last process has been killed but not reaped yet.
                for pid in self._cgroups.members(group):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.002 * (attempt + 1))
            else:
                return
        _log.warning("control group stays behind", group=group)

    async def _oci(self, *arguments: str) -> spawn.Finished:
        return await spawn.run(self._command(*arguments), timeout=60)

    def _command(self, *arguments: str) -> list[str]:
        return [self._programs.oci_runtime, *self._programs.flags, f"--root={self._root / 'state'}", *arguments]

    def _seen(self, container: str) -> ContainerSeen | None:
        if (known := self._seen_exits.get(container)) is not None:
            return known
        home = self._root / "containers" / container
        record = self._container(container)
        if record is None:
            return None
        started = home / "started"
        base = ContainerSeen(
            id=container,
            pod_uid=record.spec.pod_uid,
            name=record.spec.name,
            attempt=record.spec.attempt,
            image=record.spec.image,
            image_id=record.spec.image_id,
            state="created",
            created_at=record.created_at,
            started_at=records.moment(started),
        )
        exit_file = self._root / "exits" / container
        if self._is_alive(container, record) or (not exit_file.exists() and conmon.is_watching(home)):
            # What has ended, but whose monitor is about to say how, still runs as far as anybody can tell.
            return replace(base, state="running" if base.started_at else "created")
        if not started.exists() and not (home / "starting").exists():
            return base  # it never came to run; of one that may have, nobody can tell that it has not
        code, finished = records.exit_code(exit_file)
        oom = code != 0 and self._cgroups.was_oom_killed(record.cgroup)
        began = base.started_at or (home / "starting").stat().st_mtime
        seen = replace(base, state="exited", started_at=began, exit_code=code, finished_at=finished, oom_killed=oom)
        if not exit_file.exists() and not oom:
            seen = replace(seen, reason="Unknown")
        if exit_file.exists():
            self._seen_exits[container] = seen
        return seen

    def _of_sandbox(self, sandbox: str) -> list[str]:
        present = [home.name for home in (self._root / "containers").iterdir()]
        for name in present:
            if name not in self._sandboxes and (record := self._container(name)) is not None:
                self._sandboxes[name] = record.sandbox
        self._sandboxes = {name: self._sandboxes[name] for name in present if name in self._sandboxes}
        return [name for name, its in self._sandboxes.items() if its == sandbox]

    def _container(self, container: str) -> _ContainerRecord | None:
        return records.read(self._root / "containers" / container / "record.json", _ContainerRecord)

    def _sandbox(self, sandbox: str) -> _SandboxRecord | None:
        return records.read(self._root / "sandboxes" / sandbox / "record.json", _SandboxRecord)

    def _is_open(self, home: Path, record: _SandboxRecord) -> bool:
        if not record.is_made:
            return False
        if record.spec.shared_pid and not machine.is_running(records.read_pid(home / "init.pid")):
            return False
        return namespaces.is_bound(home / "ns" / "uts")

    def _as_sandbox(self, record: _SandboxRecord) -> Sandbox:
        spec = record.spec
        netns = None if spec.host_network else self._root / "sandboxes" / spec.uid / "ns" / "net"
        return Sandbox(spec.uid, spec.uid, netns, record.created_at)


def container_id(root: str, spec: ContainerSpec) -> str:
    """The same id for the same attempt on the same node, so that a repeated create finds the first one's traces."""
    text = f"{root}\0{spec.pod_uid}\0{spec.name}\0{spec.attempt}"
    return hashlib.sha256(text.encode()).hexdigest()


def _clear(home: Path) -> None:
    """Unmount what a sandbox has mounted."""
    namespaces.remove(home / "ns")
    with contextlib.suppress(OSError):
        syscalls.unmount(str(home / "shm"))


def _flags(spec: ContainerSpec) -> list[str]:
    flags = []
    if spec.tty:
        flags.append("-t")
    if spec.stdin:
        flags.append("-i")
        if not spec.stdin_once:
            flags.append("--leave-stdin-open")
    return flags
