"""What probes and hooks do to a container: run a command, ask over HTTP, open a connection, call gRPC health."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from mizzen.agent import http
from mizzen.agent.runtime.base import Runtime, RuntimeFailure
from mizzen.api.views.podspec import Container, ExecAction, GrpcAction, HttpGet, TcpSocket
from mizzen.net.rpc import Channel, Refused
from mizzen.wire.protobuf import DecodeError, Schema

_OUTPUT_LIMIT = 10 << 10
_USER_AGENT = "kube-probe/1.37"
_HEALTH = Schema("HealthCheckRequest: service 1 string\nHealthCheckResponse: status 1 int")
"""Ref: https://github.com/grpc/grpc/blob/master/doc/health-checking.md"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an action went. `kind`: a warning is good but worth telling; an error says nothing of the container."""

    ok: bool
    output: str
    kind: Literal["plain", "warning", "error"] = "plain"


@dataclass(frozen=True, slots=True)
class Target:
    """The container an action is aimed at, by id and address."""

    container: Container
    id: str
    ip: str


async def run_command(runtime: Runtime, action: ExecAction, target: Target, timeout: float) -> Verdict:
    """Run a command in the container; its exit code is the verdict."""
    try:
        session = await runtime.exec(target.id, action.command or (), tty=False, stdin=False)
    except (RuntimeFailure, OSError) as error:
        return Verdict(False, str(error), "error")
    try:
        async with asyncio.timeout(timeout):
            out, err = await asyncio.gather(_drained(session, "stdout"), _drained(session, "stderr"))
            code = await session.wait()
    except TimeoutError:
        return Verdict(
            False, f'command timed out: "{" ".join(action.command or ())}" timed out after {_seconds(timeout)}'
        )
    finally:
        await session.close()
    return Verdict(code == 0, (out + err)[:_OUTPUT_LIMIT].decode("utf-8", "replace"))


async def _drained(session: object, stream: str) -> bytes:
    kept = bytearray()
    while chunk := await session.read(stream):  # type: ignore[attr-defined]
        kept += chunk[: _OUTPUT_LIMIT - len(kept)]
    return bytes(kept)


async def get(action: HttpGet, target: Target, timeout: float, *, probe: bool = True) -> Verdict:
    """GET from the container; 200 to 399 is good, and redirects to other hosts count as good."""
    host = action.host or target.ip
    shown = f"[{host}]" if ":" in host else host
    scheme = (action.scheme or "HTTP").lower()
    port = port_number(target.container, action.port)
    path = action.path or "/"
    url = f"{scheme}://{shown}:{port}{path if path.startswith('/') else '/' + path}"
    headers = headers_of(action, _USER_AGENT if probe else "kube-lifecycle/1.37")
    try:
        async with asyncio.timeout(timeout):
            return await _followed(url, headers)
    except TimeoutError:
        return Verdict(
            False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        )
    except http.HttpFailure as error:
        return Verdict(False, f'Get "{url}": {_network_words(error, shown, port)}')


def headers_of(action: HttpGet, agent: str) -> dict[str, list[str]]:
    """The headers that an action names, each with all of its values; `Accept` and `User-Agent` without any go.

    Ref: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#http-probes
    """
    named: dict[str, list[str]] = {}
    for one in action.httpHeaders or ():
        named.setdefault(one.name.lower(), []).append(one.value or "")
    removed: dict[str, list[str]] = {name: [] for name in ("accept", "user-agent") if named.get(name, ["x"])[0] == ""}
    return {"accept": ["*/*"], "user-agent": [agent], **named, **removed}


async def _followed(url: str, headers: Mapping[str, Sequence[str]]) -> Verdict:
    first = urlsplit(url).hostname
    for _ in range(10):
        async with http.request("GET", url, headers, tls=http.unverified()) as answer:
            location = answer.headers.get("location", "")
            if answer.status in {301, 302, 303, 307, 308} and location:
                following = http.joined(url, location)
                if urlsplit(following).hostname != first:
                    body = (await answer.read(_OUTPUT_LIMIT)).decode("utf-8", "replace")
                    return Verdict(True, f"Probe terminated redirects, Response body: {body}", "warning")
                url = following
                continue
            if 200 <= answer.status < 400:
                return Verdict(True, "")
            return Verdict(False, f"HTTP probe failed with statuscode: {answer.status}")
    return Verdict(False, "stopped after 10 redirects")


def _network_words(error: BaseException, host: str, port: int) -> str:
    cause = error.__cause__
    if isinstance(cause, ConnectionRefusedError):
        return f"dial tcp {host}:{port}: connect: connection refused"
    return str(error)


async def connect(action: TcpSocket, target: Target, timeout: float) -> Verdict:
    """Open a connection and close it again."""
    host, port = action.host or target.ip, port_number(target.container, action.port)
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Verdict(False, f"dial tcp {host}:{port}: i/o timeout")
    except ConnectionRefusedError:
        return Verdict(False, f"dial tcp {host}:{port}: connect: connection refused")
    except OSError as error:
        return Verdict(False, f"dial tcp {host}:{port}: {error}")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Verdict(True, "")


async def grpc_health(action: GrpcAction, target: Target, timeout: float) -> Verdict:
    """Call grpc.health.v1.Health/Check; SERVING is good."""
    request = _HEALTH.encode("HealthCheckRequest", {"service": action.service or ""})
    channel = Channel(target.ip, action.port)
    try:
        answer = await channel.call("/grpc.health.v1.Health/Check", request, patience=timeout)
        status = _HEALTH.decode("HealthCheckResponse", answer)["status"]
    except DecodeError:
        return Verdict(False, "error: health rpc probe failed")
    except Refused as error:
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        return Verdict(False, _grpc_words(error.code, error.message, f"{host}:{action.port}", timeout))
    finally:
        await channel.close()
    if status == 1:
        return Verdict(True, "service healthy")
    names = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
    return Verdict(False, f'service unhealthy (responded with "{names.get(status, status)}")')


def _grpc_words(code: str, details: str, address: str, timeout: float) -> str:
    """How a health check that got no answer is told."""
    match code:
        case "DEADLINE_EXCEEDED":
            return f"timeout: health rpc did not complete within {_seconds(timeout)}"
        case "UNAVAILABLE":
            return f'error: failed to connect service at "{address}": {details}'
        case "UNIMPLEMENTED":
            protocol = "the grpc health protocol (grpc.health.v1.Health)"
            return f"error: this server does not implement {protocol}: {details}"
    return "error: health rpc probe failed"


def port_number(container: Container, port: int | str) -> int:
    """A port by number, or by the name that one of the container's ports has; 0 for an unknown name."""
    if isinstance(port, int):
        return port
    named = next((one.containerPort for one in container.ports or () if one.name == port), None)
    return named if named is not None else int(port) if port.isdigit() else 0


def _seconds(value: float) -> str:
    return f"{value:g}s"
