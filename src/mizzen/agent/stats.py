"""Usage as metrics-server, the HPA and `kubectl top` read it: the summary and the resource metrics.

Ref: https://kubernetes.io/docs/reference/instrumentation/node-metrics/
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mizzen.agent import machineinfo
from mizzen.agent.diskusage import PodDisk
from mizzen.agent.life import ContainerLife, Life, all_containers
from mizzen.agent.network import counters
from mizzen.agent.network.counters import Interface
from mizzen.agent.resources import Size, container_limits, pod_limits
from mizzen.agent.runtime.base import Share, Usage, Used
from mizzen.machinery import times

_NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as a whole; CPU from /proc/stat, memory in bytes, network interfaces by name."""

    pressure: machineinfo.Pressure
    usage: Usage
    started_at: float
    memory: int = 0
    swap: tuple[int, int] = (0, 0)
    """Bytes there are, and bytes in use."""
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    """The file system of the images, in the words of the summary."""
    agent: Usage = _NOTHING


@dataclass(frozen=True, slots=True)
class Readings:
    """What has been measured: usage by container id and by `pod/UID`, the machine, the pods' disks by uid."""

    usage: Mapping[str, Usage]
    machine: Machine
    disks: Mapping[str, PodDisk] = field(default_factory=dict)


def summary(node: str, lives: Iterable[Life], seen: Readings, rates: "Rates", now: float) -> dict[str, Any]:
    """The body of /stats/summary."""
    usage, machine = seen.usage, seen.machine
    stamp = times.format(now)
    shown = [life for life in lives if life.sandbox == "open"]
    every = {**usage, _NODE: machine.usage, _AGENT: machine.agent, _PODS: _together(shown, usage)}
    rates.keep(every)
    speed = {key: rates.of(key, used.cpu_seconds, now) for key, used in every.items()}
    systems = [
        {
            "name": name, "startTime": times.format(every[key].started_at or machine.started_at),
            "cpu": _cpu(every[key], stamp, speed[key]), "memory": _memory(every[key], stamp),
        }
        for name, key in (("kubelet", _AGENT), ("pods", _PODS))
    ]  # fmt: skip
    shape = _machine(machine, stamp, speed[_NODE])
    return {
        "node": {"nodeName": node, **shape, "systemContainers": systems},
        "pods": [_pod(life, seen, speed, stamp) for life in shown],
    }


_NODE, _AGENT, _PODS = "node/", "agent/", "pods/"
"""Keys beside those of containers and pods."""


def _machine(machine: Machine, stamp: str, speed: int | None) -> dict[str, Any]:
    left, (swap, swapped) = machine.pressure, machine.swap
    disk = Used(left.disk_size - left.disk_available, left.inodes - left.inodes_free)
    images = {"time": stamp, **machine.images}
    return {
        "startTime": times.format(machine.started_at),
        "cpu": _cpu(machine.usage, stamp, speed),
        "memory": {**_memory(machine.usage, stamp), "availableBytes": left.memory_available},
        **_network(counters.of_node(machine.interfaces), stamp),
        **_io(machine.usage, stamp),
        "fs": _used(_file_system(left, stamp), disk),
        "runtime": {"imageFs": images, "containerFs": images},
        "rlimit": {"time": stamp, "maxpid": left.pids, "curproc": left.pids_used},
        "swap": {"time": stamp, "swapAvailableBytes": swap - swapped, "swapUsageBytes": swapped},
    }


def _together(lives: Iterable[Life], usage: Mapping[str, Usage]) -> Usage:
    parts = [usage.get(f"pod/{life.pod.metadata.uid}", Usage()) for life in lives]
    return Usage(
        cpu_seconds=sum(one.cpu_seconds for one in parts),
        memory_bytes=sum(one.memory_bytes for one in parts),
        working_set_bytes=sum(one.working_set_bytes for one in parts),
        rss_bytes=sum(one.rss_bytes for one in parts),
        page_faults=sum(one.page_faults for one in parts),
        major_page_faults=sum(one.major_page_faults for one in parts),
    )


