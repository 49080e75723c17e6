"""When memory is given back."""

from mizzen.base.memory import Trimmer


def test_memory_is_given_back_once_when_it_has_become_quiet_after_work() -> None:
    given: list[float] = []
    used = 0.0
    trimmer = Trimmer(used, lambda: given.append(used))
    for used in (0.2, 0.4, 0.9, 6.0, 20.0, 20.5, 20.6, 20.7, 21.4, 21.6):
        trimmer.look(used, 15.0)
    assert given == [20.5, 21.6]
