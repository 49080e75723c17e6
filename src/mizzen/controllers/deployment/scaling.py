"""How large each ReplicaSet should be: rolling, recreating, and proportionally while a rollout is under way.

Every function answers sizes by ReplicaSet name, only those that change.
Ref: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
"""

import math

from mizzen.api.views.apps import ReplicaSet
from mizzen.controllers.deployment.revision import DESIRED, MAXIMUM, Rollout, by_age

Sizes = dict[str, int]


def first_size(seen: Rollout) -> int:
    """Replicas for a ReplicaSet about to be created."""
    deployment = seen.deployment
    if deployment.spec.strategy.type != "RollingUpdate":
        return deployment.spec.replicas
    return _grown(seen, 0)


def _grown(seen: Rollout, have: int) -> int:
    """How far the new ReplicaSet may grow within the surge; pods of others count until they are gone."""
    wanted = seen.deployment.spec.replicas
    if any(one.status.observedGeneration < one.metadata.generation for one in seen.old):
        return have  # one that has not seen its new size may still make pods for the old one
    room = wanted + seen.max_surge - sum(max(one.spec.replicas, one.status.replicas) for one in seen.all)
    return have + max(0, min(room, wanted - have))


def total(sets: tuple[ReplicaSet, ...]) -> int:
    return sum(one.spec.replicas for one in sets)


def available(sets: tuple[ReplicaSet, ...]) -> int:
    return sum(one.status.availableReplicas for one in sets)


def _lasting(one: ReplicaSet) -> int:
    """Available pods that are not about to go: the status may lag behind a size that was lowered already."""
    return min(one.spec.replicas, one.status.availableReplicas)


def roll_up(seen: Rollout) -> Sizes:
    """Grow (or shrink) the new ReplicaSet."""
    new, wanted = seen.new, seen.deployment.spec.replicas
    if new is None or new.spec.replicas == wanted:
        return {}
    size = wanted if new.spec.replicas > wanted else _grown(seen, new.spec.replicas)
    return {} if size == new.spec.replicas else {new.metadata.name: size}


def roll_down(seen: Rollout) -> Sizes:
    """Shrink the old ones: first pods that are not available anyhow, then as far as enough stay available."""
    new, old = seen.new, seen.active_old
    if new is None or not old:
        return {}
    floor = seen.deployment.spec.replicas - seen.max_unavailable
    new_missing = new.spec.replicas - _lasting(new)
    spare = total(seen.all) - floor - new_missing
    if spare <= 0:
        return {}
    sizes = {one.metadata.name: one.spec.replicas for one in old}
    for one in old:
        broken = min(spare, max(0, one.spec.replicas - one.status.availableReplicas))
        sizes[one.metadata.name] -= broken
        spare -= broken
    droppable = sum(_lasting(one) for one in seen.all) - floor
    for one in old:
        down = max(0, min(droppable, sizes[one.metadata.name]))
        sizes[one.metadata.name] -= down
        droppable -= down
    return {one.metadata.name: sizes[one.metadata.name] for one in old if sizes[one.metadata.name] != one.spec.replicas}


def none_old(seen: Rollout) -> Sizes:
    """Give up all old pods (Recreate)."""
    return {one.metadata.name: 0 for one in seen.active_old}


def was_rescaled(seen: Rollout) -> bool:
    """Whether the deployment's size changed since its ReplicaSets were last sized."""
    return any(
        one.metadata.annotations.get(DESIRED) not in (None, str(seen.deployment.spec.replicas))
        for one in seen.all
        if one.spec.replicas > 0
    )


def rescaled(seen: Rollout) -> Sizes:
    """Sizes after the deployment was scaled: all to the one that counts, or shared out in proportion."""
    wanted = seen.deployment.spec.replicas
    active = tuple(one for one in seen.all if one.spec.replicas > 0)
    if len(active) <= 1:
        counts = active[0] if active else seen.new or (seen.old[-1] if seen.old else None)
        if counts is None or (counts.spec.replicas == wanted and not _is_stale(counts, seen)):
            return {}
        return {counts.metadata.name: wanted}
    if seen.new is not None and _is_saturated(seen.new, wanted):
        return none_old(seen)
    if seen.deployment.spec.strategy.type != "RollingUpdate":
        return {}
    return _shared_out(seen, active)


def _is_stale(one: ReplicaSet, seen: Rollout) -> bool:
    return one.metadata.annotations.get(DESIRED) not in (None, str(seen.deployment.spec.replicas))


def _is_saturated(one: ReplicaSet, wanted: int) -> bool:
    return (
        one.spec.replicas == wanted
        and one.metadata.annotations.get(DESIRED) == str(wanted)
        and one.status.availableReplicas == wanted
    )


def _shared_out(seen: Rollout, active: tuple[ReplicaSet, ...]) -> Sizes:
    """Add or take pods in proportion to size; the largest takes what rounding leaves."""
    wanted = seen.deployment.spec.replicas
    allowed = wanted + seen.max_surge if wanted > 0 else 0
    to_add = allowed - total(active)
    if to_add >= 0:
        ordered = sorted(sorted(active, key=by_age, reverse=True), key=lambda one: -one.spec.replicas)
    else:
        ordered = sorted(sorted(active, key=by_age), key=lambda one: -one.spec.replicas)
    sizes: Sizes = {}
    added = 0
    for one in ordered:
        share = _share(one, seen, to_add, added) if to_add else 0
        sizes[one.metadata.name] = one.spec.replicas + share
        added += share
    if to_add:
        largest = ordered[0].metadata.name
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(one: ReplicaSet, seen: Rollout, to_add: int, added: int) -> int:
    left = to_add - added
    wanted = seen.deployment.spec.replicas
    if left == 0 or one.spec.replicas == 0:
        return 0
    if wanted == 0:
        share = -one.spec.replicas
    else:
        text = one.metadata.annotations.get(MAXIMUM, "")
        before = int(text) if text.isdecimal() and int(text) else seen.deployment.status.replicas or wanted
        share = math.floor(one.spec.replicas * (wanted + seen.max_surge) / before + 0.5) - one.spec.replicas
    return min(share, left) if to_add > 0 else max(share, left)
