"""Random pod lives: two thousand seeds of everything that can happen to a pod, in any order, with virtual time.

Whatever happens, no container is started twice at once, nothing is cleaned up under one that is starting or runs,
every instruction is given once until it is answered, no restart is counted that was none, and a pod that is deleted
comes to its end.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mizzen.agent import life, lifecycle, revival
from mizzen.agent.life import Life, Termination
from mizzen.agent.podstatus import Shown, status_of
from mizzen.agent.runtime.base import ContainerSeen, Sandbox
from mizzen.api.views.podspec import (
    Container,
    ExecAction,
    Lifecycle,
    LifecycleHook,
    Pod,
    PodMeta,
    PodSpec,
    Probe,
)
from mizzen.machinery import times

SEEDS = 2000
START = 1_700_000_000.0
_LISTS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def random_pod(rng: random.Random) -> Pod:
    """A pod of up to three init containers or side-cars and up to three containers."""

    def container(name: str, **more: object) -> Container:
        hook = LifecycleHook(exec=ExecAction(command=("x",)))
        hooks = Lifecycle(preStop=hook if rng.random() < 0.3 else None, postStart=hook if rng.random() < 0.2 else None)
        probe = Probe(exec=ExecAction(command=("x",)))
        return Container(
            name=name,
            image="image",
            lifecycle=hooks,
            startupProbe=probe if rng.random() < 0.2 else None,
            readinessProbe=probe if rng.random() < 0.3 else None,
            livenessProbe=probe if rng.random() < 0.2 else None,
            **more,  # type: ignore[arg-type]
        )

    inits = tuple(
        container(f"i{n}", restartPolicy="Always") if rng.random() < 0.5 else container(f"i{n}")
        for n in range(rng.randrange(4))
    )
    return Pod(
        metadata=PodMeta(name="p", namespace="ns", uid="u", generation=1),
        spec=PodSpec(
            initContainers=inits,
            containers=tuple(container(f"c{n}") for n in range(rng.randrange(1, 4))),
            restartPolicy=rng.choice(["Always", "OnFailure", "Never"]),
            terminationGracePeriodSeconds=rng.choice([0, 1, 30]),
            activeDeadlineSeconds=rng.choice([None, None, None, 60]),
        ),
    )


@dataclass
class World:
    """The node around one pod: carries instructions out late, in any order, and sometimes badly."""

    rng: random.Random
    life: Life
    now: float = START
    pending: list[tuple[float, life.Instruction]] = field(default_factory=list)
    running: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Container → attempt and id."""
    starting: set[str] = field(default_factory=set)
    sandbox: bool = False
    mounted: bool = False
    closing: bool = False
    calm: bool = False
    """From now on nothing fails, and stops succeed."""
    begun: Counter[str] = field(default_factory=Counter)
    """How often each container came to run, or was made to and could not."""
    written: dict[str, Any] = field(default_factory=dict)
    """The status that the API has: writes are late, and the last ones lost when the agent goes."""

    def happen(self, event: life.Happening) -> None:
        self.life, instructions = lifecycle.step(self.life, event, self.now)
        for one in instructions:
            self.check(one)
            if not isinstance(one, life.Emit):
                self.pending.append((self.now + self.rng.choice([0.0, 0.01, 1.0, 5.0]), one))
        status = status_of(self.life, Shown(("10.0.0.1",), "mizzen"), None, self.now)
        if self.rng.random() < 0.5:
            self.written = status
        for entry in (one for key in _LISTS for one in status.get(key) or ()):
            most = max(0, self.begun[entry["name"]] - 1)
            assert entry["restartCount"] <= most, f"{entry} after {most + 1} starts"

    def check(self, one: life.Instruction) -> None:
        """What must never be asked for."""
        match one:
            case life.MountVolumes() | life.OpenSandbox() | life.CloseSandbox() | life.UnmountVolumes() | life.Forget():
                assert not any(type(other) is type(one) for _, other in self.pending), f"{one} asked for twice"
        match one:
            case life.Start(container, _, _):
                assert container.name not in self.running, f"{container.name} started while it runs"
                assert container.name not in self.starting, f"{container.name} started twice at once"
                assert self.sandbox and self.mounted and not self.closing
                self.starting.add(container.name)
            case life.CloseSandbox():
                assert not self.running and not self.starting, "closed under a container"
                self.closing = True
            case life.UnmountVolumes():
                assert not self.sandbox and not self.running and not self.starting
            case life.Forget():
                assert not self.sandbox and not self.mounted

    def carry_out(self, one: life.Instruction) -> None:
        bad = not self.calm and self.rng.random() < 0.15
        match one:
            case life.MountVolumes():
                self.mounted = not bad
                self.happen(life.SetupFailed("volumes", "FailedMount", "no") if bad else life.VolumesMounted())
            case life.OpenSandbox():
                self.sandbox = not bad
                failed = life.SetupFailed("sandbox", "FailedCreatePodSandBox", "no")
                self.happen(failed if bad else life.SandboxOpened("s", ("10.1.0.1",)))
            case life.Pull(container):
                failure = life.PullFailed(container.name, "ErrImagePull", "no")
                self.happen(failure if bad else life.Pulled(container.name, "sha256:1"))
            case life.Start(container, attempt, _):
                self.start(container.name, attempt, bad)
            case life.RunHook(container, attempt, _, hook, _):
                self.happen(life.HookDone(container.name, attempt, hook, "no" if bad else ""))
            case life.Stop(name, attempt, _, grace):
                assert grace >= 0
                if bad:
                    self.happen(life.StopFailed(name, attempt))
                elif self.running.get(name, (-1, ""))[0] == attempt:
                    self.end(name, 137)
            case life.Resize(container, attempt, _):
                self.happen(life.Resized(container.name, attempt, container.resources))
            case life.CloseSandbox():
                self.closing = False
                self.sandbox = bad
                self.happen(life.CleanupFailed("sandbox", "no") if bad else life.SandboxClosed())
            case life.UnmountVolumes():
                self.mounted = bad and self.mounted
                self.happen(life.CleanupFailed("volumes", "no") if bad else life.VolumesUnmounted())
            case life.Forget():
                self.happen(life.ForgetDone(not bad))

    def start(self, name: str, attempt: int, bad: bool) -> None:
        self.starting.discard(name)
        if bad:
            reason = self.rng.choice(["RunContainerError", "CreateContainerConfigError"])
            self.begun[name] += reason == "RunContainerError"
            self.happen(life.StartFailed(name, attempt, reason, "no"))
            return
        self.running[name] = (attempt, f"{name}-{attempt}")
        self.begun[name] += 1
        if self.rng.random() < 0.1:
            # It ends before the answer to its own start has been heard.
            self.starting.add(name)
            self.end(name, self.rng.choice([0, 1]))
            self.starting.discard(name)
        self.happen(life.Started(name, attempt, f"{name}-{attempt}", self.now))

    def end(self, name: str, code: int) -> None:
        attempt, id = self.running.pop(name)
        self.happen(life.Exited(name, attempt, Termination(id, code, "Error", "", self.now, self.now)))

    def strike(self) -> None:
        """Something happens that nobody asked for."""
        what = self.rng.random()
        live = sorted(self.running)
        if live and what < 0.35:
            name = self.rng.choice(live)
            self.end(name, self.rng.choice([0, 0, 1, 137]))
        elif live and what < 0.65:
            name = self.rng.choice(live)
            kind = self.rng.choice(["startup", "readiness", "liveness"])
            ok = self.rng.random() < 0.7
            self.happen(life.Probed(name, self.running[name][0], kind, ok))  # type: ignore[arg-type]
        elif what < 0.70 and self.sandbox and not self.closing and self.life.sandbox == "open" and not self.starting:
            self.running.clear()
            self.sandbox = False
            self.happen(life.SandboxLost())
        elif what < 0.74:
            self.restart_agent()
        elif what < 0.77:
            self.turn_off()
        elif what < 0.79:
            self.happen(life.Evicted("Evicted", "low", 0.0))
        elif what < 0.82:
            self.change_image()
        else:
            self.happen(life.Tick())

    def change_image(self) -> None:
        """A user names another image for one of the containers."""
        spec = self.life.pod.spec
        chosen, image = self.rng.choice(spec.containers).name, f"image{self.rng.randrange(3)}"
        containers = tuple(_replaced(one, image=image) if one.name == chosen else one for one in spec.containers)
        self.happen(life.PodChanged(_replaced(self.life.pod, spec=_replaced(spec, containers=containers))))  # type: ignore[arg-type]

    def restart_agent(self) -> None:
        """The agent is killed and comes back; what it was about to do is lost, what it did stays."""
        if self.closing or self.life.over:
            return
        if any(isinstance(one, life.UnmountVolumes | life.Forget) for _, one in self.pending):
            return
        seen = self.interrupted()
        pod = replace_status(self.life.pod, self.written)
        seen += [
            ContainerSeen(id, "u", name, attempt, "image", "sha256:1", "running", started_at=self.now)
            for name, (attempt, id) in self.running.items()
        ]
        for one in self.life.containers.values():
            if one.phase == "exited" and one.ended is not None and one.ended.id:
                end = one.ended
                seen.append(
                    ContainerSeen(
                        end.id, "u", one.name, one.attempt, "image", "sha256:1", "exited",
                        started_at=end.started_at, finished_at=end.finished_at, exit_code=end.code,
                    )
                )  # fmt: skip
        sandbox = Sandbox("s", "u", None, START, ("10.1.0.1",)) if self.sandbox else None
        assert sandbox is not None or not self.running
        self.life = revival.revive(pod, sandbox, seen, self.now)
        self.happen(life.PodChanged(pod))

    def interrupted(self) -> list[ContainerSeen]:
        """Starts that the agent was about to make or in the midst of: some came to nothing, some to a container."""
        made = []
        for _, one in self.pending:
            if not isinstance(one, life.Start):
                continue
            name, id = one.container.name, f"{one.container.name}-{one.attempt}"
            match self.rng.randrange(3):
                case 1:
                    made.append(ContainerSeen(id, "u", name, one.attempt, "image", "sha256:1", "created"))
                case 2:
                    self.begun[name] += 1
                    self.running[name] = (one.attempt, id)
        self.pending.clear()
        self.starting.clear()
        return made

    def turn_off(self) -> None:
        """The machine goes off and on, or the cluster down and up: all that ran is gone, in the midst of whatever."""
        if self.life.over or any(isinstance(one, life.Forget) for _, one in self.pending):
            return
        for _, one in self.pending:
            if isinstance(one, life.Start) and self.rng.random() < 0.5:
                self.begun[one.container.name] += 1  # it came to run, and nobody heard of it
        self.pending.clear()
        self.running.clear()
        self.starting.clear()
        self.sandbox = self.mounted = self.closing = False
        pod = replace_status(self.life.pod, self.written)
        self.life = revival.begin(pod, self.now)
        self.mounted = self.life.volumes == "mounted"
        self.happen(life.PodChanged(pod))

    def delete(self, grace: int) -> None:
        meta = self.life.pod.metadata
        at = times.format(self.now + grace)
        gone = _replaced(meta, deletionTimestamp=at, deletionGracePeriodSeconds=grace)
        self.happen(life.PodChanged(_replaced(self.life.pod, metadata=gone)))

    def turn(self) -> None:
        """Let the next thing happen, and time pass."""
        due = sorted(self.pending, key=lambda pair: pair[0])
        wake = lifecycle.wakes_at(self.life, self.now)
        if due and (wake is None or due[0][0] <= wake or self.rng.random() < 0.5):
            chosen = self.rng.choice(due[:3])
            self.pending.remove(chosen)
            self.now = max(self.now, chosen[0])
            self.carry_out(chosen[1])
            if wake is not None and wake <= self.now:
                self.happen(life.Tick())  # the clock rang meanwhile
        elif wake is not None:
            self.now = max(self.now + 0.001, wake)
            self.happen(life.Tick())
        else:
            self.now += 1.0


