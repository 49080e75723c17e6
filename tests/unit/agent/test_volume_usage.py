"""How full volumes are, whoever serves them."""

import threading
from pathlib import Path

from mizzen.agent.volumes.usage import FileSystems, of_file_system


async def test_a_file_system_that_answers_is_told(tmp_path: Path) -> None:
    numbers = await FileSystems(patience=30).of(tmp_path)
    assert numbers["capacityBytes"] == of_file_system(tmp_path)["capacityBytes"] > 0


async def test_a_file_system_that_does_not_answer_costs_one_thread_and_nobody_else() -> None:
    gone, asked = threading.Event(), []

    def ask(path: Path) -> dict[str, int]:
        asked.append(path)
        if path.name == "gone":
            gone.wait()
        return {"usedBytes": len(asked)}

    systems = FileSystems(ask, patience=0)
    assert [await systems.of(Path("/gone")) for _ in range(20)] == [{}] * 20
    assert asked == [Path("/gone")]
    assert await FileSystems(ask, patience=30).of(Path("/here")) == {"usedBytes": 2}
    gone.set()


async def test_what_goes_wrong_in_asking_is_raised_to_who_asked() -> None:
    def ask(path: Path) -> dict[str, int]:
        raise ValueError(path)

    systems = FileSystems(ask, patience=30)
    for _ in range(2):
        try:
            await systems.of(Path("/odd"))
        except ValueError as error:
            assert error.args == (Path("/odd"),)
        else:
            raise AssertionError("nothing was raised")
