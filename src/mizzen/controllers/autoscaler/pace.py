"""How fast an autoscaler may go: what it recommended before, stabilization windows, and scaling policies."""

import math
from dataclasses import dataclass

import orjson

from mizzen.api.views.policy import HorizontalPodAutoscaler, ScalingPolicy, ScalingRules
from mizzen.client.resources import HORIZONTAL_POD_AUTOSCALERS
from mizzen.machinery import quantity
from mizzen.reconcile.plan import Patch

MEMORY = "mizzen.io/autoscaler-recommendations"
PERIOD = 15.0
TOLERANCE = 0.1
_REMIND = 120.0
"""Seconds after which an unchanged recommendation is remembered once more."""
_UP = ScalingRules(0, "Max", (ScalingPolicy("Percent", 100, 15), ScalingPolicy("Pods", 4, 15)))
_DOWN = ScalingRules(300, "Max", (ScalingPolicy("Percent", 100, 15),))
_LEAST = 4
"""Without behaviour, growth to so many replicas is never limited."""

Memory = tuple[tuple[float, int, int], ...]
"""(when, recommended, size at that time)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A size with the reason and message of the condition that explains it."""

    replicas: int
    reason: str
    message: str


def tolerance(one: HorizontalPodAutoscaler) -> tuple[float, float]:
    """How far from the target usage may be, upwards and downwards, without any change."""
    behavior = one.spec.behavior
    up = behavior.scaleUp if behavior is not None else None
    down = behavior.scaleDown if behavior is not None else None
    return _tolerated(up), _tolerated(down)


def _tolerated(rules: ScalingRules | None) -> float:
    if rules is None or rules.tolerance is None:
        return TOLERANCE
    return quantity.parse(str(rules.tolerance)).nanos / quantity.NANO


def remembered(one: HorizontalPodAutoscaler, now: float) -> Memory:
    text = one.metadata.annotations.get(MEMORY, "")
    try:
        found = orjson.loads(text) if text else []
        kept = tuple((float(when), int(wanted), int(size)) for when, wanted, size in found)
    except (ValueError, TypeError):
        return ()
    return tuple(entry for entry in kept if entry[0] > now - 3600)


def unremembered(have: int, now: float) -> Memory:
    """The memory of one that has recommended nothing yet: the size it finds is what was wanted until now."""
    return ((now - _REMIND, have, have),)


def held(memory: Memory, now: float) -> Memory:
    """The memory by when each entry ceased to hold: at the next one, or a little after nobody repeated it."""
    ends = [*(entry[0] for entry in memory[1:]), now]
    pairs = zip(memory, ends, strict=False)  # without a memory there is an end too many
    return tuple((min(end, at + _REMIND + PERIOD), wanted, size) for (at, wanted, size), end in pairs)


def noted(one: HorizontalPodAutoscaler, memory: Memory, *, rescaled: bool) -> tuple[Patch, ...]:
    """Keep the memory, but no entry that tells nothing new; that of a round that rescales always does."""
    known, new = memory[-2:] if len(memory) > 1 else (None, memory[-1])
    if not rescaled and known is not None and new[1:] == known[1:] and new[0] - known[0] < _REMIND:
        return ()
    meta = one.metadata
    text = orjson.dumps([[round(when, 1), wanted, size] for when, wanted, size in memory[-60:]]).decode()
    patch = {"metadata": {"annotations": {MEMORY: text}}}
    return (Patch(HORIZONTAL_POD_AUTOSCALERS, meta.namespace, meta.name, patch, uid=meta.uid),)


def stabilized(one: HorizontalPodAutoscaler, have: int, wanted: int, history: Memory, now: float) -> Verdict:
    """The wish as far as the recommendations of the windows agree with it."""
    up, down = _rules(one)
    low = min([wanted, *(w for end, w, _ in history if end > now - (up.stabilizationWindowSeconds or 0))])
    high = max([wanted, *(w for end, w, _ in history if end > now - (down.stabilizationWindowSeconds or 0))])
    steady = min(max(have, low), high)
    if steady == wanted:
        return Verdict(steady, "ReadyForNewScale", "recommended size matches current size")
    way, extreme = ("Up", "lowest") if wanted >= have else ("Down", "highest")
    which = "lower" if way == "Up" else "higher"
    text = f"recent recommendations were {which} than current one, applying the {extreme} recent recommendation"
    return Verdict(steady, f"Scale{way}Stabilized", text)


def limited(one: HorizontalPodAutoscaler, have: int, wanted: int, memory: Memory, now: float) -> Verdict:
    """The wish as far as bounds and policies let it go."""
    spec = one.spec
    up, down = _rules(one)
    if wanted > have:
        limit = max(have, _reach(up, have, memory, now, +1))
        if spec.behavior is None:
            limit = max(2 * have, _LEAST)
        if wanted > min(spec.maxReplicas, limit):
            if spec.maxReplicas > limit:
                text = "the desired replica count is increasing faster than the maximum scale rate"
                return Verdict(limit, "ScaleUpLimit", text)
            text = "the desired replica count is more than the maximum replica count"
            return Verdict(spec.maxReplicas, "TooManyReplicas", text)
    limit = min(have, _reach(down, have, memory, now, -1)) if wanted < have else 0
    if wanted < max(spec.minReplicas, limit):
        if spec.minReplicas < limit:
            text = "the desired replica count is decreasing faster than the maximum scale rate"
            return Verdict(limit, "ScaleDownLimit", text)
        text = "the desired replica count is less than the minimum replica count"
        return Verdict(spec.minReplicas, "TooFewReplicas", text)
    return Verdict(wanted, "DesiredWithinRange", "the desired count is within the acceptable range")


def _rules(one: HorizontalPodAutoscaler) -> tuple[ScalingRules, ScalingRules]:
    behavior = one.spec.behavior
    up = _with_defaults(behavior.scaleUp if behavior is not None else None, _UP)
    return up, _with_defaults(behavior.scaleDown if behavior is not None else None, _DOWN)


def _with_defaults(rules: ScalingRules | None, defaults: ScalingRules) -> ScalingRules:
    if rules is None:
        return defaults
    window = rules.stabilizationWindowSeconds
    return ScalingRules(
        defaults.stabilizationWindowSeconds if window is None else window,
        rules.selectPolicy or defaults.selectPolicy,
        rules.policies or defaults.policies,
    )


def _reach(rules: ScalingRules, have: int, memory: Memory, now: float, way: int) -> int:
    """How far the policies let the size go in one direction, from what it was a period ago.

    A round sees the size before it rescales: after that, the size is what the next round saw.
    """
    if rules.selectPolicy == "Disabled":
        return have
    limits = []
    for policy in rules.policies:
        start = next((size for at, _, size in memory if at > now - policy.periodSeconds), have)
        if policy.type == "Pods":
            limits.append(start + way * policy.value)
        elif way > 0:
            limits.append(math.ceil(start * (1 + policy.value / 100)))
        else:
            limits.append(math.floor(start * (1 - policy.value / 100)))
    widest = max if (way > 0) == (rules.selectPolicy != "Min") else min
    return widest(limits, default=have)
