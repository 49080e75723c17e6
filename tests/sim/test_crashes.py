"""Not chance but certainty: every controller dies at each of its writes, before it and after it, and recovers.

Lives are those of the other simulations, with all they claim; a life is lived once to count its writes, and then once
and once more for each of them.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.sim import (
    test_claims,
    test_cluster,
    test_cronjob,
    test_garbage,
    test_graph,
    test_job,
    test_nodes,
    test_replicas,
    test_rollouts,
    test_scaling,
    test_services,
    test_statefulset,
    test_storage,
)
from tests.sim.story import check
from tests.sim.world import USUAL, CrashAt

SEEDS_A_LIFE = 100
"""One life at every write for so many seeds of chance."""
MODULES = (
    test_claims,
    test_cluster,
    test_cronjob,
    test_garbage,
    test_graph,
    test_job,
    test_nodes,
    test_replicas,
    test_rollouts,
    test_scaling,
    test_services,
    test_statefulset,
    test_storage,
)


@contextmanager
def suffering(crash: CrashAt) -> Iterator[CrashAt]:
    """Worlds made in here die once, at that write."""
    USUAL.append(crash)
    try:
        yield crash
    finally:
        USUAL.pop()


def lives() -> Iterator[tuple[str, Callable[[int], None]]]:
    """Every function that a simulation hands to `check`, by the name of its test."""
    for module in MODULES:
        for name, test in vars(module).items():
            if name.startswith("test_") and "check" in test.__code__.co_names:
                [life] = [vars(module)[one] for one in test.__code__.co_names if one != "check"]
                yield f"{Path(str(module.__file__)).stem.removeprefix('test_')}: {life.__name__}", life


@pytest.mark.parametrize("life", [pytest.param(life, id=name) for name, life in lives()])
def test_a_crash_at_any_write_is_survived(life: Callable[[int], None], seeds: range) -> None:
    def dying(seed: int) -> None:
        with suffering(CrashAt(sys.maxsize)) as counted:
            life(seed)
        for write in range(counted.writes):
            for after in (False, True):
                with suffering(CrashAt(write, after)):
                    life(seed)

    check(seeds[::SEEDS_A_LIFE], dying)
