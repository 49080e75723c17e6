"""Every simulation runs under MIZZEN_SIM_SEEDS seeds, from MIZZEN_SIM_FIRST on; see docs/simulation.md."""

import os

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        count = int(os.environ.get("MIZZEN_SIM_SEEDS", "1000"))
        first = int(os.environ.get("MIZZEN_SIM_FIRST", "0"))
        metafunc.parametrize("seeds", [range(first, first + count)], ids=[f"{count}seeds"])
