"""How fast a control plane and a whole cluster start, what they weigh, and what they use when nothing happens.

`python bench/start.py [--no-cluster]`. The cluster part runs the real `mizzen up --name bench` with the demo, needs
root and `make up`'s clients, and ends it with `mizzen down --delete-data`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import process

STARTS, IDLE_SECONDS, SETTLE_SECONDS = 3, 20, 5
DATA = Path("/var/lib/mizzen/bench")
DEMO = Path(__file__).resolve().parent.parent / "tools" / "demo.py"


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-cluster", action="store_true", help="measure the control plane alone")
    asked = parser.parse_args()
    for flags, text in ((("--no-controllers",), "API server"), ((), "control plane with controllers")):
        times, sizes = [], []
        for _ in range(STARTS):
            with process.server(*flags) as running:
                times.append(running.ready_seconds)
                time.sleep(1)
                sizes.append(process.resident_bytes(running.pid))
        size = statistics.median(sizes) / 1e6
        print(f"{text}: ready after {statistics.median(times):.2f} s (target 0.5), {size:.0f} MB (target 90)")
    with process.server() as running:
        time.sleep(SETTLE_SECONDS)
        print(f"control plane idle: {_idle((running.pid,)):.2%} of a core (target 1)")
    if not asked.no_cluster and os.geteuid() == 0:
        _cluster()


def _cluster() -> None:
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as scratch:
        where = ["--name", "bench"]
        kubeconfig = {**os.environ, "KUBECONFIG": str(Path(scratch) / "kubeconfig")}
        _demo("images", env=kubeconfig)
        try:
            started = time.monotonic()
            _mizzen("up", *where, env=kubeconfig)
            print(f"cluster of two nodes: Ready after {time.monotonic() - started:.2f} s (target 3)")
            time.sleep(SETTLE_SECONDS)
            pids = {path.stem: json.loads(path.read_text())["pid"] for path in (DATA / "run").glob("*.json")}
            for name, pid in sorted(pids.items()):
                print(f"  {name}: {process.resident_bytes(pid) / 1e6:.0f} MB")
            print(f"  all idle: {_idle(tuple(pids.values())):.2%} of a core (target 1)")
            started = time.monotonic()
            _demo("deploy", "--name", "bench", env=kubeconfig)
            print(f"demo with its images present: answers after {time.monotonic() - started:.1f} s (target 15)")
        finally:
            _mizzen("down", *where, "--delete-data", env=kubeconfig)


def _demo(*arguments: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, str(DEMO), *arguments], check=True, capture_output=True, env=env)


def _mizzen(*arguments: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "mizzen", *arguments], check=True, capture_output=True, env=env)


def _idle(pids: tuple[int, ...]) -> float:
    """The share of a core that processes use while nothing is asked of them."""
    before = sum(process.cpu_seconds(pid) for pid in pids)
    time.sleep(IDLE_SECONDS)
    return (sum(process.cpu_seconds(pid) for pid in pids) - before) / IDLE_SECONDS


if __name__ == "__main__":
    main()
