"""The numbered places of endpoints behind a frontend: a changed endpoint changes its own place and no other. Pure.

Clients with affinity remember a number, so there a place that falls empty is lent to another endpoint
instead of being given up; the remembered numbers of other clients stay true.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mizzen.proxy.rules import Backend, Frontend, Target


class Slot(NamedTuple):
    """A place and who has it; one that is lent goes to the next newcomer."""

    target: Target
    is_lent: bool = False


Slots = tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """A backend with the places of its endpoints."""

    backend: Backend
    slots: Slots = ()
    within: Slots = ()


Placements = Mapping[Frontend, Placement]


def place(before: Placements, frontends: Mapping[Frontend, Backend]) -> Placements:
    """Places for every frontend, moving as little as possible from where they were."""
    placed = {}
    for frontend, backend in frontends.items():
        old = before.get(frontend)
        if old is not None and old.backend == backend:
            placed[frontend] = old
            continue
        arranged = _lent if backend.affinity else _packed
        placed[frontend] = Placement(
            backend,
            arranged(old.slots if old else (), backend.endpoints),
            arranged(old.within if old else (), backend.within),
        )
    return placed


def _packed(old: Slots, wanted: Iterable[Target]) -> Slots:
    """As many places as endpoints: newcomers take the holes, then the last ones move into what holes remain."""
    slots, missing = _holed(old, wanted)
    slots = [slot if slot is not None or not missing else Slot(missing.pop(0)) for slot in slots]
    slots += [Slot(target) for target in missing]
    place = 0
    while place < len(slots):
        if slots[place] is not None:
            place += 1
            continue
        last = slots.pop()
        if place < len(slots):
            slots[place] = last
    return tuple(slot for slot in slots if slot is not None)


def _lent(old: Slots, wanted: Iterable[Target]) -> Slots:
    """Never fewer places than before while any endpoint is left: holes are lent to endpoints that stay."""
    stay = tuple(wanted)
    if not stay:
        return ()
    slots, missing = _holed(old, stay)
    for place, slot in enumerate(slots):
        if slot is None:
            slots[place] = Slot(missing.pop(0)) if missing else Slot(stay[place % len(stay)], is_lent=True)
    return (*(slot for slot in slots if slot is not None), *(Slot(target) for target in missing))


def _holed(old: Slots, wanted: Iterable[Target]) -> tuple[list[Slot | None], list[Target]]:
    """The places of the endpoints that stay, None for all others, and the endpoints that have none yet."""
    missing = dict.fromkeys(wanted)
    slots: list[Slot | None] = []
    for slot in old:
        owned = not slot.is_lent and slot.target in missing
        slots.append(slot if owned else None)
        if owned:
            del missing[slot.target]
    return slots, list(missing)
