"""What the node answers over HTTP, streams apart: logs, pods, health, statistics, configuration.

Who may ask is decided before `handle` is called.
"""

import asyncio
import os
import re
import resource
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import orjson

from mizzen.agent import machineinfo, measures, pages
from mizzen.agent.diskusage import Disks
from mizzen.agent.equipment import Equipment
from mizzen.agent.exposition import agent_metrics, container_metrics, probe_metrics, volume_metrics
from mizzen.agent.life import ContainerLife, Life
from mizzen.agent.logs import LogOptions, read_log
from mizzen.agent.network import counters
from mizzen.agent.pods import Pods
from mizzen.agent.runtime.base import Usage
from mizzen.agent.runtime.consumption import stalls
from mizzen.agent.stats import Machine, Rates, Readings, add_volumes, only_cpu_and_memory, resource_metrics, summary
from mizzen.agent.volumes.usage import of_file_system
from mizzen.machinery import times
from mizzen.wire.message import Handle, Request, Response

_LOG = re.compile(r"/containerLogs/([^/]+)/([^/]+)/([^/]+)/?")


def handle(tools: Equipment, pods: Pods) -> Handle:
    """The node's answers as one function."""

    rates, disks = Rates(), Disks(tools)

    async def answer(request: Request) -> Response:
        path = request.path.rstrip("/") or "/"
        if match := _LOG.fullmatch(request.path):
            namespace, name, container = (unquote(part) for part in match.groups())
            return _logs(tools, pods, request, namespace=namespace, name=name, container=container)
        if path in {"/pods", "/runningpods"}:
            return _json(_pods(pods, only_running=path == "/runningpods"))
        if path == "/stats/summary":
            brief = request.parameter("only_cpu_and_memory") == "true"
            usage = await tools.runtime.stats()
            seen = Readings(usage, _machine(tools), {} if brief else await disks.of(pods))
            body = summary(tools.config.node_name, pods, seen, rates, tools.clock.now())
            if brief:
                return _json(only_cpu_and_memory(body))
            add_volumes(body, {life.pod.metadata.uid: await tools.volumes.usage(life.pod) for life in pods})
            return _json(body)
        if path == "/metrics/resource":
            usage = await tools.runtime.stats(brief=True)
            return _text(200, resource_metrics(pods, usage, _machine(tools), tools.clock.now()))
        if path == "/metrics/cadvisor":
            seen = Readings(await tools.runtime.stats(), _machine(tools), await disks.of(pods))
            return _text(200, container_metrics(pods, seen, machineinfo.cpus(), tools.clock.now()))
        if path == "/metrics/probes":
            return _text(200, probe_metrics(pods, pods.probes))
        if path == "/metrics":
            lines = [*pods.measures.lines(), *measures.volumes(pods), *measures.requests(tools.client.answers)]
            full = [volume for life in pods for volume in await tools.volumes.usage(life.pod)]
            own = agent_metrics(pods, tools.config.node_name, tools.config.version, _process(tools))
            return _text(200, own + volume_metrics(full) + "".join(f"{line}\n" for line in lines))
        if request.path == "/logs" or request.path.startswith("/logs/"):
            return await asyncio.to_thread(_files, tools.config.logs, request.path)
        if path in pages.PATHS:
            return pages.answer(tools.config, request, _process(tools).started_at, tools.clock.now())
        return _text(404, "404 page not found\n")

    return answer


def _logs(tools: Equipment, pods: Pods, request: Request, *, namespace: str, name: str, container: str) -> Response:
    life = pods.find(namespace, name)
    if life is None:
        return _text(404, f'pod "{name}" not found\n')
    one = life.containers.get(container)
    if one is None:
        return _text(404, f'container "{container}" not found in pod "{name}"\n')
    try:
        options = log_options(request, tools.clock.now())
    except ValueError as error:
        return _text(400, f"{error}\n")
    attempt = _attempt(one, previous=request.parameter("previous") in {"true", "1"})
    if attempt is None:
        which = "previous terminated " if request.parameter("previous") in {"true", "1"} else ""
        reason = _waiting_reason(pods, life, container)
        if which:
            return _text(400, f'previous terminated container "{container}" in pod "{name}" not found')
        return _text(400, f'container "{container}" in pod "{name}" is waiting to start: {reason}')

    def is_running() -> bool:
        now = pods.find(namespace, name)
        present = now.containers.get(container) if now is not None else None
        return present is not None and present.attempt == attempt and present.phase in {"running", "starting"}

    path = tools.log_path(life.pod, container, attempt)
    pieces = read_log(path, options, is_running, tools.clock)
    return Response(200, {"content-type": "text/plain"}, stream=pieces)


