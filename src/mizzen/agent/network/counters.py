"""What has passed the network interfaces of a node, and with them those of its pods: read at the host's ends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mizzen.agent.network.routed import link_name

_OWN = "lo"


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of an interface since it was made."""

    bytes: int = 0
    packets: int = 0
    errors: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Interface:
    """Both directions of an interface."""

    name: str
    received: Flow = Flow()
    sent: Flow = Flow()


def read() -> dict[str, Interface]:
    """All interfaces of the network namespace this thread is in, by name."""
    return parse(Path("/proc/thread-self/net/dev").read_text())


def parse(text: str) -> dict[str, Interface]:
    """The kernel's table; each direction has eight columns, of which the first four are told."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        columns = [int(one) for one in rest.split()]
        found[name.strip()] = Interface(name.strip(), Flow(*columns[:4]), Flow(*columns[8:12]))
    return found


def of_pod(interfaces: Mapping[str, Interface], uid: str) -> Interface | None:
    """The interface of a pod as the pod sees it: what the host's end sends, it receives."""
    near = interfaces.get(link_name(uid))
    return None if near is None else replace(near, name="eth0", received=near.sent, sent=near.received)


def of_node(interfaces: Mapping[str, Interface]) -> tuple[Interface, ...]:
    """The interfaces that are the node's own, the busiest first."""
    own = [one for name, one in interfaces.items() if name != _OWN and not _is_pods(name)]
    return tuple(sorted(own, key=lambda one: (-one.received.bytes - one.sent.bytes, one.name)))


def _is_pods(name: str) -> bool:
    return len(name) == len(link_name("")) and name.startswith("pod")
