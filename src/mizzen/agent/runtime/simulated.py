"""Containers that exist only as states: for thousands of pods on nodes that need no machine, and for tests.

What a container does is read from its environment: `SIMULATE_EXIT=CODE` ends it, `SIMULATE_AFTER=SECONDS` later.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

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
from mizzen.base.clock import Clock


class SimulatedRuntime:  # shape: the calls of the runtime seam
    """A runtime without processes; see `Runtime` for what its calls promise."""

    name = "simulated"
    abilities = Abilities()
    version = "1"

    def __init__(self, clock: Clock, *, delay: float = 0.0) -> None:
        self._clock = clock
        self._delay = delay
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, ContainerSeen] = {}
        self._specs: dict[str, ContainerSpec] = {}
        self._ended: asyncio.Queue[ContainerSeen] = asyncio.Queue()
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._addresses = itertools.count(1)

    async def open_sandbox(self, spec: SandboxSpec) -> Sandbox:
        if spec.uid not in self._sandboxes:
            await self._pause()
            number = next(self._addresses)
            ip = f"10.{128 + (number >> 16) % 127}.{number >> 8 & 255}.{number & 255}"
            ips = () if spec.host_network else (ip,)
            self._sandboxes[spec.uid] = Sandbox(spec.uid, spec.uid, None, self._clock.now(), ips)
        return self._sandboxes[spec.uid]

    async def close_sandbox(self, sandbox: str) -> None:
        for one in [one for one in self._containers.values() if one.pod_uid == sandbox]:
            await self.remove(one.id)
        self._sandboxes.pop(sandbox, None)

    async def has_sandbox(self, sandbox: str) -> bool:
        return sandbox in self._sandboxes

    async def create(self, sandbox: str, spec: ContainerSpec) -> str:
        if sandbox not in self._sandboxes:
            raise RuntimeFailure("CreateContainerError", f"sandbox {sandbox} is not open")
        await self._pause()
        id = f"{spec.pod_uid}-{spec.name}-{spec.attempt}"
        self._specs[id] = spec
        self._containers[id] = ContainerSeen(
            id=id,
            pod_uid=spec.pod_uid,
            name=spec.name,
            attempt=spec.attempt,
            image=spec.image,
            image_id=spec.image_id,
            state="created",
            created_at=self._clock.now(),
        )
        return id

    async def start(self, container: str) -> None:
        seen = self._containers.get(container)
        if seen is None:
            raise RuntimeFailure("RunContainerError", f"container {container} is gone")
        self._containers[container] = replace(seen, state="running", started_at=self._clock.now())
        wanted = dict(self._specs[container].env)
        if "SIMULATE_EXIT" in wanted:
            after, code = float(wanted.get("SIMULATE_AFTER", "0")), int(wanted["SIMULATE_EXIT"])
            self._timers[container] = asyncio.create_task(self._end_later(container, after, code))

    async def stop(self, container: str, grace: float) -> None:
        await self._pause()
        self.end(container, 143 if grace > 0 else 137)

    async def remove(self, container: str) -> None:
        self.end(container, 137)
        self._containers.pop(container, None)
        self._specs.pop(container, None)

    async def update(self, container: str, limits: Limits) -> None:
        if container not in self._containers:
            raise RuntimeFailure("ResizeFailed", f"container {container} is gone")
        self._specs[container] = replace(self._specs[container], limits=limits)

    def limit_sandbox(self, sandbox: str, limits: Limits) -> None:
        """Nothing is measured."""

    def limit_node(self, whole: Limits, tiers: Mapping[str, Limits]) -> None:
        """Nothing is measured."""

    async def exec(self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool) -> Exec:
        seen = self._containers.get(container)
        if seen is None or seen.state != "running":
            raise RuntimeFailure("NotFound", f"container {container} is not running")
        return _Echo(" ".join(command).encode())

    async def attach(self, container: str) -> Exec:
        return await self.exec(container, (), tty=False, stdin=False)

    async def checkpoint(self, container: str, archive: Path, patience: float) -> None:
        raise RuntimeFailure("CheckpointFailed", f"the {self.name} runtime of this node makes no checkpoints")

    def reopen_log(self, container: str) -> None:
        """There are no logs."""

    async def process_of(self, container: str) -> Process:
        return Process()

    async def observe(self) -> Observed:
        return Observed(tuple(self._sandboxes.values()), tuple(self._containers.values()))

    async def stats(self, *, brief: bool = False) -> Mapping[str, Usage]:
        return {one.id: Usage() for one in self._containers.values() if one.state == "running"}

    async def layers(self, containers: Collection[str]) -> Mapping[str, Used]:
        return {}

    async def watch(self) -> AsyncIterator[ContainerSeen]:
        while True:
            yield await self._ended.get()

    async def trouble(self) -> str:
        return ""

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()

    def end(self, container: str, code: int) -> None:
        """Let a container end by itself."""
        seen = self._containers.get(container)
        if seen is None or seen.state == "exited":
            return
        ended = replace(seen, state="exited", exit_code=code, finished_at=self._clock.now())
        self._containers[container] = ended
        self._ended.put_nowait(ended)

    async def _end_later(self, container: str, after: float, code: int) -> None:
        await self._clock.sleep(after)
        self.end(container, code)

    async def _pause(self) -> None:
        if self._delay:
            await self._clock.sleep(self._delay)


class _Echo:
    """A command that prints itself and succeeds."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    async def read(self, stream: Literal["stdout", "stderr"]) -> bytes:
        text, self._text = (self._text, b"") if stream == "stdout" else (b"", self._text)
        return text

    async def write(self, data: bytes) -> None:
        self._text += data

    def close_stdin(self) -> None:
        """Nothing reads it."""

    def resize(self, columns: int, rows: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int:
        return 0

    async def close(self) -> None:
        """Nothing runs."""