def _attempt(one: ContainerLife, *, previous: bool) -> int | None:
    """Which attempt's log is meant: the latest that ran, or the one before it."""
    if not one.begun and one.phase != "running":
        return None
    latest = one.attempt if one.phase in {"running", "exited"} else one.attempt - 1
    wanted = latest - 1 if previous else latest
    return wanted if wanted >= 0 else None


def _waiting_reason(pods: Pods, life: Life, container: str) -> str:
    status = pods.status(life.pod.metadata.uid)
    keys = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    entries = {entry["name"]: entry for key in keys for entry in status.get(key) or ()}
    state = entries.get(container, {}).get("state") or {}
    reason = (state.get("waiting") or {}).get("reason") or "ContainerCreating"
    return _PULLING.get(reason, reason)


_PULLING = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
"""What is said of a container whose image is missing, by its reason for waiting."""


def log_options(request: Request, now: float) -> LogOptions:
    """The query of a log request. Raises ValueError."""
    tail, limit = request.parameter("tailLines"), request.parameter("limitBytes")
    seconds, moment = request.parameter("sinceSeconds"), request.parameter("sinceTime")
    since = now - int(seconds) if seconds else times.parse(moment) if moment else None
    stream = request.parameter("stream")
    return LogOptions(
        follow=request.parameter("follow") in {"true", "1"},
        tail=int(tail) if tail else None,
        since=since,
        limit=int(limit) if limit else None,
        timestamps=request.parameter("timestamps") in {"true", "1"},
        stream={"Stdout": "stdout", "Stderr": "stderr"}.get(stream, ""),
    )


def _pods(pods: Pods, *, only_running: bool) -> dict[str, Any]:
    shown = []
    for life in pods:
        status = pods.status(life.pod.metadata.uid)
        if only_running and status["phase"] != "Running":
            continue
        body = msgspec.to_builtins(life.pod)
        shown.append({**body, "status": status})
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": shown}


def _machine(tools: Equipment) -> Machine:
    times_used = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    busy = sum(times_used) - times_used[3] - times_used[4]
    left = machineinfo.pressure(tools.config.root)
    used = machineinfo.memory() - left.memory_available
    usage = Usage(
        cpu_seconds=busy / 100, memory_bytes=used, working_set_bytes=used, rss_bytes=used,
        stalls=stalls({name: Path("/proc/pressure") / name for name in ("cpu", "memory", "io")}),
    )  # fmt: skip
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return Machine(
        left, usage, tools.clock.now() - uptime, machineinfo.memory(), swap=machineinfo.swap(),
        interfaces=counters.read(), images=_images(tools), agent=_process(tools),
    )  # fmt: skip


def _images(tools: Equipment) -> dict[str, int]:
    """The file system of the images, and what they take of it where that is known."""
    taken = tools.images.taken()
    own = {} if taken is None else {"usedBytes": taken.bytes, "inodesUsed": taken.inodes}
    return of_file_system(tools.images.disk()) | own


def _process(tools: Equipment) -> Usage:
    """What the agent itself takes."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    ticks, pages = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    started = tools.clock.now() - uptime + int(fields[19]) / ticks
    cpu = used.ru_utime + used.ru_stime
    rss = int(fields[21]) * pages
    return Usage(cpu_seconds=cpu, memory_bytes=rss, working_set_bytes=rss, rss_bytes=rss, started_at=started)


def _files(root: Path, path: str) -> Response:
    """The node's log files, and lists of them; nothing outside of their directory is shown."""
    if path == "/logs":
        return Response(301, {"location": "/logs/"}, b"")
    wanted = (root / unquote(path.removeprefix("/logs/"))).resolve()
    if not wanted.is_relative_to(root.resolve()) or not wanted.exists():
        return _text(404, "404 page not found\n")
    if not wanted.is_dir():
        return Response(200, {"content-type": "text/plain; charset=utf-8"}, wanted.read_bytes())
    names = sorted(f"{one.name}/" if one.is_dir() else one.name for one in wanted.iterdir())
    lines = "".join(f'<a href="{quote(name)}">{escape(name)}</a>\n' for name in names)
    page = f"<!doctype html>\n<pre>\n{lines}</pre>\n"
    return Response(200, {"content-type": "text/html; charset=utf-8"}, page.encode())


def _json(body: Any) -> Response:
    return Response(200, {"content-type": "application/json"}, orjson.dumps(body))


def _text(status: int, text: str) -> Response:
    return Response(status, {"content-type": "text/plain; charset=utf-8"}, text.encode())
