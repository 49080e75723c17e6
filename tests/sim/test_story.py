"""A failing seed prints tests that run when they are pasted."""

import pytest
from tests.sim import story
from tests.sim.test_replicas import replica_set
from tests.sim.world import Kubelet, World

from mizzen.controllers import garbage
from mizzen.controllers.replicas import REPLICA_SET


def fails(seed: int) -> None:
    world = World(seed, (REPLICA_SET, garbage.CONTROLLER), kubelet=Kubelet(), all_kinds=True)
    world.api.create(("apps", "replicasets"), replica_set(2))
    world.live(40)
    raise AssertionError(f"seed {seed}: on purpose")


def test_a_failing_seed_prints_tests_that_can_be_pasted() -> None:
    with pytest.raises(AssertionError) as caught:
        story.check(range(7, 8), fails)
    text = str(caught.value)
    assert "seed 7: on purpose" in text
    assert "def test_seed_7_of_fails()" in text
    _, _, source = text.partition("# Paste what fails:")
    names: dict[str, object] = {"fails": fails}
    exec(source, names)
    decisions = [made for name, made in names.items() if name.startswith("test_decision_")]
    assert decisions
    for decision in decisions:
        decision()  # type: ignore[operator]
