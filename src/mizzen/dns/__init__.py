"""The cluster's DNS, answered on every node. Start reading at `zone`."""

from mizzen.dns.shell import run

__all__ = ["run"]
