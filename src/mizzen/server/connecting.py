"""What a connection to a pod, a Service or a node asks for, as the object that admission sees.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ (the query parameters of exec)
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mizzen.machinery.errors import Object
from mizzen.server.call import Call
from mizzen.wire.message import Request

_STREAMS: Final = ("stdin", "stdout", "stderr", "tty")
_FALSE: Final = frozenset({"", "0", "false"})


def options(call: Call) -> Object:
    """`PodExecOptions`, `ServiceProxyOptions` and their like; what was not asked for is absent."""
    kind, read = _KINDS[call.info.subresource]
    found = {key: value for key, value in read(call).items() if value}
    return {"kind": kind.format(call.kind.kind), "apiVersion": "v1", **found}


def _attach(call: Call) -> dict[str, Any]:
    request = call.request
    streams = {name: request.parameter(name).lower() not in _FALSE for name in _STREAMS}
    return {**streams, "container": request.parameter("container")}


def _exec(call: Call) -> dict[str, Any]:
    return {**_attach(call), "command": _all(call.request, "command")}


def _port_forward(call: Call) -> dict[str, Any]:
    ports = ",".join(_all(call.request, "ports")).split(",")
    return {"ports": [int(port) for port in ports if port.isdecimal()]}


def _proxy(call: Call) -> dict[str, Any]:
    rest = "/".join(call.info.rest)
    return {"path": f"/{rest}" if rest else call.request.parameter("path")}


def _all(request: Request, name: str) -> list[str]:
    return [value for key, value in request.query if key == name]


_KINDS: Final[Mapping[str, tuple[str, Callable[[Call], dict[str, Any]]]]] = {
    "exec": ("{}ExecOptions", _exec),
    "attach": ("{}AttachOptions", _attach),
    "portforward": ("{}PortForwardOptions", _port_forward),
    "proxy": ("{}ProxyOptions", _proxy),
}
CONNECTED: Final = frozenset(_KINDS)
"""Subresources that admission sees as CONNECT."""
