"""Views of files for pods with users of their own: the same content, with owners shifted by the pod's id map."""

from dataclasses import replace
from pathlib import Path

from mizzen.agent.runtime import syscalls
from mizzen.agent.runtime.base import ContainerSpec


def view(home: Path, name: str, source: str, users_fd: int) -> str:
    """Another view of a path, with the owners that a user namespace sees. Raises OSError."""
    target = home / "mapped" / name
    target.parent.mkdir(exist_ok=True)
    if Path(source).is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    syscalls.bind_mapped(source, str(target), users_fd)
    return str(target)


def with_mapped_mounts(home: Path, spec: ContainerSpec, users_fd: int) -> ContainerSpec:
    """The specification with a view of its own in place of each mount's source, in a pod with a user namespace."""
    if users_fd < 0:
        return spec
    mounts = tuple(
        replace(mount, source=view(home, f"mount{index}", mount.source, users_fd))
        for index, mount in enumerate(spec.mounts)
    )
    return replace(spec, mounts=mounts)
