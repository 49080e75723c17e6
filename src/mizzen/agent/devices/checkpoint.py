"""Which container has which device, in a file that outlives the agent, in the words that tools know from it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from mizzen.agent.devices.ledger import Assignment

NAME = "kubelet_internal_checkpoint"


class _Entry(msgspec.Struct, frozen=True):
    PodUID: str
    ContainerName: str
    ResourceName: str
    DeviceIDs: dict[str, tuple[str, ...]]
    """By NUMA node; -1 when none is known."""
    AllocResp: bytes = b""


class _Data(msgspec.Struct, frozen=True):
    PodDeviceEntries: tuple[_Entry, ...] = ()
    RegisteredDevices: dict[str, tuple[str, ...]] = {}


class _File(msgspec.Struct, frozen=True):
    Data: _Data = _Data()


def read(directory: Path) -> tuple[list[Assignment], list[str]]:
    """What was assigned, and the resources that had plugins; nothing without a file, or one that cannot be read."""
    try:
        data = msgspec.json.decode((directory / NAME).read_bytes(), type=_File).Data
    except (OSError, msgspec.DecodeError):
        return [], []
    assigned = [
        Assignment(
            one.PodUID, one.ContainerName, one.ResourceName,
            tuple(device for devices in one.DeviceIDs.values() for device in devices), one.AllocResp,
        )
        for one in data.PodDeviceEntries
    ]  # fmt: skip
    return assigned, list(data.RegisteredDevices)


def write(directory: Path, assigned: Iterable[Assignment], registered: Mapping[str, Iterable[str]]) -> None:
    """Note it all. Raises OSError."""
    entries = tuple(_Entry(one.pod, one.container, one.resource, {"-1": one.devices}, one.answer) for one in assigned)
    data = _Data(entries, {resource: tuple(sorted(devices)) for resource, devices in registered.items()})
    replace(directory / NAME, msgspec.json.encode(_File(data)))


def replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole or as it was. Raises OSError."""
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_bytes(content)
    fresh.rename(path)
