"""Simulated nodes at scale, everything else real: `python bench/scale.py`, or with `--nodes 5000 --pods 50000`.

Reports nodes a second, pods a second from apply to Running, the API's latency meanwhile, and memory.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from mizzen.base import log
from mizzen.cluster import trial

TARGET_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    chosen = parser.parse_args()
    log.set_level("warning")

    def show(report: dict[str, Any]) -> None:
        for name, value in report.items():
            print(f"{name:28}{value}")
        if (chosen.nodes, chosen.pods) == (1000, 10_000):
            took = report["all pods Running after s"]
            print(f"{'target 30 s':28}{'met' if took <= TARGET_SECONDS else 'missed'} ({took / TARGET_SECONDS:.2f}x)")

    with tempfile.TemporaryDirectory(prefix="mizzen-scale-") as directory:
        trial.run(trial.Trial(Path(directory), chosen.nodes, chosen.pods), show)


if __name__ == "__main__":
    main()
