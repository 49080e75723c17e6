"""Whether a container is started again, and when a pod has run its course: by exit codes, rules and policies.

Ref: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
"""

from dataclasses import replace
from typing import Any, Literal

import msgspec

from mizzen.agent.life import ContainerLife, Life, all_containers
from mizzen.api.views.podspec import Container, Pod, Resources

_CRASH_DELAY_FIRST = 10.0


def grace_of(pod: Pod) -> float:
    """Seconds that the pod grants its containers to end."""
    seconds = pod.metadata.deletionGracePeriodSeconds
    if seconds is None:
        seconds = pod.spec.terminationGracePeriodSeconds
    return 30.0 if seconds is None else max(float(seconds), 0.0)


def will_restart(pod: Pod, one: ContainerLife, spec: Container) -> bool:
    """Whether an ended container is started again, by its own rules and policy or by the pod's."""
    if one.ended is None or one.role == "ephemeral":
        return False
    if one.role == "sidecar" or one.again or rule_of(one, spec):
        return True
    code = one.ended.code
    policy = spec.restartPolicy or pod.spec.restartPolicy or "Always"
    if policy == "Never":
        return False
    if one.role == "init" or policy == "OnFailure":
        return code != 0
    return True


def rule_of(one: ContainerLife, spec: Container) -> str:
    """What the first restart rule that fits the exit code asks for; empty when none does."""
    for rule in spec.restartPolicyRules or ():
        codes = rule.exitCodes
        if codes is not None and one.ended is not None and rule.action in {"Restart", "RestartAllContainers"}:
            listed = one.ended.code in (codes.values or ())
            if listed == (codes.operator == "In"):
                return rule.action
    return ""


def next_delay(delay: float, longest: float) -> float:
    """How long to wait after the next failure, in seconds; each time twice as long, up to a limit."""
    return min(longest, delay * 2 if delay else _CRASH_DELAY_FIRST)


def anew(one: ContainerLife, due: float, now: float, longest: float) -> ContainerLife:
    """A container of a pod that begins anew: the next attempt, due not before some time."""
    delay = next_delay(one.crash_delay, longest)
    return replace(
        ContainerLife(one.name, one.role), attempt=one.attempt + 1 if one.begun else one.attempt, begun=one.begun,
        last=one.ended or one.last, retry_at=due if due > now else 0.0,
        reason="CrashLoopBackOff" if due > now else "",
        crash_delay=delay if due else one.crash_delay, crash_at=now if due else one.crash_at,
    )  # fmt: skip


def once_more(one: ContainerLife) -> ContainerLife:
    """A container of a pod whose sandbox is made anew: its next attempt, as if nothing had been tried yet."""
    attempt = one.attempt + 1 if one.begun and one.phase in {"running", "exited"} else one.attempt
    return ContainerLife(one.name, one.role, attempt=attempt, begun=one.begun, last=one.ended or one.last)


def needs_restart(spec: Container, before: object) -> bool:
    """Whether the changed resources can only be had by a restart, as the container's resizePolicy says."""
    old = before if isinstance(before, Resources) else Resources()
    new = spec.resources or Resources()
    restarts = {one.resourceName for one in spec.resizePolicy or () if one.restartPolicy == "RestartContainer"}
    return any(
        (was or {}).get(name) != (now or {}).get(name)
        for name in restarts
        for was, now in ((old.requests, new.requests), (old.limits, new.limits))
    )


def amounts_of(pod: Pod, failure: str = "") -> str:
    """The resources that a pod and its containers have by its specification, as events of a resize show them."""
    shown: dict[str, Any] = {} if pod.spec.resources is None else {"resources": msgspec.to_builtins(pod.spec.resources)}
    sidecars = [one for one in pod.spec.initContainers or () if one.restartPolicy == "Always"]
    for key, containers in (("initContainers", sidecars), ("containers", pod.spec.containers)):
        listed = [{"name": one.name, "resources": msgspec.to_builtins(one.resources or {})} for one in containers]
        shown |= {key: listed} if listed else {}
    shown["generation"] = pod.metadata.generation or 0
    return msgspec.json.encode({**shown, "error": failure} if failure else shown).decode()


def has_run_its_course(life: Life) -> bool:
    """Whether the containers have ended for good by themselves."""
    specs = {one.name: one for one in all_containers(life.pod)}

    def is_final(one: ContainerLife) -> bool:
        spec = specs.get(one.name)
        return one.phase == "exited" and (spec is None or not will_restart(life.pod, one, spec))

    if not life.initialized:
        inits = [one for one in life.containers.values() if one.role == "init"]
        return any(is_final(one) and one.ended is not None and one.ended.code != 0 for one in inits)
    mains = [one for one in life.containers.values() if one.role == "main"]
    return bool(mains) and all(is_final(one) for one in mains)


def final_phase(life: Life) -> Literal["Succeeded", "Failed"]:
    if life.ending is not None and (life.ending.reason or life.ending.rejected):
        return "Failed"
    if not life.initialized and any(one.role == "init" and one.begun for one in life.containers.values()):
        return "Failed"
    mains = [one for one in life.containers.values() if one.role == "main"]
    good = all(one.ended is not None and one.ended.code == 0 for one in mains)
    return "Succeeded" if good else "Failed"
