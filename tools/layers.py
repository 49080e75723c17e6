"""Run the layers of tests in order, print what each did and how long it took: `python tools/layers.py [LAYER…]`.

A layer that cannot run fails. The closing line counts tests over all layers. In the layers of real containers, whose
machine is shared with others, a test or two that failed run once more, and the table says so: a test that needed its
second attempt is a defect to look into, and one that fails twice fails the run.
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
FEW = 2
EMULATED = "tests/node/pods/machine"
"""What needs a kernel that this machine may not have: it is tested on an emulated one."""
_RESOURCES = "tests/node/pods/test_resources_on_a_node.py"
UNDER_ANOTHER_KERNEL = (
    "tests/node/pods/test_overlay.py", "tests/node/pods/test_processors_on_a_node.py",
    "tests/node/pods/test_isolation_on_a_node.py",
    f"{_RESOURCES}::test_resources_change_in_place_or_by_a_restart_as_the_policy_says",
    f"{_RESOURCES}::test_a_pod_is_held_to_what_its_containers_have_after_restarts_that_resize_them",
    "-k", "machine or not (cri or runtime_class or non_root_refuses or names_in_etc)",
)  # fmt: skip
"""What depends on the kernel most, once more under that one; what the agent decides alone is the same everywhere."""
ON_THE_MACHINE = (str(BIN / "python"), "tools/machine.py", *PYTEST, "--color=no")
SHARED = {"node": PYTEST, "machine": ON_THE_MACHINE, "kubectl": PYTEST}
"""The layers on real containers, each with what runs single tests of it."""
LAYERS: dict[str, tuple[str, ...]] = {
    "check": ("make", "--no-print-directory", "check"),
    "unit": (*PYTEST, "-n", "2", "tests/unit", "tests/store"),
    "sim": (*PYTEST, "-n", "2", "tests/sim"),
    "cluster": (*PYTEST, "tests/cluster"),
    "parity": (str(BIN / "python"), "tools/parity.py"),
    "node": (*PYTEST, "tests/node", f"--ignore={EMULATED}"),
    "machine": (*ON_THE_MACHINE, EMULATED, *UNDER_ANOTHER_KERNEL),
    "kubectl": (*PYTEST, "tests/kubectl"),
}


def main(wanted: list[str]) -> int:
    """Answers the exit status: 0 only when every layer passed."""
    results: list[tuple[str, bool, float, int, int, int]] = []
    for name in wanted or LAYERS:
        if name == "parity" and not CORPUS.exists():
            print("== parity: no recordings at hand, not run", flush=True)
            continue
        print(f"== {name}", flush=True)
        started = time.monotonic()
        ok, passed, failed, which = run(LAYERS[name])
        again = 0
        if not ok and name in SHARED and 0 < failed == len(which) <= FEW:
            print(f"== {name}: what failed, a second time", flush=True)
            ok, again, failed, _ = run((*SHARED[name], *which))
        results.append((name, ok, time.monotonic() - started, passed, failed + (not ok and not failed), again))
        if not ok and name == "check":
            break
    print("\n== layers")
    for name, ok, seconds, passed, failed, again in results:
        late = f", {again} after failing once" if again else ""
        print(f"{name:10} {'ok' if ok else 'FAILED':8} {seconds:7.1f} s  {passed} passed{late}, {failed} failed")
    print(f"{sum(r[3] for r in results)} passed, {sum(r[4] for r in results)} failed")
    return 0 if all(r[1] for r in results) else 1


def run(command: tuple[str, ...]) -> tuple[bool, int, int, list[str]]:
    """Run one layer; answers whether it passed, its counts of passed and failed tests, and which ones failed."""
    # A fixed hash seed makes simulations repeatable: sets are walked in the same order every time.
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}:/usr/sbin:/sbin", "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    passed = failed = 0
    which: list[str] = []
    for line in process.stdout:
        print(line, end="", flush=True)
        if re.search(r"^\d+ (passed|failed|error).* in [\d.:]+", line.strip("= ")):
            counts = {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|error)", line)}
            passed, failed = counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)
        elif broken := re.search(r"^(?:FAILED|ERROR) (tests/\S+::.+?)(?: - .*)?$", line):
            which.append(broken[1])
        elif summary := re.search(r"^(\d+) of (\d+) cases as recorded", line):
            passed = int(summary[1])
    ok = process.wait() == 0
    return ok, passed or int(ok), failed, which


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