def _replaced(struct: object, **changes: object) -> object:
    import msgspec

    return msgspec.structs.replace(struct, **changes)  # type: ignore[type-var]


def replace_status(pod: Pod, status: dict[str, object]) -> Pod:
    """The pod as the API would answer it."""
    return _replaced(pod, status=status)  # type: ignore[return-value]


def play(seed: int) -> World:
    """One pod from its arrival to its end."""
    rng = random.Random(seed)
    pod = random_pod(rng)
    world = World(rng, revival.begin(pod, START))
    world.happen(life.PodChanged(pod))
    for _ in range(rng.randrange(5, 60)):
        if rng.random() < 0.4:
            world.strike()
        else:
            world.turn()
    world.delete(rng.choice([0, 1, 30]))
    for _ in range(rng.randrange(0, 20)):
        world.strike() if rng.random() < 0.2 else world.turn()
    if rng.random() < 0.2:
        world.delete(0)
    world.calm = True
    for _ in range(400):
        if world.life.forgotten:
            break
        world.turn()
    return world


@pytest.mark.parametrize("block", range(20))
def test_every_random_life_keeps_the_rules_and_comes_to_its_end(block: int) -> None:
    for seed in range(block * SEEDS // 20, (block + 1) * SEEDS // 20):
        try:
            world = play(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        assert world.life.forgotten, f"seed {seed}: never ended: {replace(world.life, pod=Pod())}; {world.pending}"
        assert not world.running and not world.sandbox and not world.mounted, f"seed {seed}: something is left"
