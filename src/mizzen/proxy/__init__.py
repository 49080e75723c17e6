"""Virtual addresses of Services, as packet-filter rules of the node. Start reading at `rules`."""

from mizzen.proxy.shell import run

__all__ = ["run"]
