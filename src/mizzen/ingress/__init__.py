"""HTTP and TLS from outside to Services, carried by Envoy. Start reading at `routes`."""

from mizzen.ingress.shell import run

__all__ = ["run"]
