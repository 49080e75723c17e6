"""The node's paths that act on pods: /exec, /attach, /portForward and /checkpoint, beside all else that it serves."""

import asyncio
import re
import socket
from pathlib import Path
from urllib.parse import unquote

from mizzen.agent import checkpoints
from mizzen.agent.equipment import Equipment
from mizzen.agent.life import Life
from mizzen.agent.pods import Pods
from mizzen.agent.runtime import syscalls
from mizzen.agent.runtime.namespaces import in_thread
from mizzen.agent.streams import commands, ports
from mizzen.wire.message import Handle, Request, Response

_COMMAND = re.compile(r"/(exec|attach)/([^/]+)/([^/]+)/(?:([^/]+)/)?([^/]+)/?")
_FORWARD = re.compile(r"/portForward/([^/]+)/([^/]+)/?(?:[^/]+)?")
_CHECKPOINT = re.compile(r"/checkpoint/([^/]+)/([^/]+)/([^/]+)/?")
_CONNECT_SECONDS = 10.0


def handle(tools: Equipment, pods: Pods, otherwise: Handle) -> Handle:
    """These paths; everything else goes to `otherwise`."""

    async def answer(request: Request) -> Response:
        if match := _COMMAND.fullmatch(request.path):
            verb, namespace, name, _, container = (unquote(part or "") for part in match.groups())
            return _command(tools, pods, request, verb, (namespace, name, container))
        if match := _FORWARD.fullmatch(request.path):
            life = pods.find(*(unquote(part) for part in match.groups()))
            if life is None:
                return _missing(f'pod "{match[2]}" not found')
            return ports.upgraded(request, lambda port: _connect(tools, life, port))
        if match := _CHECKPOINT.fullmatch(request.path):
            namespace, name, container = (unquote(part) for part in match.groups())
            return await checkpoints.answer(tools, pods, request, (namespace, name, container))
        return await otherwise(request)

    return answer


def _command(tools: Equipment, pods: Pods, request: Request, verb: str, where: tuple[str, str, str]) -> Response:
    namespace, name, container = where
    life = pods.find(namespace, name)
    if life is None:
        return _missing(f'pod "{name}" not found')
    one = life.containers.get(container)
    if one is None or one.phase != "running":
        return _missing(f'container not found ("{container}")')
    if verb == "attach":
        return commands.upgraded(request, lambda: tools.runtime.attach(one.id), attach=True)
    argv = tuple(value for key, value in request.query if key == "command")
    if not argv:
        return Response(400, {"content-type": "text/plain"}, b"you must specify at least 1 command\n")
    wanted = commands.wanted_of(request)
    return commands.upgraded(
        request, lambda: tools.runtime.exec(one.id, argv, tty=wanted.tty, stdin=wanted.stdin), attach=False
    )


async def _connect(tools: Equipment, life: Life, port: int) -> ports.Connection:
    """A connection to a port of the pod on its own localhost. Raises OSError."""
    netns = tools.config.root / "sandboxes" / life.pod.metadata.uid / "ns" / "net"
    if life.pod.spec.hostNetwork or not netns.exists():
        address = "127.0.0.1" if life.pod.spec.hostNetwork or not life.ips else life.ips[0]
        return await asyncio.open_connection(address, port)
    loop = asyncio.get_running_loop()
    connected = await loop.run_in_executor(None, in_thread, lambda: _dial(netns, port))
    return await asyncio.open_connection(sock=connected)


def _dial(netns: Path, port: int) -> socket.socket:
    with netns.open() as namespace:
        syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNET)
    connected = socket.create_connection(("127.0.0.1", port), _CONNECT_SECONDS)
    connected.setblocking(False)
    return connected


def _missing(text: str) -> Response:
    return Response(404, {"content-type": "text/plain"}, text.encode() + b"\n")
