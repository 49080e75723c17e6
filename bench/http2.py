"""The API over HTTP/2 beside HTTP/1.1: requests in a second and the server's processor time, and their ratios.

`python bench/http2.py [--seconds 2] [--rounds 3] [--streams 1,32]`: h2load asks `mizzen server --no-controllers` the
same over both, in turns, with as many streams on one connection as HTTP/1.1 has connections.
"""

import argparse
import re
import statistics
import subprocess
from dataclasses import dataclass

import api
import process
from process import Running

CASES = (
    ("GET ConfigMap 3 KB", f"{api.NAMESPACE}/configmaps/shared"),
    ("LIST 2,000 pods", "/api/v1/namespaces/pods/pods"),
    ("LIST pods limit=500", "/api/v1/namespaces/pods/pods?limit=500"),
)
_CELLS = 24, 8, 10, 10, 7, 9, 9, 7


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests in a second, and microseconds of the server's processor for each."""

    rate: float
    used: float


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", default="1,32")
    asked = parser.parse_args()
    with process.server("--no-controllers") as running:
        api.fill(running)
        _show("request", "streams", "HTTP/1.1/s", "HTTP/2/s", "ratio", "µs 1.1", "µs 2", "ratio")
        for name, path in CASES:
            for streams in map(int, asked.streams.split(",")):
                _show(*_compared(running, name, path, streams, asked.seconds, asked.rounds))


def _compared(running: Running, name: str, path: str, streams: int, seconds: int, rounds: int) -> list[str]:
    one, two = [], []
    for _ in range(rounds):
        one.append(_asked(running, path, seconds, "--h1", f"-c{streams}"))
        two.append(_asked(running, path, seconds, "-c1", f"-m{streams}"))
    rates = [statistics.median(run.rate for run in runs) for runs in (one, two)]
    used = [statistics.median(run.used for run in runs) for runs in (one, two)]
    ratios = [f"×{after / before:.2f}" for before, after in (rates, used)]
    figures = [f"{value:,.0f}" for value in (*rates, *used)]
    return [name, str(streams), *figures[:2], ratios[0], *figures[2:], ratios[1]]


def _asked(running: Running, path: str, seconds: int, *flags: str) -> Measured:
    argv = ["h2load", f"-D{seconds}", *flags, "-H", f"authorization: Bearer {process.TOKEN}", running.url + path]
    before = process.cpu_seconds(running.pid)
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    spent = process.cpu_seconds(running.pid) - before
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", text)
    counts = re.search(r"(\d+) succeeded, (\d+) failed", text)
    if rate is None or counts is None or counts[2] != "0":
        raise RuntimeError(f"{path}: {text}")
    return Measured(float(rate[1]), spent / max(1, int(counts[1])) * 1e6)


def _show(*cells: str) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, _CELLS, strict=True)), flush=True)


if __name__ == "__main__":
    main()
