"""Every simulation runs under many seeds: `--sim-seeds 1000`, `--sim-first 5000`, or MIZZEN_SIM_SEEDS."""

import os

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        count = int(os.environ.get("MIZZEN_SIM_SEEDS", "100"))
        first = int(os.environ.get("MIZZEN_SIM_FIRST", "0"))
        metafunc.parametrize("seeds", [range(first, first + count)], ids=[f"{count}seeds"])
