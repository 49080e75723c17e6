"""Which container has which processors, in a file that outlives the agent: `cpu_manager_state`."""

from pathlib import Path
from typing import Final

import msgspec

from mizzen.agent.cpus.assignment import Assignments, Machine, shared
from mizzen.agent.cpus.topology import parse, shown

NAME: Final = "cpu_manager_state"


class _File(msgspec.Struct, frozen=True):
    policyName: str
    defaultCpuSet: str = ""
    entries: dict[str, dict[str, str]] = {}


def read(directory: Path, policy: str, machine: Machine) -> Assignments:
    """What was assigned; nothing without a file. Raises ValueError when it is of another policy or machine."""
    path = directory / NAME
    again = f"let the node's pods end, and remove {path}"
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
        entries = {
            uid: {name: parse(cpus) for name, cpus in entry.items()} for uid, entry in (file.entries or {}).items()
        }
    except FileNotFoundError:
        return Assignments()
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"the state of cpuManagerPolicy cannot be read ({error}): {again}") from error
    if file.policyName != policy:
        raise ValueError(f"cpuManagerPolicy: {policy} follows {file.policyName}: {again}")
    found = Assignments(entries)
    if policy != "none" and (
        not found.taken <= machine.topology.ids or parse(file.defaultCpuSet) != shared(found, machine)
    ):
        raise ValueError(f"cpuManagerPolicy: the processors of this node are not those of before: {again}")
    return found


def write(directory: Path, policy: str, assigned: Assignments, machine: Machine) -> None:
    """Note it all. Raises OSError."""
    entries = {uid: {name: shown(cpus) for name, cpus in entry.items()} for uid, entry in assigned.entries.items()}
    fresh = directory / f".{NAME}.tmp"
    fresh.write_bytes(msgspec.json.encode(_File(policy, shown(shared(assigned, machine)), entries)))
    fresh.rename(directory / NAME)
