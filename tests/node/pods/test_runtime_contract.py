"""What every runtime promises, whatever runs the containers: crun with conmon, containerd through CRI, or nothing.

What a simulated container does is read from its environment, so each script is given in both tongues.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.node.pods.conftest import IMAGE, NODE_IP, assert_nothing_left, eventually

from mizzen.agent import embedded, external
from mizzen.agent.config import AgentConfig
from mizzen.agent.images.reference import parse
from mizzen.agent.runtime.base import ContainerSeen, ContainerSpec, Limits, Runtime, RuntimeFailure, SandboxSpec
from mizzen.agent.runtime.simulated import SimulatedRuntime
from mizzen.base.clock import SystemClock


@dataclass
class Ground:
    """A runtime, and where a container's log goes."""

    runtime: Runtime
    image_id: str
    logs: Path

    def sandbox(self, uid: str = "u1") -> SandboxSpec:
        return SandboxSpec(uid, "default", f"pod-{uid}", hostname="pod", log_directory=str(self.logs / uid))

    def container(self, script: str = "exec sleep 1000", *, uid: str = "u1", name: str = "c", attempt: int = 0,
                  env: tuple[tuple[str, str], ...] = ()) -> ContainerSpec:  # fmt: skip
        log = str(self.logs / uid / name / f"{attempt}.log")
        return ContainerSpec(
            uid, "default", f"pod-{uid}", name, attempt, IMAGE, self.image_id, log, ("sh", "-c", script), env=env
        )

    async def running(self, spec: ContainerSpec) -> str:
        """The id of a container that has been started in its sandbox."""
        await self.runtime.open_sandbox(self.sandbox(spec.pod_uid))
        container = await self.runtime.create(spec.pod_uid, spec)
        await self.runtime.start(container)
        return container

    async def settled(self, script: str) -> str:
        """The id of a container whose script has come past its first line, and goes on for ever."""
        container = await self.running(self.container(f"{script}; touch /settled; while :; do sleep 0.05; done"))

        async def look() -> bool:
            session = await self.runtime.exec(container, ("test", "-e", "/settled"), tty=False, stdin=False)
            code = await session.wait()
            await session.close()
            return code == 0

        await eventually(look)
        return container

    async def seen(self, container: str) -> ContainerSeen | None:
        found = (await self.runtime.observe()).containers
        return next((one for one in found if one.id == container), None)

    async def ended(self, container: str) -> ContainerSeen:
        """The container, once it is seen to have ended."""

        async def look() -> ContainerSeen | None:
            seen = await self.seen(container)
            return seen if seen is not None and seen.state == "exited" else None

        return await eventually(look)  # type: ignore[no-any-return]


