"""How a pod's life begins, and how it is taken up again after its agent has been away.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from mizzen.agent.life import ContainerLife, Life, Termination, all_containers, role_of
from mizzen.agent.restarts import has_run_its_course, once_more
from mizzen.agent.runtime.base import ContainerSeen, ProcessUser, Sandbox
from mizzen.api.views.podspec import Pod, Resources
from mizzen.machinery import times

_STATUS_LISTS = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
Entry = Mapping[str, Any]


def begin(pod: Pod, now: float) -> Life:
    """The life of a pod that this agent has never seen; a finished one stays finished."""
    status = pod.status or {}
    started, phase = status.get("startTime"), status.get("phase")
    made = {one.name: ContainerLife(one.name, role_of(pod, one)) for one in all_containers(pod)}
    # Who has started before may have left a sandbox that was half made.
    life = Life(pod, made, started_at=times.parse(started) if started else now, opened=bool(started))
    if phase not in {"Succeeded", "Failed"}:
        taken_up = {name: _taken_up(one, _entry(pod, name)) for name, one in made.items()}
        return _anew(replace(life, containers=taken_up))
    ended = {name: _recalled(one, _entry(pod, name)) for name, one in made.items()}
    # Its volumes may still be mounted, if the agent before this one had no time to unmount them.
    return replace(life, containers=ended, over=phase, recalled=True, volumes="mounted", sandbox="gone")


def _anew(life: Life) -> Life:
    """A pod without a sandbox is initialized again, unless all of its work has been done, or can be done no more."""
    done = replace(life, initialized=True)
    if has_run_its_course(done):
        return done
    if has_run_its_course(life):  # it could not be initialized
        return life
    containers = {name: once_more(one) if one.role == "init" else one for name, one in life.containers.items()}
    return replace(life, containers=containers)


def _entry(pod: Pod, name: str) -> Entry:
    """What the API holds of one container; empty when that is nothing."""
    status = pod.status or {}
    return next((one for key in _STATUS_LISTS for one in status.get(key) or () if one["name"] == name), {})


def _taken_up(one: ContainerLife, entry: Entry) -> ContainerLife:
    """A container that the runtime does not know, for the machine restarted: as the API has last heard of it.

    What is known to have ended has; what ran has ended too, nobody knows how; all else goes on counting.
    """
    state = entry.get("state") or {}
    if state.get("terminated"):
        return _recalled(one, entry)
    count = entry.get("restartCount", 0)
    if state.get("running"):
        return replace(one, phase="exited", attempt=count, begun=True, ended=_UNKNOWN)
    ran = bool(entry.get("containerID") or entry.get("lastState"))
    last = _ended((entry.get("lastState") or {}).get("terminated") or {}) if entry.get("lastState") else None
    return replace(one, attempt=count + 1 if ran else 0, begun=ran, last=last)


_UNKNOWN = Termination(
    "", 137, "ContainerStatusUnknown",
    "The container could not be located when the pod was deleted.  The container used to be Running", 0.0, 0.0,
)  # fmt: skip


def _recalled(one: ContainerLife, entry: Entry) -> ContainerLife:
    """A container of a finished pod, as the API remembers it: its log may still be asked for."""
    end = (entry.get("state") or {}).get("terminated")
    if end is None:
        return one
    ended = _ended(end)
    return replace(one, phase="exited", attempt=entry.get("restartCount", 0), begun=True, id=ended.id, ended=ended)


def _ended(shown: Entry) -> Termination:
    began, finished = (times.parse(shown[key]) if shown.get(key) else 0.0 for key in ("startedAt", "finishedAt"))
    id = str(shown.get("containerID", "")).rpartition("://")[2]
    return Termination(id, shown.get("exitCode", 0), shown.get("reason", ""), shown.get("message", ""), began, finished)


def revive(pod: Pod, sandbox: Sandbox | None, seen: Sequence[ContainerSeen], now: float) -> Life:
    """The life of a pod whose containers kept running while the agent was away."""
    life = begin(pod, now)
    if life.over:
        # Closing its sandbox may have been cut short.
        return life if sandbox is None else replace(life, sandbox="open", sandbox_id=sandbox.id)
    newest: dict[str, ContainerSeen] = {}
    for one in sorted(seen, key=lambda one: one.attempt):
        # One that ended without having started was only created when its agent was killed.
        never_ran = one.state == "created" or (one.state == "exited" and not one.started_at)
        if one.name in life.containers and not never_ran:
            newest[one.name] = one
    containers = dict(life.containers)
    for name, one in newest.items():
        ended = termination(one) if one.state == "exited" or sandbox is None else None
        started, ready = _probed_before(pod, name) if ended is None else (False, False)
        containers[name] = replace(
            containers[name], phase="exited" if ended else "running", attempt=one.attempt, begun=True, id=one.id,
            image=_entry(pod, name).get("image") or _spec_image(pod, name), image_id=one.image_id, pulled=True,
            started_at=one.started_at, hooked=True, ended=ended,
            started=started, ready=ready, resources=_resources(pod, name), user=_user(pod, name),
            stop_signal=_entry(pod, name).get("stopSignal") or "",
            last=_last(_entry(pod, name), one, seen),
        )  # fmt: skip
    life = replace(life, containers=containers, initialized=False)
    if sandbox is None:
        return _anew(life)
    given = (pod.status or {}).get("resources")
    life = replace(life, given=pod.spec.resources if given is None else msgspec.convert(given, Resources))
    # Readiness and start-up are probed again; a main container that has begun proves that initialization was over.
    begun = any(one.role == "main" and one.name in newest for one in containers.values())
    return replace(life, sandbox="open", sandbox_id=sandbox.id, ips=sandbox.ips, volumes="none", initialized=begun)


def _last(entry: Entry, now: ContainerSeen, seen: Sequence[ContainerSeen]) -> Termination | None:
    """How the attempt before this one ended, by the runtime's account or else by that of the API."""
    for one in seen:
        if (one.name, one.attempt, one.state) == (now.name, now.attempt - 1, "exited"):
            return termination(one)
    state, count = entry.get("state") or {}, entry.get("restartCount", 0)
    told = entry.get("lastState") or {}
    if count == now.attempt - 1:  # the API has not heard of this attempt yet
        told = state if "terminated" in state else told if "waiting" in state else {}
    elif count != now.attempt:
        told = {}
    return _ended(told["terminated"]) if told.get("terminated") else None


