"""Probes: one task per probe of a running container; only changes of verdict are reported.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mizzen.agent import actions
from mizzen.agent.actions import Target, Verdict
from mizzen.agent.life import Life, Probed, all_containers
from mizzen.agent.runtime.base import Runtime
from mizzen.api.views.podspec import Container, Probe
from mizzen.base.clock import Clock

ProbeKind = Literal["startup", "readiness", "liveness"]
Key = tuple[str, str, int, ProbeKind]
"""Pod uid, container, attempt, probe."""
Report = Callable[[str, Probed], None]
Tell = Callable[[str, str, str, str], None]
"""Pod uid, container, reason and message of a warning."""


_RESULTS = {
    (False, True): "successful",
    (False, False): "failed",
    (True, False): "unknown",
    (True, True): "unknown",
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Consecutive results of one probe, and the verdict they have led to (None: none yet)."""

    successes: int = 0
    failures: int = 0
    verdict: bool | None = None


def tallied(tally: Tally, ok: bool, probe: Probe) -> Tally:
    """Count one result; thresholds decide when the verdict changes."""
    successes, failures = (tally.successes + 1, 0) if ok else (0, tally.failures + 1)
    verdict = tally.verdict
    if successes >= (probe.successThreshold or 1):
        verdict = True
    elif failures >= (probe.failureThreshold or 3):
        verdict = False
    return Tally(successes, failures, verdict)


def wanted(uid: str, life: Life) -> dict[Key, tuple[Container, Probe]]:
    """The probes that should run now: start-up alone until it has succeeded, then the other two."""
    found: dict[Key, tuple[Container, Probe]] = {}
    specs = {one.name: one for one in all_containers(life.pod)}
    for one in life.containers.values():
        spec = specs.get(one.name)
        if spec is None or one.phase != "running" or one.role in {"init", "ephemeral"} or not one.hooked:
            continue
        if one.stopping is not None and not one.started:
            continue
        # One that is stopping may still serve: its readiness counts until it ends.
        liveness = spec.livenessProbe if one.stopping is None else None
        choices: tuple[tuple[ProbeKind, Probe | None], ...] = (
            (("readiness", spec.readinessProbe), ("liveness", liveness))
            if one.started
            else (("startup", spec.startupProbe),)
        )
        for kind, probe in choices:
            # Once the pod ends, only readiness still matters.
            if probe is not None and not (life.ending is not None and kind != "readiness"):
                found[uid, one.name, one.attempt, kind] = (spec, probe)
    return found


def warning_of(kind: ProbeKind, result: Verdict) -> tuple[str, str] | None:
    """Reason and message of the event that a result is worth."""
    label = f"{kind.capitalize()} probe"
    if result.kind == "error":
        return "Unhealthy", f"{label} errored and resulted in unknown state: {result.output}"
    if result.kind == "warning":
        return "ProbeWarning", f"{label} warning: {result.output}"
    return None if result.ok else ("Unhealthy", f"{label} failed: {result.output}")


class Prober:
    """Keeps the tasks in step with what `wanted` says."""

    def __init__(self, runtime: Runtime, clock: Clock, report: Report, tell: Tell) -> None:
        self._runtime = runtime
        self._clock = clock
        self._report = report
        self._tell = tell
        self._tasks: dict[str, dict[Key, asyncio.Task[None]]] = {}
        self.tallies: Counter[tuple[tuple[str, str, str], str]] = Counter()
        """How often each probe (pod uid, container, type) had each result."""

    def sync(self, uid: str, life: Life) -> None:
        """Start and stop probes of one pod."""
        should = wanted(uid, life)
        running = self._tasks.get(uid, {})
        if not should and not running:
            return
        for key in [key for key in running if key not in should]:
            running.pop(key).cancel()
        for key, (spec, probe) in should.items():
            if key not in running:
                one = life.containers[spec.name]
                ip = next(iter(life.ips), "") or "127.0.0.1"
                target = Target(spec, one.id, ip)
                running[key] = asyncio.create_task(self._probe(key, probe, target, one.started_at))
        if running:
            self._tasks[uid] = running
        else:
            self._tasks.pop(uid, None)

    def forget(self, uid: str) -> None:
        """A pod is gone, and with it the counts of its probes."""
        for key in [key for key in self.tallies if key[0][0] == uid]:
            del self.tallies[key]

    def close(self) -> None:
        """Stop all probes."""
        for tasks in self._tasks.values():
            for task in tasks.values():
                task.cancel()

    async def _probe(self, key: Key, probe: Probe, target: Target, started_at: float) -> None:
        uid, name, attempt, kind = key
        await self._clock.sleep(max(0.0, started_at + (probe.initialDelaySeconds or 0) - self._clock.now()))
        tally = Tally()
        while True:
            result = await self._once(probe, target)
            self.tallies[(uid, name, kind), _RESULTS[result.kind == "error", result.ok]] += 1
            if (warning := warning_of(kind, result)) is not None:
                self._tell(uid, name, *warning)
            if result.kind == "error":
                await self._clock.sleep(float(probe.periodSeconds or 10))
                continue
            fresh = tallied(tally, result.ok, probe)
            if fresh.verdict is not None and fresh.verdict != tally.verdict:
                self._report(uid, Probed(name, attempt, kind, fresh.verdict, result.output))
            tally = fresh
            await self._clock.sleep(float(probe.periodSeconds or 10))

    async def _once(self, probe: Probe, target: Target) -> Verdict:
        timeout = float(probe.timeoutSeconds or 1)
        if probe.exec is not None:
            return await actions.run_command(self._runtime, probe.exec, target, timeout)
        if probe.httpGet is not None:
            return await actions.get(probe.httpGet, target, timeout)
        if probe.tcpSocket is not None:
            return await actions.connect(probe.tcpSocket, target, timeout)
        if probe.grpc is not None:
            return await actions.grpc_health(probe.grpc, target, timeout)
        return Verdict(True, "")