@pytest.fixture(params=["crun", "cri", "simulated"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> AgentConfig | None:
    """What is needed for each of the runtimes; None: nothing."""
    if request.param == "simulated":
        return None
    socket = request.getfixturevalue("containerd") if request.param == "cri" else ""
    store = request.getfixturevalue("image_root")
    return AgentConfig("contract", tmp_path / "node", store, (NODE_IP,), runtime=request.param, cri_socket=socket)


@pytest.fixture
async def ground(machine: AgentConfig | None, tmp_path: Path) -> AsyncIterator[Ground]:
    """Each of the runtimes, on this machine; afterwards nothing of it is left."""
    if machine is None:
        yield Ground(SimulatedRuntime(SystemClock()), "sha256:any", tmp_path)
        return
    machine.root.mkdir()
    runtime: Runtime
    if machine.cri_socket:
        runtime, pictures = await external.connect(machine)
        present = await pictures.adopt(parse(IMAGE))
    else:
        stored = embedded.images_of(machine)
        runtime, present = embedded.runtime_of(machine, stored), stored.find(parse(IMAGE))
    assert present is not None
    yield Ground(runtime, present.id, tmp_path / "logs")
    await embedded.purge(machine, None, runtime=runtime)
    assert_nothing_left(machine)


async def test_a_sandbox_that_is_open_is_answered_again(ground: Ground) -> None:
    first = await ground.runtime.open_sandbox(ground.sandbox())
    again = await ground.runtime.open_sandbox(ground.sandbox())
    assert (again.id, again.uid, again.netns) == (first.id, "u1", first.netns)
    assert [one.uid for one in (await ground.runtime.observe()).sandboxes] == ["u1"]


async def test_a_runtime_that_is_well_says_so(ground: Ground) -> None:
    assert await ground.runtime.trouble() == ""


async def test_a_container_goes_from_created_to_running_to_exited(ground: Ground) -> None:
    spec = ground.container("sleep 0.3; exit 7", env=(("SIMULATE_EXIT", "7"), ("SIMULATE_AFTER", "0.3")))
    await ground.runtime.open_sandbox(ground.sandbox())
    container = await ground.runtime.create("u1", spec)
    created = await ground.seen(container)
    assert created is not None and (created.state, created.started_at) == ("created", 0.0)
    assert (created.pod_uid, created.name, created.attempt) == ("u1", "c", 0)
    await ground.runtime.start(container)
    running = await ground.seen(container)
    assert running is not None and running.state == "running"
    assert running.started_at >= running.created_at > 0
    ended = await ground.ended(container)
    assert (ended.exit_code, ended.oom_killed) == (7, False)
    assert ended.finished_at >= ended.started_at


async def test_an_end_is_told_to_whoever_watches(ground: Ground) -> None:
    told: asyncio.Queue[ContainerSeen] = asyncio.Queue()

    async def watch() -> None:
        async for seen in ground.runtime.watch():
            told.put_nowait(seen)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    container = await ground.running(ground.container("exit 3", env=(("SIMULATE_EXIT", "3"),)))
    async with asyncio.timeout(10):
        seen = await told.get()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert (seen.id, seen.state, seen.exit_code) == (container, "exited", 3)


async def test_a_stopped_container_has_ended_and_stopping_it_again_changes_nothing(ground: Ground) -> None:
    container = await ground.settled("trap 'exit 143' TERM")
    await ground.runtime.stop(container, 5)
    ended = await ground.seen(container)
    assert ended is not None and (ended.state, ended.exit_code) == ("exited", 143)
    await ground.runtime.stop(container, 5)
    assert await ground.seen(container) == ended


async def test_a_second_shorter_stop_hastens_the_first(ground: Ground) -> None:
    container = await ground.settled("trap '' TERM")
    patient = asyncio.create_task(ground.runtime.stop(container, 60))
    await asyncio.sleep(0)
    await ground.runtime.stop(container, 0)
    async with asyncio.timeout(15):
        await patient
    seen = await ground.seen(container)
    assert seen is not None and seen.state == "exited"


async def test_removing_kills_what_runs_and_may_be_repeated(ground: Ground) -> None:
    container = await ground.running(ground.container())
    await ground.runtime.remove(container)
    assert await ground.seen(container) is None
    await ground.runtime.remove(container)


async def test_the_same_attempt_made_again_is_one_container(ground: Ground) -> None:
    await ground.runtime.open_sandbox(ground.sandbox())
    await ground.runtime.create("u1", ground.container())
    container = await ground.runtime.create("u1", ground.container())
    assert [one.id for one in (await ground.runtime.observe()).containers] == [container]


async def test_another_attempt_is_another_container(ground: Ground) -> None:
    first = await ground.running(ground.container("exit 1", env=(("SIMULATE_EXIT", "1"),)))
    await ground.ended(first)
    second = await ground.running(ground.container(attempt=1))
    states = {one.attempt: one.state for one in (await ground.runtime.observe()).containers}
    assert first != second and states == {0: "exited", 1: "running"}


async def test_closing_a_sandbox_takes_its_containers_along_and_may_be_repeated(ground: Ground) -> None:
    await ground.running(ground.container())
    await ground.running(ground.container(uid="u2"))
    await ground.runtime.close_sandbox("u1")
    await ground.runtime.close_sandbox("u1")
    left = await ground.runtime.observe()
    assert [one.uid for one in left.sandboxes] == ["u2"]
    assert [one.pod_uid for one in left.containers] == ["u2"]


async def test_a_container_without_a_sandbox_is_refused(ground: Ground) -> None:
    with pytest.raises(RuntimeFailure, match="not open"):
        await ground.runtime.create("u1", ground.container())


async def test_a_command_inside_says_what_it_says_and_how_it_ended(ground: Ground) -> None:
    container = await ground.running(ground.container())
    session = await ground.runtime.exec(container, ("echo", "hello"), tty=False, stdin=False)
    said = b""
    while chunk := await session.read("stdout"):
        said += chunk
    assert b"hello" in said
    assert await session.wait() == 0
    await session.close()


async def test_nothing_runs_inside_what_is_not_running(ground: Ground) -> None:
    for missing in ("0" * 64, await ended_container(ground)):
        with pytest.raises(RuntimeFailure):
            session = await ground.runtime.exec(missing, ("true",), tty=False, stdin=False)
            await session.wait()
        with pytest.raises(RuntimeFailure):
            await ground.runtime.attach(missing)


async def test_a_container_that_keeps_its_input_open_outlives_the_input_of_those_who_attach(ground: Ground) -> None:
    container = await ground.running(replace(ground.container("cat"), stdin=True))
    for _ in range(2):
        session = await ground.runtime.attach(container)
        await session.write(b"hello\n")
        session.close_stdin()
        async with asyncio.timeout(10):
            await session.wait()
        await session.close()
    seen = await ground.seen(container)
    assert seen is not None and seen.state == "running"


async def ended_container(ground: Ground) -> str:
    container = await ground.running(ground.container("exit 0", env=(("SIMULATE_EXIT", "0"),)))
    await ground.ended(container)
    return container


async def test_what_is_not_there_cannot_be_started_or_resized(ground: Ground) -> None:
    with pytest.raises(RuntimeFailure):
        await ground.runtime.start("0" * 64)
    with pytest.raises(RuntimeFailure):
        await ground.runtime.update("0" * 64, Limits())


async def test_stopping_what_is_not_there_is_done_already(ground: Ground) -> None:
    await ground.runtime.stop("0" * 64, 1)
    await ground.runtime.remove("0" * 64)
    await ground.runtime.close_sandbox("unknown")


async def test_limits_of_what_runs_can_change_and_its_usage_is_known(ground: Ground) -> None:
    container = await ground.running(replace(ground.container(), limits=Limits(memory=64 << 20)))
    await ground.runtime.update(container, Limits(memory=128 << 20, cpu_shares=512))
    ground.runtime.limit_sandbox("u1", Limits(memory=256 << 20))
    assert container in await ground.runtime.stats()


async def test_an_interrupted_opening_can_be_taken_again(ground: Ground) -> None:
    opening = asyncio.create_task(ground.runtime.open_sandbox(ground.sandbox()))
    await asyncio.sleep(0)
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await opening
    container = await ground.running(ground.container())
    seen = await ground.seen(container)
    assert seen is not None and seen.state == "running"
