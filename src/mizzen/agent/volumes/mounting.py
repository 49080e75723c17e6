"""What mount(8) mounts: shares of other machines, and block devices, which get a file system when they hold nothing.

Ref: https://kubernetes.io/docs/concepts/storage/volumes/#local
"""

from collections.abc import Sequence
from pathlib import Path

from mizzen.agent.runtime import spawn

_PATIENCE = 120.0
_DEFAULT_TYPE = "ext4"
_FORCED = {"ext2": ("-F", "-m0"), "ext3": ("-F", "-m0"), "ext4": ("-F", "-m0"), "xfs": ("-f",), "btrfs": ("-f",)}
"""What makes mkfs ask no questions; and no room of ext's is root's alone."""
_NOTHING_FOUND = 2


async def mount(arguments: Sequence[str]) -> None:
    """Raises OSError with what mount(8) said, TimeoutError."""
    done = await spawn.run(["/bin/mount", *arguments], timeout=_PATIENCE)
    if done.code:
        said = done.output.decode(errors="replace").strip()
        raise OSError(
            f"mount failed: exit status {done.code}\nMounting command: mount\n"
            f"Mounting arguments: {' '.join(arguments)}\nOutput: {said}\n"
        )


async def mount_device(device: Path, wanted: str, options: Sequence[str], target: Path) -> None:
    """Mount a device's file system, of the type `wanted` if that is said; it is made when the device is empty.

    Raises OSError, TimeoutError.
    """
    # Two pods at once cannot format it twice: mkfs refuses what another one has open or mounted.
    found = await _type_on(device)
    if not found:
        found = wanted or _DEFAULT_TYPE
        await _make(device, found)
    await mount(["-t", wanted or found, *(["-o", ",".join(options)] if options else []), str(device), str(target)])


async def _type_on(device: Path) -> str:
    probe = ["/sbin/blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(device)]
    done = await spawn.run(probe, timeout=_PATIENCE)
    return type_of(done.code, done.output.decode(errors="replace"), device)


def type_of(code: int, output: str, device: Path) -> str:
    """The type of the file system that blkid(8) tells of, nothing when the device is empty.

    Raises OSError when it holds something else, which must not be lost, or cannot be read.
    """
    if code == _NOTHING_FOUND:
        return ""
    told = dict(line.partition("=")[::2] for line in output.splitlines())
    if code or not told.get("TYPE"):
        holds = f"a partition table ({told['PTTYPE']})" if told.get("PTTYPE") else output.strip() or f"status {code}"
        raise OSError(f"failed to find a file system on {device}: {holds}")
    return told["TYPE"]


async def _make(device: Path, kind: str) -> None:
    done = await spawn.run(["/sbin/mkfs", "-t", kind, *_FORCED.get(kind, ()), str(device)], timeout=_PATIENCE)
    if done.code:
        raise OSError(f"failed to format {device} as {kind}: {done.output.decode(errors='replace').strip()}")
