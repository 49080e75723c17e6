"""Links that log collectors follow: `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`, each to a log of that name.

Their targets are the names that pods know: collectors mount `/var/log` of their node.
"""

import contextlib
import os
from pathlib import Path

from mizzen.api.views.podspec import Pod

WELL_KNOWN = "/var/log"
_LONGEST = 255


def put(logs: Path, pod: Pod, container: str, id: str, log: Path) -> None:
    """Link a container's log; `logs` is what pods know as /var/log. Raises OSError."""
    meta = pod.metadata
    name = f"{meta.name}_{meta.namespace}_{container}-{id}"[: _LONGEST - len(".log")]
    link = logs / "containers" / f"{name}.log"
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(f"{WELL_KNOWN}/{log.relative_to(logs)}")


def remove(logs: Path, id: str) -> None:
    """Take down the link of one container."""
    for link in (logs / "containers").glob(f"*-{id}.log"):
        link.unlink(missing_ok=True)


def sweep(logs: Path) -> None:
    """Take down the links whose pods have no logs any more."""
    for link in (logs / "containers").glob("*.log"):
        with contextlib.suppress(OSError):  # no link, or gone already
            log = logs / os.path.relpath(link.readlink(), WELL_KNOWN)
            if not log.parent.parent.exists():
                link.unlink()
