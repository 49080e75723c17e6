"""Containers by a runtime of their own (containerd, CRI-O), spoken to over the Container Runtime Interface.

A sandbox is known to the agent by its pod's uid; what the runtime calls it is looked up by label, so nothing needs
to be remembered. Ends are seen through the containers' process ids at once; looking at the list is the fallback.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import orjson

from mizzen.agent.http import Dial
from mizzen.agent.runtime import cdi, criconfig, cristreams, machine, signals, spawn
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
from mizzen.agent.runtime.cgroups import Cgroups, bound
from mizzen.agent.runtime.cninone import PLACEHOLDER
from mizzen.agent.runtime.crirpc import GREETING_PAUSE, CallFailed, CriChannel
from mizzen.base import log
from mizzen.wire import cri

_log = log.get("runtime")
_LOOK_EVERY = 10.0
_MOMENT, _LONG_MOMENT = 0.01, 1.0
_REMOVALS = 8
_STOP_ATTEMPTS = 4
_STOP_PAUSE = 0.2
"""How often a removal is tried."""
_STATUS_PATIENCE = 10.0
_CHECKPOINT_PATIENCE = 600.0
_ABSENCE = 60.0
"""Seconds for which a runtime that has gone is waited for."""
_UNSURE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})
"""Failures of a call that leave open whether it was done."""
_STATES = {0: "created", 1: "running", 2: "exited"}
Message = dict[str, Any]


class CriRuntime:  # shape: the calls of the runtime seam
    """A runtime at the other end of a socket; see `Runtime` for what its calls promise."""

    def __init__(
        self,
        channel: CriChannel,
        cgroups: Cgroups,
        version: tuple[str, str],
        dial: Dial | None,
        cdi_directories: tuple[Path, ...] | None = cdi.DIRECTORIES,
    ) -> None:
        """`cdi_directories`: where the edits of CDI devices are found; None: the runtime makes them itself."""
        self.name, self.version = version
        self.abilities = Abilities(strict_groups=False, recursive_read_only=False)
        self._channel = channel
        self._cgroups = cgroups
        self._dial = dial
        self._cdi_directories = cdi_directories
        self._node = cgroups.parent.strip("/")
        self._specs: dict[str, SandboxSpec] = {}
        self._ended: asyncio.Queue[ContainerSeen] = asyncio.Queue()
        self._watched: dict[str, asyncio.Task[None]] = {}
        self._told: set[str] = set()
        self._errands: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(
        cls,
        channel: CriChannel,
        cgroups: Cgroups,
        dial: Dial | None = None,
        cdi_directories: tuple[Path, ...] = cdi.DIRECTORIES,
    ) -> "CriRuntime":
        """The runtime behind a socket; `dial` reaches its streaming server. Raises RuntimeFailure."""
        version = await channel.greeting()
        knows_cdi = criconfig.knows_cdi(*version, await channel.configuration())
        made = cls(channel, cgroups, version, dial, None if knows_cdi else cdi_directories)
        made.abilities = await channel.abilities()
        return made

    # Sandboxes

    async def open_sandbox(self, spec: SandboxSpec) -> Sandbox:
        if not spec.host_users:
            raise RuntimeFailure("CreatePodSandboxError", f"{self.name} has no user namespaces for pods (hostUsers)")
        self._specs[spec.uid] = spec
        known = await self._sandboxes(spec.uid)
        for one in known:
            if one["state"] == cri.SANDBOX_READY:
                return await self._as_sandbox(one, host_network=spec.host_network)
        attempt = max((one["metadata"]["attempt"] + 1 for one in known), default=0)
        group = self._cgroups.pod(spec.qos, spec.uid)
        try:
            self._cgroups.make(group, machine.with_every_page_size(spec.limits))
            os.makedirs(spec.log_directory, exist_ok=True)  # noqa: PTH103 - one call, and it does not wait
        except OSError as error:
            raise RuntimeFailure("CreatePodSandboxError", str(error)) from error
        config = criconfig.sandbox(spec, self._node, group, attempt)
        opened = await self._channel.call("RunPodSandbox", {"config": config, "runtime_handler": spec.handler})
        seen = {"id": opened["pod_sandbox_id"], "metadata": config["metadata"], "created_at": 0}
        return await self._as_sandbox(seen, host_network=spec.host_network)

    async def close_sandbox(self, sandbox: str) -> None:
        for one in await self._sandboxes(sandbox):
            try:
                await self._stop_sandbox(one["id"])
                await self._channel.call("RemovePodSandbox", {"pod_sandbox_id": one["id"]})
            except CallFailed as error:
                if error.code != "NOT_FOUND":  # gone since it was listed is gone all the same
                    raise
        self._specs.pop(sandbox, None)
        for qos in ("Guaranteed", "Burstable", "BestEffort"):
            with contextlib.suppress(OSError):
                self._cgroups.remove(self._cgroups.pod(qos, sandbox))

    async def has_sandbox(self, sandbox: str) -> bool:
        return any(one["state"] == cri.SANDBOX_READY for one in await self._sandboxes(sandbox))

    async def _stop_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox; its shim may end while it is being told to, and another call then finds it ended."""
        for attempt in range(_STOP_ATTEMPTS):
            try:
                await self._channel.call("StopPodSandbox", {"pod_sandbox_id": sandbox_id})
                return
            except CallFailed as error:
                if error.code == "NOT_FOUND" or attempt == _STOP_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_STOP_PAUSE)

    # Containers

    async def create(self, sandbox: str, spec: ContainerSpec) -> str:
        ready = [one for one in await self._sandboxes(sandbox) if one["state"] == cri.SANDBOX_READY]
        shared = self._specs.get(sandbox)
        if not ready or shared is None:
            raise RuntimeFailure("CreateContainerError", f"sandbox {sandbox} is not open")
        there = await self._containers({criconfig.POD_UID: sandbox})
        target = ""
        for one in there:
            name, attempt = one["metadata"]["name"], one["metadata"]["attempt"]
            if (name, attempt) == (spec.name, spec.attempt):
                await self.remove(one["id"])  # what an interrupted step has left
            if name == spec.target and one["state"] == cri.RUNNING:
                target = one["id"]
        await self._refuse_root(spec)
        if spec.cdi_devices and self._cdi_directories is not None:
            spec = self._with_devices(spec, self._cdi_directories)
        Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
        created = await self._channel.call(
            "CreateContainer",
            {
                "pod_sandbox_id": ready[0]["id"],
                "config": criconfig.container(
                    spec, shared, self._node, spec.image_id, target, unified=self._cgroups.unified
                ),
                "sandbox_config": criconfig.sandbox(
                    shared, self._node, self._cgroups.pod(shared.qos, shared.uid), ready[0]["metadata"]["attempt"]
                ),
            },
        )
        return str(created["container_id"])

    def _with_devices(self, spec: ContainerSpec, directories: tuple[Path, ...]) -> ContainerSpec:
        wanted = cdi.edits(spec.cdi_devices, cdi.found(directories))
        if wanted.hooks:
            text = "hooks of devices are left out: the runtime knows no CDI"
            _log.warning(text, container=spec.name, pod=spec.pod_name, hooks=[one.path for one in wanted.hooks])
        return cdi.with_edits(spec, wanted)

    async def start(self, container: str) -> None:
        try:
            await self._channel.call("StartContainer", {"container_id": container})
        except CallFailed as error:
            if error.code not in _UNSURE:
                raise RuntimeFailure("RunContainerError", error.message) from error
            if not await self._came_to_run(container):  # then there is nothing that could count as a crash
                raise RuntimeFailure("CreateContainerError", error.message) from error
        self._follow(container)

    async def _came_to_run(self, container: str) -> bool:
        """Whether a container has run of which nobody answered; asked until the runtime is there again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ABSENCE
        while True:
            try:
                seen, _ = await self._status(container)
            except CallFailed as error:
                if error.code in _UNSURE and loop.time() < deadline:
                    await asyncio.sleep(GREETING_PAUSE)
                    continue
                return False
            return seen.started_at > 0

    async def stop(self, container: str, grace: float) -> None:
        try:
            grace -= await self._signalled(container, grace) if grace > 0 else 0
            request = {"container_id": container, "timeout": max(0, round(grace + 0.499))}
            await self._channel.call("StopContainer", request, patience=grace + 60)
        except CallFailed as error:
            if error.code != "NOT_FOUND":
                raise RuntimeFailure("KillContainerError", error.message) from error
            return
        await self._look_at(container)

    async def _signalled(self, container: str, grace: float) -> float:
        """Send a container the signal that its pod asks for, which CRI cannot say; answers the seconds waited then."""
        answer = await self._channel.call("ContainerStatus", {"container_id": container, "verbose": True})
        name = answer["status"]["annotations"].get(criconfig.STOP_SIGNAL, "")
        pid = int(_info(answer).get("pid") or 0)
        if not name or not pid or answer["status"]["state"] != cri.RUNNING:
            return 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            os.kill(pid, signals.number(name))
            await asyncio.wait_for(spawn.end_of_stranger(pid), grace)
        return loop.time() - began

    async def remove(self, container: str) -> None:
        self._told.discard(container)
        if (watch := self._watched.pop(container, None)) is not None:
            watch.cancel()
        for attempt in range(_REMOVALS):
            try:
                await self._channel.call("RemoveContainer", {"container_id": container})
            except CallFailed as error:
                if error.code == "NOT_FOUND":
                    return
                if attempt == _REMOVALS - 1:
                    raise
                # It has started meanwhile, or an interrupted removal still goes on.
                await self.stop(container, 0)
                await asyncio.sleep(_MOMENT * 2**attempt)
            else:
                return

    async def update(self, container: str, limits: Limits) -> None:
        request = {"container_id": container, "linux": criconfig.resources(limits, unified=self._cgroups.unified)}
        try:
            await self._channel.call("UpdateContainerResources", request)
        except CallFailed as error:
            raise RuntimeFailure("ResizeFailed", error.message) from error

    def limit_sandbox(self, sandbox: str, limits: Limits) -> None:
        if (spec := self._specs.get(sandbox)) is not None:
            self._cgroups.limit(self._cgroups.pod(spec.qos, sandbox), limits)

    def limit_node(self, whole: Limits, tiers: Mapping[str, Limits]) -> None:
        bound(self._cgroups, whole, tiers)

    async def exec(self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> Exec:
        request = {
            "container_id": container, "cmd": list(command), "tty": tty, "stdin": stdin, "stdout": True,
            "stderr": not tty,
        }  # fmt: skip
        answer = await self._channel.call("Exec", request)
        return await cristreams.connect(answer["url"], tty=tty, stdin=stdin, dial=self._dial)

    async def attach(self, container: str) -> Exec:
        _, info = await self._status(container, verbose=True)
        config = info.get("config") or {}
        tty, stdin = bool(config.get("tty")), bool(config.get("stdin"))
        request = {"container_id": container, "stdin": stdin, "tty": tty, "stdout": True, "stderr": not tty}
        answer = await self._channel.call("Attach", request)
        return await cristreams.connect(answer["url"], tty=tty, stdin=stdin, dial=self._dial)

    async def checkpoint(self, container: str, archive: Path, patience: float) -> None:
        request = {"container_id": container, "location": str(archive), "timeout": int(patience)}
        try:
            await self._channel.call("CheckpointContainer", request, patience=patience or _CHECKPOINT_PATIENCE)
        except CallFailed as error:
            raise RuntimeFailure("CheckpointFailed", error.message) from error

    def reopen_log(self, container: str) -> None:
        async def errand() -> None:
            try:
                await self._channel.call("ReopenContainerLog", {"container_id": container})
            except CallFailed as error:
                _log.warning("log not opened anew", container=container, error=str(error))

        task = asyncio.create_task(errand())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def process_of(self, container: str) -> Process:
        _, info = await self._status(container, verbose=True)
        return criconfig.process_of(info)

    async def observe(self) -> Observed:
        sandboxes = []
        for one in await self._sandboxes():
            if one["state"] != cri.SANDBOX_READY:
                continue
            spec = self._specs[one["metadata"]["uid"]] = criconfig.spec_of(one)
            try:
                sandboxes.append(await self._as_sandbox(one, host_network=spec.host_network))
            except CallFailed as error:
                if error.code != "NOT_FOUND":  # closed since it was listed
                    raise
        containers = []
        for one in await self._containers():
            try:
                seen, _ = await self._status(one["id"], one)
            except CallFailed as error:
                if error.code == "NOT_FOUND":
                    continue
                raise
            containers.append(seen)
            if seen.state == "running":
                self._follow(seen.id)
            self._told |= {seen.id} if seen.state == "exited" else set()
        return Observed(tuple(sandboxes), tuple(containers))

    async def stats(self, *, brief: bool = False) -> Mapping[str, Usage]:
        try:
            sandboxes, containers = await self._sandboxes(), await self._containers()
        except CallFailed as error:
            _log.warning("no usage while the runtime is away", error=error.message)
            return {}
        found: dict[str, Usage] = {}
        groups: dict[str, str] = {}
        for one in sandboxes:
            uid = one["metadata"]["uid"]
            spec = self._specs.get(uid)
            groups[uid] = self._cgroups.pod(spec.qos if spec is not None else "BestEffort", uid)
            found[f"pod/{uid}"] = self._cgroups.usage(groups[uid], brief=brief)
        for one in containers:
            uid = one["labels"].get(criconfig.POD_UID, "")
            if one["state"] == cri.RUNNING and uid in groups:
                found[one["id"]] = self._cgroups.usage(f"{groups[uid]}/{one['id']}", brief=brief)
        return found

    async def layers(self, containers: Collection[str]) -> Mapping[str, Used]:
        wanted = {"filter": {"label_selector": {criconfig.NODE_LABEL: self._node}}}
        try:
            seen = (await self._channel.call("ListContainerStats", wanted))["stats"]
        except CallFailed as error:
            _log.warning("no disk usage while the runtime is away", error=error.message)
            return {}
        found = {one["attributes"]["id"]: criconfig.used(one["writable_layer"]) for one in seen}
        return {one: found[one] for one in containers if one in found}

    async def watch(self) -> AsyncIterator[ContainerSeen]:
        looking = asyncio.create_task(self._look_around())
        try:
            while True:
                yield await self._ended.get()
        finally:
            looking.cancel()

    async def trouble(self) -> str:
        told = await self._channel.call("Status", patience=_STATUS_PATIENCE)
        return criconfig.trouble((told["status"] or {}).get("conditions", ()))

    async def close(self) -> None:
        for task in [*self._watched.values(), *self._errands]:
            task.cancel()
        await self._channel.close()

    # Inside

    async def _sandboxes(self, uid: str = "") -> list[Message]:
        wanted = {criconfig.NODE_LABEL: self._node, **({criconfig.POD_UID: uid} if uid else {})}
        answer = await self._channel.call("ListPodSandbox", {"filter": {"label_selector": wanted}})
        return sorted(answer["items"], key=lambda one: -one["created_at"])

    async def _containers(self, labels: Mapping[str, str] | None = None) -> list[Message]:
        wanted = {criconfig.NODE_LABEL: self._node, **(labels or {})}
        answer = await self._channel.call("ListContainers", {"filter": {"label_selector": wanted}})
        return list(answer["containers"])

    async def _as_sandbox(self, seen: Message, *, host_network: bool) -> Sandbox:
        """The sandbox with the namespace to attach to the network; none where the runtime has attached it itself."""
        uid = seen["metadata"]["uid"]
        answer = await self._channel.call("PodSandboxStatus", {"pod_sandbox_id": seen["id"], "verbose": True})
        created = answer["status"]["created_at"] / 1e9
        network = answer["status"]["network"]
        ip = network.get("ip", "") if network else ""
        if host_network:
            return Sandbox(uid, uid, None, created)
        if ip and ip != PLACEHOLDER:
            more = tuple(one["ip"] for one in network["additional_ips"])
            return Sandbox(uid, uid, None, created, (ip, *more))
        pid = _info(answer).get("pid") or 0
        return Sandbox(uid, uid, Path(f"/proc/{pid}/ns/net"), created)

    async def _status(
        self, container: str, listed: Message | None = None, *, verbose: bool = False
    ) -> tuple[ContainerSeen, Message]:
        answer = await self._channel.call("ContainerStatus", {"container_id": container, "verbose": verbose})
        status: Message = answer["status"]
        meta = status["metadata"]
        seen = ContainerSeen(
            id=status["id"],
            pod_uid=status["labels"].get(criconfig.POD_UID, ""),
            name=meta["name"],
            attempt=meta["attempt"],
            image=(status["image"] or {}).get("image", ""),
            image_id=(listed or {}).get("image_ref") or status["image_ref"],
            state=_STATES.get(status["state"], "exited"),  # type: ignore[arg-type]
            created_at=status["created_at"] / 1e9,
            started_at=status["started_at"] / 1e9,
            finished_at=status["finished_at"] / 1e9,
            exit_code=status["exit_code"],
            oom_killed=status["reason"] == "OOMKilled",
            reason=status["reason"],
        )
        return seen, _info(answer)

    async def _refuse_root(self, spec: ContainerSpec) -> None:
        """The runtime does not know runAsNonRoot: the image's user is looked up for it. Raises RuntimeFailure."""
        security = spec.security
        if not security.run_as_non_root:
            return
        label = f"pod: {spec.pod_name}_{spec.pod_namespace}({spec.pod_uid}), container: {spec.name}"
        listed = await self._channel.call("ListImages")
        image: Message = next((one for one in listed["images"] if one["id"] == spec.image_id), {})
        text = ""
        if security.run_as_user is not None:
            text = "container's runAsUser breaks non-root policy" if security.run_as_user == 0 else ""
        elif image.get("username"):
            text = (
                f"container has runAsNonRoot and image has non-numeric user ({image['username']}), cannot verify user "
                "is non-root"
            )
        elif not (image.get("uid") or {}).get("value"):
            text = "container has runAsNonRoot and image will run as root"
        if text:
            raise RuntimeFailure("CreateContainerConfigError", f"{text} ({label})")

    def _follow(self, container: str) -> None:
        if container not in self._watched:
            self._watched[container] = asyncio.create_task(self._until_end(container))

    async def _until_end(self, container: str) -> None:
        """Wait for the container's process to end, then for the runtime to know how."""
        with contextlib.suppress(RuntimeFailure):
            seen, info = await self._status(container, verbose=True)
            if seen.state == "running":
                await spawn.end_of_stranger(int(info.get("pid") or 0))
            pause = _MOMENT
            while not await self._look_at(container):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONG_MOMENT)
        self._watched.pop(container, None)

    async def _look_at(self, container: str) -> bool:
        """Report a container's end once; answers whether it has ended, or is gone."""
        try:
            seen, _ = await self._status(container)
        except CallFailed as error:
            return error.code == "NOT_FOUND"
        if seen.state != "exited":
            return False
        if container not in self._told:
            self._told.add(container)
            self._ended.put_nowait(seen)
        return True

    async def _look_around(self) -> None:
        """Find the ends that nobody saw: of containers whose process was not found, or while the runtime was away."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            with contextlib.suppress(RuntimeFailure):
                for one in await self._containers():
                    if one["state"] == cri.EXITED and one["id"] not in self._told:
                        await self._look_at(one["id"])
                    elif one["state"] == cri.RUNNING:
                        self._follow(one["id"])


def _info(answer: Message) -> Message:
    """What the runtime says beyond CRI's fields."""
    try:
        info: Message = orjson.loads(answer["info"].get("info") or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return info
