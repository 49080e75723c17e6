"""The garbage collector while the control plane starts: off, then on again, and away from what was read in."""

import gc

from mizzen.cluster import control


def test_a_settled_server_collects_garbage_but_not_what_it_started_with() -> None:
    thresholds = gc.get_threshold()
    gc.disable()
    try:
        control.settle()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        gc.enable()
