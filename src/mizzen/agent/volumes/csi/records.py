"""Which pod has which volume of a driver: a file each below the pod's directory, so that it outlives the agent."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from mizzen.agent.volumes.csi import requests


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One volume of one pod, in the words that tools know from this file; all are texts."""

    driverName: str
    volumeHandle: str
    specVolID: str
    """The name of the persistent volume, or of an inline one in its pod."""
    nodeName: str = ""
    attachmentID: str = ""
    """Empty when the volume need not be attached."""
    volumeLifecycleMode: str = "Persistent"
    volumeMode: str = "Filesystem"

    @property
    def block(self) -> bool:
        return self.volumeMode == "Block"

    @property
    def key(self) -> tuple[str, str]:
        """What is staged once on a node, however many pods use it."""
        return self.driverName, self.volumeHandle


def write(root: Path, uid: str, record: Record) -> None:
    """Note that a pod has a volume."""
    path = root / requests.record_place(uid, record.specVolID, block=record.block)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.encode(record))
    fresh.rename(path)


def remove(root: Path, uid: str, record: Record) -> None:
    """Note that the pod has it no more; what the driver left of its place goes too."""
    path = root / requests.record_place(uid, record.specVolID, block=record.block)
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def of_pod(root: Path, uid: str) -> Iterator[Record]:
    """The volumes of a pod."""
    for path in sorted((root / "pods" / uid).glob(f"volume*/{requests.PLUGIN}/*/vol_data.json")):
        yield msgspec.json.decode(path.read_bytes(), type=Record)


def of_all(root: Path) -> dict[tuple[str, str], Record]:
    """Every volume of every pod, by the pod's uid and the volume's name."""
    pods = root / "pods"
    uids = [path.name for path in pods.iterdir()] if pods.exists() else []
    return {(uid, record.specVolID): record for uid in uids for record in of_pod(root, uid)}
