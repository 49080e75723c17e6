"""Run the layers of tests in order, print what each did and how long it took: `python tools/layers.py [LAYER…]`.

A layer that cannot run fails. The closing line counts tests over all layers.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
PYTEST = (str(BIN / "pytest"), "-q", "--durations=5")
CORPUS = ROOT.parent / "shared" / "corpus" / "corpus.py"
LAYERS: dict[str, tuple[str, ...]] = {
    "check": ("make", "--no-print-directory", "check"),
    "unit": (*PYTEST, "-n", "2", "tests/unit", "tests/store"),
    "sim": (*PYTEST, "-n", "2", "tests/sim"),
    "cluster": (*PYTEST, "tests/cluster"),
    "parity": (str(BIN / "python"), "tools/parity.py"),
    "node": (*PYTEST, "tests/node"),
    "kubectl": (*PYTEST, "tests/kubectl"),
}


def main(wanted: list[str]) -> int:
    """Answers the exit status: 0 only when every layer passed."""
    results: list[tuple[str, bool, float, int, int]] = []
    for name in wanted or LAYERS:
        if name == "parity" and not CORPUS.exists():
            print("== parity: no recordings at hand, not run", flush=True)
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        ok, passed, failed = run(LAYERS[name])
        results.append((name, ok, time.monotonic() - started, passed, failed + (not ok and not failed)))
        if not ok and name == "check":
            break
    print("\n== layers")
    for name, ok, seconds, passed, failed in results:
        print(f"{name:10} {'ok' if ok else 'FAILED':8} {seconds:7.1f} s  {passed} passed, {failed} failed")
    print(f"{sum(r[3] for r in results)} passed, {sum(r[4] for r in results)} failed")
    return 0 if all(r[1] for r in results) else 1


def run(command: tuple[str, ...]) -> tuple[bool, int, int]:
    """Run one layer; answers whether it passed, and its counts of passed and failed tests."""
    # A fixed hash seed makes simulations repeatable: sets are walked in the same order every time.
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin:/sbin", "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    passed = failed = 0
    for line in process.stdout:
        print(line, end="", flush=True)
        if summary := re.search(r"(?:(\d+) failed)?.*?(\d+) passed.* in [\d.:]+", line):
            failed, passed = int(summary[1] or 0), int(summary[2])
        elif summary := re.search(r"^(\d+) of (\d+) cases as recorded", line):
            passed = int(summary[1])
    ok = process.wait() == 0
    return ok, passed or int(ok), failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
