"""Ports of the node that lead to a pod's: one nftables table with two maps, made when the first is asked for.

Every address of the node leads there, 127.0.0.1 too: the pod then sees the node's address as the client's.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mizzen.agent.network.addresses import HostPort, Lease
from mizzen.agent.runtime import spawn
from mizzen.base import log
from mizzen.net.nftables import Ruleset, elements

TABLE: Final = "mizzen_hostports"
_log = log.get("agent")

_TABLE = f"""
add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  map anywhere {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map bound {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  chain pick {{
    ip protocol tcp dnat ip to ip daddr . meta l4proto . th dport map @bound
    ip protocol udp dnat ip to ip daddr . meta l4proto . th dport map @bound
    ip protocol tcp dnat ip to meta l4proto . th dport map @anywhere
    ip protocol udp dnat ip to meta l4proto . th dport map @anywhere
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat - 5;
    fib daddr type local goto pick
  }}
  chain output {{
    type nat hook output priority -105;
    fib daddr type local goto pick
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat - 5;
    ct status dnat ip saddr . ip daddr @hairpin masquerade
    ct status dnat ip saddr 127.0.0.0/8 masquerade
  }}
  chain loopback {{
    type filter hook prerouting priority raw;
    iif != lo ip daddr 127.0.0.0/8 drop
  }}
}}
"""


class HostPorts:
    """Keeps the table in step with the leases that have host ports."""

    def __init__(self) -> None:
        self._ruleset: Ruleset | None = None

    def restore(self, leases: Mapping[str, Lease]) -> None:
        """Lay down the table anew for these leases, as a restart has found them."""
        if self._ruleset is not None:
            self._ruleset.close()
            self._ruleset = None
        for lease in leases.values():
            if lease.ports:
                self._lead(lease)

    def open(self, lease: Lease, link: str) -> None:
        """Lead the lease's host ports to its pod, which is behind `link`."""
        # Without it the kernel sends nothing from 127.0.0.1 to another link; what comes in for it is dropped.
        Path(f"/proc/sys/net/ipv4/conf/{link}/route_localnet").write_text("1")
        self._lead(lease)
        for port in lease.ports:
            if port.protocol == "UDP":
                _forget_flows(port.port)

    def _lead(self, lease: Lease) -> None:
        if self._ruleset is None:
            self._ruleset = Ruleset()
            self._ruleset.apply(_TABLE)
        self._ruleset.apply(_commands("add", lease))

    def close(self, lease: Lease) -> None:
        """Stop leading the lease's host ports anywhere."""
        if self._ruleset is not None:
            self._ruleset.apply(_commands("add", lease) + _commands("delete", lease))


def _forget_flows(port: int) -> None:
    """Clients go on sending from one port, and the kernel would go on with the pod that had this host port before."""
    command = ["conntrack", "-D", "-p", "udp", "--orig-port-dst", str(port)]
    try:
        subprocess.run(command, env=spawn.PATH, capture_output=True, check=False)
    except FileNotFoundError:
        _log.warning("UDP flows may go on to the pod that had the port before: conntrack is not installed", port=port)


def _commands(verb: str, lease: Lease) -> str:
    bound = [_element(port, lease.ip, bound=True) for port in lease.ports if _is_bound(port)]
    anywhere = [_element(port, lease.ip, bound=False) for port in lease.ports if not _is_bound(port)]
    return (
        elements("ip", TABLE, verb, "bound", bound)
        + elements("ip", TABLE, verb, "anywhere", anywhere)
        + elements("ip", TABLE, verb, "hairpin", [f"{lease.ip} . {lease.ip}"])
    )


def _is_bound(port: HostPort) -> bool:
    return port.host_ip not in ("", "0.0.0.0")


def _element(port: HostPort, ip: str, *, bound: bool) -> str:
    key = f"{port.protocol.lower()} . {port.port}"
    return f"{port.host_ip + ' . ' if bound else ''}{key} : {ip} . {port.container_port}"
