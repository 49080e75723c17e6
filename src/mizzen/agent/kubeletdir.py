"""The directories that pods know as /var/lib/kubelet and /var/log: each node has its own, wherever it keeps them.

Storage drivers mount below the first from inside their containers, so it is a shared mount of the node's mount
namespace: what a driver mounts in its copy appears here, and in the copies of all others.
"""

import os
import re
from pathlib import Path

from mizzen.agent.runtime import syscalls
from mizzen.agent.volumes import teardown

WELL_KNOWN = "/var/lib/kubelet"
_LOGS = re.compile(r"/var/log(/(pods|containers)(/.*)?)?")
"""What of /var/log is the node's own; the rest is its machine's."""
_CDI = re.compile(r"(/var)?/run/cdi(/.*)?")
_MOST_LINKS = 40
"""As many as the kernel follows."""
_PARTS = ("pods", "plugins", "plugins_registry", "device-plugins", "pod-resources")


class KubeletDir:
    """The directory `root`, and the names that files below it have in pods; `logs` holds those of containers.

    `cdi` is what pods know as /var/run/cdi.
    """

    def __init__(self, root: Path, logs: Path | None = None, cdi: Path | None = None) -> None:
        self.root = root
        self._logs = logs
        self._cdi = cdi
        self._fd = -1

    def prepare(self) -> None:
        """Make it, and share what is mounted below it; may be repeated. Raises OSError."""
        for part in _PARTS:
            (self.root / part).mkdir(parents=True, exist_ok=True)
        if self._logs is not None:
            for part in ("pods", "containers"):
                (self._logs / part).mkdir(parents=True, exist_ok=True)
        if self._cdi is not None:
            self._cdi.mkdir(parents=True, exist_ok=True)
        if not teardown.is_mounted(self.root):
            syscalls.mount(str(self.root), str(self.root), "", syscalls.MS_BIND | syscalls.MS_REC)
            # Shared with its own copies alone: what it covers, which may be shared too, is no business of theirs.
            syscalls.mount("none", str(self.root), "", syscalls.MS_PRIVATE)
            syscalls.mount("none", str(self.root), "", syscalls.MS_SHARED)

    def on_node(self, path: str) -> Path:
        """Where a path that a pod or a plugin names is on this node: a link in a directory of its own is followed.

        The links there are made for pods, by the names that they know: /var/log/containers is full of them.
        """
        place = self._place(path)
        for _ in range(_MOST_LINKS):
            if str(place) == path or not place.is_symlink():
                break
            path = os.path.normpath(Path(path).parent / place.readlink())
            place = self._place(path)
        return place

    def _place(self, path: str) -> Path:
        clean = os.path.normpath(path)
        if self._logs is not None and _LOGS.fullmatch(clean):
            return self._logs / os.path.relpath(clean, "/var/log")
        if self._cdi is not None and _CDI.fullmatch(clean):
            return self._cdi / os.path.relpath(clean.removeprefix("/var"), "/run/cdi")
        inside = clean.removeprefix(WELL_KNOWN)
        if clean != WELL_KNOWN and not (clean.startswith(WELL_KNOWN) and inside.startswith("/")):
            return Path(path)
        return self.root / inside.lstrip("/")

    def for_pods(self, path: Path) -> str:
        """The name that a file of this directory has in pods."""
        return f"{WELL_KNOWN}/{path.relative_to(self.root)}"

    def address(self, socket: Path) -> str:
        """A name for a socket that is short enough to connect to."""
        if not socket.is_relative_to(self.root):
            return str(socket)
        if self._fd < 0:
            self._fd = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{socket.relative_to(self.root)}"

    def close(self) -> None:
        """Let go of the directory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
