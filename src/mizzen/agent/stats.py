"""Usage as metrics-server, the HPA and `kubectl top` read it: the summary and the resource metrics.

Ref: https://kubernetes.io/docs/reference/instrumentation/node-metrics/
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mizzen.agent import machineinfo
from mizzen.agent.life import Life
from mizzen.agent.runtime.base import Usage
from mizzen.machinery import times


def summary(
    node: str, lives: Iterable[Life], usage: Mapping[str, Usage], machine: "Machine", rates: "Rates", now: float
) -> dict[str, Any]:
    """The body of /stats/summary."""
    stamp = times.format(now)
    rates.keep((*usage, ""))
    speed = {key: rates.of(key, used.cpu_seconds, now) for key, used in usage.items()}
    return {
        "node": {
            "nodeName": node,
            "startTime": times.format(machine.started_at),
            "cpu": _cpu(machine.usage, stamp, rates.of("", machine.usage.cpu_seconds, now)),
            "memory": {**_memory(machine.usage, stamp), "availableBytes": machine.pressure.memory_available},
            "fs": {
                "time": stamp,
                "availableBytes": machine.pressure.disk_available,
                "capacityBytes": machine.pressure.disk_size,
                "usedBytes": machine.pressure.disk_size - machine.pressure.disk_available,
                "inodesFree": machine.pressure.inodes_free,
                "inodes": machine.pressure.inodes,
                "inodesUsed": machine.pressure.inodes - machine.pressure.inodes_free,
            },
            "rlimit": {"time": stamp, "maxpid": machine.pressure.pids, "curproc": machine.pressure.pids_used},
        },
        "pods": [_pod(life, usage, speed, stamp) for life in lives if life.sandbox == "open"],
    }


def add_volumes(body: dict[str, Any], volumes: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Add to a summary how full the volumes are, by the uid of their pods."""
    for pod in body["pods"]:
        if found := volumes.get(pod["podRef"]["uid"]):
            pod["volume"] = list(found)


class Machine:
    """The machine as a whole; CPU from /proc/stat, memory in bytes."""

    def __init__(self, pressure: machineinfo.Pressure, usage: Usage, started_at: float, memory: int = 0) -> None:
        self.pressure = pressure
        self.usage = usage
        self.started_at = started_at
        self.memory = memory


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


def _pod(life: Life, usage: Mapping[str, Usage], speed: Mapping[str, int | None], stamp: str) -> dict[str, Any]:
    meta = life.pod.metadata
    whole = usage.get(f"pod/{meta.uid}", Usage())
    containers = [
        {
            "name": one.name,
            "startTime": times.format(one.started_at),
            "cpu": _cpu(usage[one.id], stamp, speed[one.id]),
            "memory": _memory(usage[one.id], stamp),
            "rootfs": {"time": stamp, "usedBytes": usage[one.id].root_fs_bytes},
        }
        for one in life.containers.values()
        if one.phase == "running" and one.id in usage
    ]
    return {
        "podRef": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
        "startTime": times.format(life.started_at),
        "containers": containers,
        "cpu": _cpu(whole, stamp, speed.get(f"pod/{meta.uid}")),
        "memory": _memory(whole, stamp),
        "process_stats": {"process_count": whole.pids},
    }


def _cpu(usage: Usage, stamp: str, rate: int | None) -> dict[str, Any]:
    shown = {"time": stamp, "usageCoreNanoSeconds": int(usage.cpu_seconds * 1e9)}
    return shown if rate is None else {**shown, "usageNanoCores": rate}


def _memory(usage: Usage, stamp: str) -> dict[str, Any]:
    return {
        "time": stamp,
        "usageBytes": usage.memory_bytes,
        "workingSetBytes": usage.working_set_bytes,
        "rssBytes": usage.rss_bytes,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_page_faults,
    }


def resource_metrics(lives: Iterable[Life], usage: Mapping[str, Usage], machine: Machine, now: float) -> str:
    """The body of /metrics/resource, in the Prometheus text format."""
    stamp = int(now * 1000)
    lines: dict[str, list[str]] = {name: [] for name, _, _ in _METRICS}
    lines["node_cpu_usage_seconds_total"].append(f" {machine.usage.cpu_seconds} {stamp}")
    lines["node_memory_working_set_bytes"].append(f" {machine.usage.working_set_bytes} {stamp}")
    for life in lives:
        meta = life.pod.metadata
        place = f'namespace="{meta.namespace}",pod="{meta.name}"'
        whole = usage.get(f"pod/{meta.uid}")
        if whole is not None:
            lines["pod_cpu_usage_seconds_total"].append(f"{{{place}}} {whole.cpu_seconds} {stamp}")
            lines["pod_memory_working_set_bytes"].append(f"{{{place}}} {whole.working_set_bytes} {stamp}")
        for one in life.containers.values():
            used = usage.get(one.id)
            if one.phase != "running" or used is None:
                continue
            labels = f'{{container="{one.name}",{place}}}'
            lines["container_cpu_usage_seconds_total"].append(f"{labels} {used.cpu_seconds} {stamp}")
            lines["container_memory_working_set_bytes"].append(f"{labels} {used.working_set_bytes} {stamp}")
            lines["container_start_time_seconds"].append(f"{labels} {one.started_at}")
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
    ("node_cpu_usage_seconds_total", "counter", "Cumulative CPU time of the node in core-seconds"),
    ("node_memory_working_set_bytes", "gauge", "Working set of the node in bytes"),
    ("pod_cpu_usage_seconds_total", "counter", "Cumulative CPU time of the pod in core-seconds"),
    ("pod_memory_working_set_bytes", "gauge", "Working set of the pod in bytes"),
    ("resource_scrape_error", "gauge", "1 if there was an error while getting the metrics, 0 otherwise"),
)
