"""The channels of a remote command: who sends what on which, over WebSocket and over SPDY.

Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/ (v4 and v5 of channel.k8s.io; KEP-4006)
"""

from typing import Final

import orjson

from mizzen.machinery.errors import Object

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
SPDY_HEADER: Final = "x-stream-protocol-version"
WEBSOCKET_PROTOCOLS: Final = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "base64.channel.k8s.io",
    "",
)
SPDY_PROTOCOLS: Final = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
)
PORT_FORWARD: Final = "portforward.k8s.io"
FORWARD_PROTOCOLS: Final = ("v4.channel.k8s.io", PORT_FORWARD, "")
TUNNEL: Final = "SPDY/3.1+portforward.k8s.io"


def exit_status(code: int) -> Object:
    """The Status that ends a command."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(message: str) -> Object:
    """The Status of a command that could not be run."""
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}


def encoded_status(status: Object, protocol: str) -> bytes:
    """As the error channel carries it: JSON since version 4, before that the text of a failure alone."""
    if protocol.startswith(("v4.", "v5.")):
        return orjson.dumps(status)
    return b"" if status["status"] == "Success" else status["message"].encode()


def window(payload: bytes) -> tuple[int, int] | None:
    """Columns and rows of a resize message; None when it makes no sense."""
    try:
        size = orjson.loads(payload)
        columns, rows = int(size["Width"]), int(size["Height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (columns, rows) if 0 < columns < 65536 and 0 < rows < 65536 else None