def only_cpu_and_memory(body: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without everything else, for those who ask often."""
    node = {key: body["node"][key] for key in ("nodeName", "systemContainers", "startTime", "cpu", "memory")}
    pods = []
    for pod in body["pods"]:
        containers = [{key: one[key] for key in ("name", "startTime", "cpu", "memory")} for one in pod["containers"]]
        pods.append({**{key: pod[key] for key in ("podRef", "startTime", "cpu", "memory")}, "containers": containers})
    return {"node": node, "pods": pods}


def add_volumes(body: dict[str, Any], volumes: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Add to a summary how full the volumes are, by the uid of their pods."""
    for pod in body["pods"]:
        if found := volumes.get(pod["podRef"]["uid"]):
            pod["volume"] = [*pod.get("volume", ()), *found]


class Rates:
    """How fast CPU time is used, from one look to the next."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float, int | None]] = {}

    def of(self, key: str, cpu_seconds: float, now: float) -> int | None:
        """Nanoseconds of CPU a second since the look before; None at the first."""
        at, used, rate = self._seen.get(key, (now, cpu_seconds, None))
        if now - at >= 1.0:
            rate = max(0, int((cpu_seconds - used) / (now - at) * 1e9))
            self._seen[key] = (now, cpu_seconds, rate)
        elif key not in self._seen:
            self._seen[key] = (now, cpu_seconds, None)
        return rate

    def keep(self, keys: Iterable[str]) -> None:
        """Forget everything else."""
        kept = set(keys)
        self._seen = {key: seen for key, seen in self._seen.items() if key in kept}


def _pod(life: Life, seen: Readings, speed: Mapping[str, int | None], stamp: str) -> dict[str, Any]:
    meta = life.pod.metadata
    whole = seen.usage.get(f"pod/{meta.uid}", Usage())
    disk, files = seen.disks.get(meta.uid, PodDisk()), _file_system(seen.machine.pressure, stamp)
    link = counters.of_pod(seen.machine.interfaces, meta.uid)
    running = [one for one in life.containers.values() if one.phase == "running" and one.id in seen.usage]
    most = {one.name: container_limits(life.pod, one, Size()).memory for one in all_containers(life.pod)}
    body = {
        "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "startTime": times.format(life.started_at),
        "containers": [
            {
                **_container(one, seen.usage[one.id], speed[one.id], disk, files),
                "memory": _memory(seen.usage[one.id], stamp, most.get(one.name, 0)),
            }
            for one in running
        ],
        "cpu": _cpu(whole, stamp, speed.get(f"pod/{meta.uid}")),
        "memory": _memory(whole, stamp, pod_limits(life.pod, 0, Size()).memory),
        **_io(whole, stamp),
        **(_network((link,), stamp) if link is not None else {}),
        "ephemeral-storage": _used(files, disk.total),
        "process_stats": {"process_count": whole.pids},
        "swap": {"time": stamp, "swapUsageBytes": whole.swap_bytes},
    }
    volumes = [{"name": name, **_used(files, used)} for name, used in disk.empty_dirs.items()]
    return {**body, "volume": volumes} if volumes else body


def _container(
    one: ContainerLife, used: Usage, speed: int | None, disk: PodDisk, files: Mapping[str, Any]
) -> dict[str, Any]:
    stamp = files["time"]
    return {
        "name": one.name,
        "startTime": times.format(one.started_at),
        "cpu": _cpu(used, stamp, speed),
        **_io(used, stamp),
        "rootfs": _used(files, disk.layers.get(one.name, Used())),
        "logs": _used(files, disk.logs.get(one.name, Used())),
        "swap": {"time": stamp, "swapUsageBytes": used.swap_bytes},
    }


def _file_system(pressure: machineinfo.Pressure, stamp: str) -> dict[str, Any]:
    return {
        "time": stamp,
        "availableBytes": pressure.disk_available,
        "capacityBytes": pressure.disk_size,
        "inodesFree": pressure.inodes_free,
        "inodes": pressure.inodes,
    }


def _used(files: Mapping[str, Any], used: Used) -> dict[str, Any]:
    return {**files, "usedBytes": used.bytes, "inodesUsed": used.inodes}


def _network(interfaces: Sequence[Interface], stamp: str) -> dict[str, Any]:
    """The first interface counts as the default one."""
    if not interfaces:
        return {}
    shown = [
        {
            "name": one.name, "rxBytes": one.received.bytes, "rxErrors": one.received.errors,
            "txBytes": one.sent.bytes, "txErrors": one.sent.errors,
        }
        for one in interfaces
    ]  # fmt: skip
    return {"network": {"time": stamp, **shown[0], "interfaces": shown}}


def _cpu(usage: Usage, stamp: str, rate: int | None) -> dict[str, Any]:
    shown = {"time": stamp, "usageCoreNanoSeconds": int(usage.cpu_seconds * 1e9), **_stall(usage, "cpu")}
    return shown if rate is None else {**shown, "usageNanoCores": rate}


def _memory(usage: Usage, stamp: str, limit: int = 0) -> dict[str, Any]:
    """Memory in bytes; how much is left, where there is a limit."""
    return {
        "time": stamp,
        **({"availableBytes": max(0, limit - usage.working_set_bytes)} if limit else {}),
        "usageBytes": usage.memory_bytes,
        "workingSetBytes": usage.working_set_bytes,
        "rssBytes": usage.rss_bytes,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_page_faults,
        **_stall(usage, "memory"),
    }


def _io(usage: Usage, stamp: str) -> dict[str, Any]:
    told = _stall(usage, "io")
    return {"io": {"time": stamp, **told}} if told else {}


def _stall(usage: Usage, resource: str) -> dict[str, Any]:
    """How long tasks had to wait for a resource; the total is in nanoseconds."""
    stall = usage.stalls.get(resource)
    if stall is None:
        return {}

    def shown(one: Share) -> dict[str, float]:
        total = round(one.seconds * 1e9)
        return {"total": total, "avg10": one.last_10, "avg60": one.last_60, "avg300": one.last_300}

    return {"psi": {"full": shown(stall.full), "some": shown(stall.some)}}


def resource_metrics(lives: Iterable[Life], usage: Mapping[str, Usage], machine: Machine, now: float) -> str:
    """The body of /metrics/resource, in the Prometheus text format."""
    stamp = int(now * 1000)
    lines: dict[str, list[str]] = {name: [] for name, _, _ in _METRICS}
    lines["node_cpu_usage_seconds_total"].append(f" {machine.usage.cpu_seconds} {stamp}")
    lines["node_memory_working_set_bytes"].append(f" {machine.usage.working_set_bytes} {stamp}")
    lines["node_swap_usage_bytes"].append(f" {machine.swap[1]} {stamp}")
    for life in lives:
        meta = life.pod.metadata
        place = f'namespace="{meta.namespace}",pod="{meta.name}"'
        whole = usage.get(f"pod/{meta.uid}")
        if whole is not None:
            lines["pod_cpu_usage_seconds_total"].append(f"{{{place}}} {whole.cpu_seconds} {stamp}")
            lines["pod_memory_working_set_bytes"].append(f"{{{place}}} {whole.working_set_bytes} {stamp}")
            lines["pod_swap_usage_bytes"].append(f"{{{place}}} {whole.swap_bytes} {stamp}")
        for one in life.containers.values():
            used = usage.get(one.id)
            if one.phase != "running" or used is None:
                continue
            labels = f'{{container="{one.name}",{place}}}'
            lines["container_cpu_usage_seconds_total"].append(f"{labels} {used.cpu_seconds} {stamp}")
            lines["container_memory_working_set_bytes"].append(f"{labels} {used.working_set_bytes} {stamp}")
            lines["container_start_time_seconds"].append(f"{labels} {one.started_at}")
            lines["container_swap_usage_bytes"].append(f"{labels} {used.swap_bytes} {stamp}")
    lines["resource_scrape_error"].append(" 0")
    text = []
    for name, kind, meaning in _METRICS:
        if lines[name]:
            text += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *(name + line for line in lines[name])]
    return "\n".join(text) + "\n"


_METRICS = (
    ("container_cpu_usage_seconds_total", "counter", "Cumulative CPU time of the container in core-seconds"),
    ("container_memory_working_set_bytes", "gauge", "Working set of the container in bytes"),
    ("container_start_time_seconds", "gauge", "Start time of the container since the epoch in seconds"),
    ("container_swap_usage_bytes", "gauge", "Swap usage of the container in bytes"),
    ("node_cpu_usage_seconds_total", "counter", "Cumulative CPU time of the node in core-seconds"),
    ("node_memory_working_set_bytes", "gauge", "Working set of the node in bytes"),
    ("node_swap_usage_bytes", "gauge", "Swap usage of the node in bytes"),
    ("pod_cpu_usage_seconds_total", "counter", "Cumulative CPU time of the pod in core-seconds"),
    ("pod_memory_working_set_bytes", "gauge", "Working set of the pod in bytes"),
    ("pod_swap_usage_bytes", "gauge", "Swap usage of the pod in bytes"),
    ("resource_scrape_error", "gauge", "1 if there was an error while getting the metrics, 0 otherwise"),
)
