"""What a component tells people of itself at /statusz and /flagz: as text, or as an object to those who name its kind.

Ref: https://kubernetes.io/docs/reference/instrumentation/zpages/
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from mizzen.machinery import times
from mizzen.wire.message import Response

_GROUP: Final = "config.k8s.io"
_VERSIONS: Final = ("v1beta1", "v1alpha1")
_WARNING: Final = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees "
    "and is for debugging purposes only."
)


@dataclass(frozen=True, slots=True)
class Component:
    """A running component: the name it has in Kubernetes, when it began (seconds since the epoch), and its version."""

    name: str
    began: float
    version: str
    paths: tuple[str, ...] = ()
    """What else it serves to those who look for a fault."""


def statusz(accept: str, component: Component, now: float) -> Response:
    """The answer at /statusz; `accept` is the request's header."""
    up = max(0, int(now - component.began))
    emulated = ".".join(component.version.split(".")[:2])
    return _answer(
        accept,
        ("Statusz", component.name),
        {
            "startTime": times.format(component.began),
            "uptimeSeconds": up,
            "binaryVersion": component.version,
            "emulationVersion": emulated,
            "paths": sorted(component.paths),
        },
        (
            f"{component.name} statusz", _WARNING, "",
            f"Started: {datetime.fromtimestamp(component.began, UTC):%a %b %e %H:%M:%S UTC %Y}",
            f"Up: {up // 3600} hr {up // 60 % 60:02} min {up % 60:02} sec",
            f"Binary version: {component.version}",
            f"Emulation version: {emulated}",
            f"Paths: {' '.join(sorted(component.paths))}",
        ),
    )  # fmt: skip


def flagz(accept: str, component: str, flags: Mapping[str, str]) -> Response:
    """The answer at /flagz: what the component was started with."""
    lines = (f"{name}={value}" for name, value in sorted(flags.items()))
    text = (f"{component} flags", _WARNING, "", *lines)
    return _answer(accept, ("Flagz", component), {"flags": dict(sorted(flags.items()))}, text)


def _answer(accept: str, what: tuple[str, str], fields: Mapping[str, Any], text: Iterable[str]) -> Response:
    kind, name = what
    version = _wanted(accept, kind)
    if version is None:
        offered = ", ".join(f"application/json;v={one};g={_GROUP};as={kind}" for one in _VERSIONS)
        body = f"406: Not Acceptable\n\nAvailable representations: text/plain, {offered}\n"
        return Response(406, {"content-type": "text/plain; charset=utf-8"}, body.encode())
    if not version:
        body = "".join(f"{line}\n" for line in text)
        return Response(200, {"content-type": "text/plain; charset=utf-8"}, body.encode())
    told = {"kind": kind, "apiVersion": f"{_GROUP}/{version}", "metadata": {"name": name}, **fields}
    return Response(200, {"content-type": "application/json"}, orjson.dumps(told))


def _wanted(accept: str, kind: str) -> str | None:
    """The version of the object that is asked for; empty: text will do; None: nothing that there is."""
    for media, parameters in sorted(_clauses(accept or "*/*"), key=lambda one: -_quality(one[1])):
        if media in {"*/*", "text/*", "text/plain"}:
            return ""
        asked = (parameters.get("g"), parameters.get("as"))
        if media in {"application/json", "application/*"} and asked == (_GROUP, kind):
            version = parameters.get("v")
            if version in _VERSIONS:
                return version
    return None


def _clauses(accept: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for clause in accept.split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        yield media.lower(), dict(part.split("=", 1) for part in rest if "=" in part)


def _quality(parameters: Mapping[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 1.0