def termination(one: ContainerSeen) -> Termination:
    """How a container has ended, as far as its runtime can tell."""
    reason = "OOMKilled" if one.oom_killed else "Completed" if one.exit_code == 0 else one.reason or "Error"
    if one.state != "exited":  # as good as ended: nothing of it can be reached without its sandbox
        return Termination(one.id, 137, "Error", "the pod's sandbox is gone", one.started_at, one.started_at)
    began = min(one.started_at, one.finished_at)  # the runtime may have noted the start later than the end
    return Termination(one.id, one.exit_code, reason, one.message, began, one.finished_at)


def _spec_image(pod: Pod, name: str) -> str:
    return next((one.image for one in all_containers(pod) if one.name == name), "")


def _probed_before(pod: Pod, name: str) -> tuple[bool, bool]:
    """What probes had found of a running container, started and ready: it holds until they find otherwise."""
    spec = next((one for one in all_containers(pod) if one.name == name), None)
    if spec is None:
        return False, False
    entry = _entry(pod, name)
    started = spec.startupProbe is None or bool(entry.get("started"))
    probed = spec.readinessProbe is not None or spec.startupProbe is not None
    return started, bool(entry.get("ready")) if probed else True


def _user(pod: Pod, name: str) -> ProcessUser | None:
    shown = (_entry(pod, name).get("user") or {}).get("linux")
    return ProcessUser(shown["uid"], shown["gid"], tuple(shown.get("supplementalGroups") or ())) if shown else None


def _resources(pod: Pod, name: str) -> object:
    """What a running container has been given: as its status says, which a resize may not have reached yet."""
    shown = _entry(pod, name).get("resources")
    if shown is not None:
        return msgspec.convert(shown, Resources)
    return next((one.resources for one in all_containers(pod) if one.name == name), None)
