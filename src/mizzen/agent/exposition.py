"""What a node tells Prometheus beside /metrics/resource: its containers as cAdvisor names them, its probes, itself.

Pure: lives and usage in, text out.
Ref: https://kubernetes.io/docs/concepts/cluster-administration/system-metrics/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mizzen.agent.diskusage import PodDisk
from mizzen.agent.life import ContainerLife, Life, all_containers
from mizzen.agent.network import counters
from mizzen.agent.network.counters import Interface
from mizzen.agent.resources import Size, container_limits
from mizzen.agent.runtime.base import Usage
from mizzen.agent.stats import Readings
from mizzen.api.views.podspec import Container

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Family:
    """One metric with its samples."""

    name: str
    kind: str
    meaning: str
    samples: list[tuple[Labels, float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """A sample; labels without a value are left out."""
        self.samples.append((tuple(sorted((name, text) for name, text in labels.items() if text)), value))


def rendered(families: Iterable[Family]) -> str:
    """The families that have samples, in the Prometheus text format."""
    lines: list[str] = []
    for one in families:
        if one.samples:
            lines += [f"# HELP {one.name} {one.meaning}", f"# TYPE {one.name} {one.kind}"]
            lines += [f"{one.name}{_labels(labels)} {_number(value)}" for labels, value in one.samples]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escapes = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}
    return "{" + ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def container_metrics(lives: Iterable[Life], seen: Readings, cores: int, now: float) -> str:
    """The body of /metrics/cadvisor."""
    usage, machine = seen.usage, seen.machine
    told = {name: Family(name, kind, meaning) for name, (kind, meaning) in {**_USES, **_FACTS, **_MACHINE}.items()}
    flows = {f"{way}_{what}": _flow(way, what) for way in _WAYS for what in _COUNTED}
    told["machine_memory_bytes"].add(machine.memory)
    told["machine_swap_bytes"].add(machine.swap[0])
    told["machine_cpu_cores"].add(cores)
    _use(told, machine.usage, id="/")
    for interface in counters.of_node(machine.interfaces):
        _pass(flows, interface, id="/")
    for life in lives:
        meta = life.pod.metadata
        place = {"namespace": meta.namespace, "pod": meta.name}
        group = f"/kubepods/pod{meta.uid}"
        if (shared := usage.get(f"pod/{meta.uid}")) is not None:
            _use(told, shared, id=group, **place)
        if (link := counters.of_pod(machine.interfaces, meta.uid)) is not None:
            _pass(flows, link, id=group, **place)
        specs = {one.name: one for one in all_containers(life.pod)}
        for one in life.containers.values():
            used = usage.get(one.id)
            if one.phase != "running" or used is None:
                continue
            labels = {"container": one.name, "id": f"{group}/{one.id}", "image": one.image, "name": one.id, **place}
            _use(told, used, **labels)
            layer = seen.disks.get(meta.uid, PodDisk()).layers.get(one.name)
            if layer is not None:
                told["container_fs_usage_bytes"].add(layer.bytes, **labels)
                told["container_fs_limit_bytes"].add(machine.pressure.disk_size, **labels)
            told["container_start_time_seconds"].add(one.started_at, **labels)
            told["container_last_seen"].add(now, **labels)
            _bounds(told, life, specs.get(one.name), labels)
    return rendered([*told.values(), *flows.values()])


_WAYS = {"receive": "received", "transmit": "sent"}
_COUNTED = {"bytes": "bytes", "packets": "packets", "errors": "errors", "packets_dropped": "dropped"}
_MEANINGS = {"bytes": "bytes", "packets": "packets", "errors": "errors met", "packets_dropped": "packets dropped"}


def _flow(way: str, what: str) -> Family:
    doing = {"receive": "receiving", "transmit": "transmitting"}[way]
    meaning = f"Cumulative count of {_MEANINGS[what]} while {doing}."
    return Family(f"container_network_{way}_{what}_total", "counter", meaning)


def _pass(flows: Mapping[str, Family], interface: Interface, **labels: str) -> None:
    for way, side in _WAYS.items():
        for what, field_name in _COUNTED.items():
            count = getattr(getattr(interface, side), field_name)
            flows[f"{way}_{what}"].add(count, interface=interface.name, **labels)


_Described = Mapping[str, tuple[str, str]]
_USES: _Described = {
    "container_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed in seconds."),
    "container_cpu_user_seconds_total": ("counter", "Cumulative user cpu time consumed in seconds."),
    "container_cpu_system_seconds_total": ("counter", "Cumulative system cpu time consumed in seconds."),
    "container_cpu_cfs_periods_total": ("counter", "Number of elapsed enforcement period intervals."),
    "container_cpu_cfs_throttled_periods_total": ("counter", "Number of throttled period intervals."),
    "container_cpu_cfs_throttled_seconds_total": ("counter", "Total time duration the container has been throttled."),
    "container_memory_usage_bytes": ("gauge", "Current memory usage in bytes, regardless of when it was accessed"),
    "container_memory_working_set_bytes": ("gauge", "Current working set in bytes."),
    "container_memory_rss": ("gauge", "Size of RSS in bytes."),
    "container_memory_cache": ("gauge", "Number of bytes of page cache memory."),
    "container_memory_mapped_file": ("gauge", "Size of memory mapped files in bytes."),
    "container_memory_swap": ("gauge", "Container swap usage in bytes."),
    "container_memory_max_usage_bytes": ("gauge", "Maximum memory usage recorded in bytes"),
    "container_memory_failcnt": ("counter", "Number of memory usage hits limits"),
    "container_oom_events_total": ("counter", "Count of out of memory events observed for the container"),
    "container_processes": ("gauge", "Number of processes running inside the container."),
    "container_fs_reads_total": ("counter", "Cumulative count of reads completed"),
    "container_fs_writes_total": ("counter", "Cumulative count of writes completed"),
    "container_fs_reads_bytes_total": ("counter", "Cumulative count of bytes read"),
    "container_fs_writes_bytes_total": ("counter", "Cumulative count of bytes written"),
    **{
        f"container_pressure_{resource}_{doing}_seconds_total": (
            "counter", f"Total time duration {who} in the container have {been} due to {resource} congestion.",
        )
        for resource in ("cpu", "memory", "io")
        for doing, who, been in (("waiting", "tasks", "waited"), ("stalled", "no tasks", "made progress"))
    },
}  # fmt: skip
_FACTS: _Described = {
    "container_fs_usage_bytes": ("gauge", "Number of bytes that are consumed by the container."),
    "container_fs_limit_bytes": ("gauge", "Number of bytes that can be consumed by the container."),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds."),
    "container_last_seen": ("gauge", "Last time a container was seen by the exporter"),
    "container_spec_cpu_quota": ("gauge", "CPU quota of the container."),
    "container_spec_cpu_period": ("gauge", "CPU period of the container."),
    "container_spec_cpu_shares": ("gauge", "CPU share of the container."),
    "container_spec_memory_limit_bytes": ("gauge", "Memory limit for the container."),
}
_MACHINE: _Described = {
    "machine_cpu_cores": ("gauge", "Number of logical CPU cores."),
    "machine_memory_bytes": ("gauge", "Amount of memory installed on the machine."),
    "machine_swap_bytes": ("gauge", "Amount of swap memory available on the machine."),
}


def _use(told: Mapping[str, Family], used: Usage, **labels: str) -> None:
    told["container_cpu_usage_seconds_total"].add(used.cpu_seconds, cpu="total", **labels)
    plain = {
        "container_cpu_user_seconds_total": used.cpu_user_seconds,
        "container_cpu_system_seconds_total": used.cpu_system_seconds,
        "container_memory_usage_bytes": used.memory_bytes,
        "container_memory_working_set_bytes": used.working_set_bytes,
        "container_memory_rss": used.rss_bytes,
        "container_memory_cache": used.cache_bytes,
        "container_memory_mapped_file": used.mapped_bytes,
        "container_memory_swap": used.swap_bytes,
        "container_memory_max_usage_bytes": used.most_bytes,
        "container_memory_failcnt": used.limit_hits,
        "container_oom_events_total": used.oom_kills,
    }
    for name, value in plain.items():
        told[name].add(value, **labels)
    if used.pids:
        told["container_processes"].add(used.pids, **labels)
    if used.periods:
        told["container_cpu_cfs_periods_total"].add(used.periods, **labels)
        told["container_cpu_cfs_throttled_periods_total"].add(used.throttled_periods, **labels)
        told["container_cpu_cfs_throttled_seconds_total"].add(used.throttled_seconds, **labels)
    for device, passed in used.transfers.items():
        told["container_fs_reads_total"].add(passed.reads, device=device, **labels)
        told["container_fs_writes_total"].add(passed.writes, device=device, **labels)
        told["container_fs_reads_bytes_total"].add(passed.read_bytes, device=device, **labels)
        told["container_fs_writes_bytes_total"].add(passed.written_bytes, device=device, **labels)
    for resource, stall in used.stalls.items():
        told[f"container_pressure_{resource}_waiting_seconds_total"].add(stall.some.seconds, **labels)
        told[f"container_pressure_{resource}_stalled_seconds_total"].add(stall.full.seconds, **labels)


def _bounds(told: Mapping[str, Family], life: Life, spec: Container | None, labels: dict[str, str]) -> None:
    if spec is None:
        return
    limits = container_limits(life.pod, spec, Size())
    told["container_spec_cpu_shares"].add(limits.cpu_shares, **labels)
    told["container_spec_memory_limit_bytes"].add(limits.memory, **labels)
    if limits.cpu_quota:
        told["container_spec_cpu_quota"].add(limits.cpu_quota, **labels)
        told["container_spec_cpu_period"].add(limits.cpu_period, **labels)


def volume_metrics(volumes: Iterable[Mapping[str, Any]]) -> str:
    """How full the volumes of claims are; of one that several pods use once. Entries are those of the summary."""
    told = {key: Family(f"kubelet_volume_stats_{name}", "gauge", meaning) for key, name, meaning in _VOLUME_STATS}
    known: set[tuple[str, str]] = set()
    for volume in volumes:
        claim = volume["pvcRef"]["namespace"], volume["pvcRef"]["name"]
        if claim in known:
            continue
        known.add(claim)
        for key, family in told.items():
            if key in volume:
                family.add(volume[key], namespace=claim[0], persistentvolumeclaim=claim[1])
    return rendered(told.values())


_VOLUME_STATS = (
    ("availableBytes", "available_bytes", "Number of available bytes in the volume"),
    ("capacityBytes", "capacity_bytes", "Capacity in bytes of the volume"),
    ("inodes", "inodes", "Maximum number of inodes in the volume"),
    ("inodesFree", "inodes_free", "Number of free inodes in the volume"),
    ("inodesUsed", "inodes_used", "Number of used inodes in the volume"),
    ("usedBytes", "used_bytes", "Number of used bytes in the volume"),
)


def agent_metrics(lives: Iterable[Life], node: str, version: str, process: Usage) -> str:
    """The body of /metrics: how many pods and containers there are, and what the agent itself takes."""
    pods = Family("kubelet_running_pods", "gauge", "Number of pods that have a running pod sandbox")
    containers = Family("kubelet_running_containers", "gauge", "Number of containers currently running")
    name = Family("kubelet_node_name", "gauge", "The node's name. The count is always 1.")
    build = Family("kubernetes_build_info", "gauge", "What this was built as; the value is always 1.")
    major, _, rest = version.removeprefix("v").partition(".")
    build.add(1, git_version=version, major=major, minor=rest.partition(".")[0])
    started = Family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
    memory = Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
    cpu = Family("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.")
    seen = list(lives)
    states = [_state(one) for life in seen for one in life.containers.values()]
    pods.add(sum(life.sandbox == "open" for life in seen))
    for state in ("created", "exited", "running"):
        if state in states:
            containers.add(states.count(state), container_state=state)
    name.add(1, node=node)
    started.add(process.started_at)
    memory.add(process.rss_bytes)
    cpu.add(process.cpu_seconds)
    return rendered((build, name, containers, pods, cpu, memory, started))


def _state(one: ContainerLife) -> str:
    return {"starting": "created", "exited": "exited", "running": "running"}.get(one.phase, "")


ProbeKey = tuple[str, str, str]
"""Pod uid, container, type of probe."""


def probe_metrics(lives: Iterable[Life], tallies: Mapping[tuple[ProbeKey, str], int]) -> str:
    """The body of /metrics/probes; `tallies` counts by probe and result."""
    total = Family(
        "prober_probe_total",
        "counter",
        "Cumulative number of a liveness, readiness or startup probe for a container by result.",
    )
    known = {life.pod.metadata.uid: life.pod.metadata for life in lives}
    for ((uid, container, kind), result), count in sorted(tallies.items()):
        if (meta := known.get(uid)) is not None:
            total.add(
                count, container=container, namespace=meta.namespace, pod=meta.name, pod_uid=uid,
                probe_type=kind.capitalize(), result=result,
            )  # fmt: skip
    return rendered((total,))
