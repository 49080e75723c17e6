"""Property tests here run on machines that are busy with other things: time is not what they measure.

The replays of recordings are collected only where the recordings are, beside the repository.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "cases"

collect_ignore: list[str] = []
if not _CORPUS.exists():
    collect_ignore += ["test_corpus_patches.py", "test_corpus_custom.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if collect_ignore:
        terminalreporter.write_line(f"not collected, because there are no recordings here: {', '.join(collect_ignore)}")
