"""A crashed process comes back as itself, with growing pauses."""

import os
import subprocess
import sys
from pathlib import Path

from mizzen.cluster import restarts


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [restarts.pause(n) for n in (0, 1, 2, 20)] == [0.5, 1.0, 2.0, 30.0]


def test_the_fresh_process_has_the_same_pid_and_arguments(tmp_path: Path) -> None:
    program = tmp_path / "mizzen" / "__main__.py"
    program.parent.mkdir()
    program.write_text("import os, sys; print(os.getpid(), sys.argv[1:], os.environ['MIZZEN_RESTARTS'])")
    (program.parent / "__init__.py").touch()
    crash = (
        "import os, sys; print(os.getpid(), flush=True)\n"
        f"sys.path.insert(0, {str(Path(restarts.__file__).parents[2])!r})\n"
        "from mizzen.cluster import restarts\n"
        f"os.environ['PYTHONPATH'] = {str(tmp_path)!r}\n"
        "sys.argv = ['mizzen', 'server', '--port', '1']\n"
        "restarts.start_anew(100.0)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", crash], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    before, after = done.stdout.splitlines()
    assert after == f"{before} ['server', '--port', '1'] 1"
