"""Images brought to a containerd as files: CRI itself can only pull. Uses `ctr`, which comes with containerd."""

import shutil
import subprocess
from pathlib import Path

from mizzen.agent.runtime import spawn

_NAMESPACE = "k8s.io"
_PATIENCE = 600.0


def is_there() -> bool:
    """Whether this machine has the program."""
    return shutil.which("ctr", path=spawn.PATH["PATH"]) is not None


def has_image(socket: str, name: str) -> bool:
    """Whether the containerd behind a socket has an image of this complete name."""
    return bool(_ctr(socket, "images", "list", "--quiet", f"name=={name}").stdout.strip())


def import_image(socket: str, archive: Path) -> None:
    """Import a docker-archive or OCI layout. Raises OSError with what containerd says about it."""
    done = _ctr(socket, "images", "import", str(archive))
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip()[-500:])


def _ctr(socket: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    program = shutil.which("ctr", path=spawn.PATH["PATH"])
    if program is None:
        raise FileNotFoundError("ctr is not installed; it comes with containerd")
    command = [program, "--address", socket, "--namespace", _NAMESPACE, *arguments]
    return subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE)
