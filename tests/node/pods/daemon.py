"""A containerd of the tests' own, started as a node starts its own; nothing of it is left afterwards."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mizzen.agent.volumes import teardown
from mizzen.cluster import containerd


@contextlib.contextmanager
def running(root: Path) -> Iterator[containerd.Daemon]:
    """Run it. It has no image but that of its sandboxes: pods bring the machine's."""
    daemon = containerd.Daemon(root)
    try:
        containerd.start(daemon, -1)
        yield daemon
    finally:
        containerd.stop(daemon)
        teardown.remove(root)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(root).encode() in _content(path)]
    assert not left, f"processes left: {left}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile
