"""What a node tells Prometheus beside /metrics/resource: its containers as cAdvisor names them, its probes, itself.

Pure: lives and usage in, text out.
Ref: https://kubernetes.io/docs/concepts/cluster-administration/system-metrics/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mizzen.agent.diskusage import PodDisk
from mizzen.agent.life import ContainerLife, Life
from mizzen.agent.network import counters
from mizzen.agent.network.counters import Interface
from mizzen.agent.resources import container_limits
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


def container_metrics(lives: Iterable[Life], seen: Readings, cores: int) -> str:
    """The body of /metrics/cadvisor."""
    usage, machine = seen.usage, seen.machine
    cpu = Family("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.")
    gauges = {name: Family(name, "gauge", meaning) for name, meaning in _GAUGES.items()}
    flows = {f"{way}_{what}": _flow(way, what) for way in _WAYS for what in _COUNTED}
    files = Family("container_fs_usage_bytes", "gauge", "Number of bytes that are consumed by the container.")
    families = [cpu, *gauges.values(), files, *flows.values()]
    whole = Family("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.")
    whole.add(machine.memory)
    number = Family("machine_cpu_cores", "gauge", "Number of logical CPU cores.")
    number.add(cores)
    _use(cpu, gauges, machine.usage, id="/")
    for interface in counters.of_node(machine.interfaces):
        _pass(flows, interface, id="/")
    for life in lives:
        meta = life.pod.metadata
        place = {"namespace": meta.namespace, "pod": meta.name}
        group = f"/kubepods/pod{meta.uid}"
        if (shared := usage.get(f"pod/{meta.uid}")) is not None:
            _use(cpu, gauges, shared, id=group, **place)
        if (link := counters.of_pod(machine.interfaces, meta.uid)) is not None:
            _pass(flows, link, id=group, **place)
        specs = {one.name: one for one in life.pod.spec.containers}
        for one in life.containers.values():
            used = usage.get(one.id)
            if one.phase != "running" or used is None:
                continue
            labels = {"container": one.name, "id": f"{group}/{one.id}", "image": one.image, "name": one.id, **place}
            _use(cpu, gauges, used, **labels)
            layer = seen.disks.get(meta.uid, PodDisk()).layers.get(one.name)
            if layer is not None:
                files.add(layer.bytes, **labels)
            gauges["container_start_time_seconds"].add(one.started_at, **labels)
            _bounds(gauges, life, one, specs.get(one.name), labels)
    return rendered([*families, number, whole])


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


_GAUGES = {
    "container_memory_usage_bytes": "Current memory usage in bytes, regardless of when it was accessed",
    "container_memory_working_set_bytes": "Current working set in bytes.",
    "container_memory_rss": "Size of RSS in bytes.",
    "container_processes": "Number of processes running inside the container.",
    "container_start_time_seconds": "Start time of the container since unix epoch in seconds.",
    "container_spec_cpu_quota": "CPU quota of the container.",
    "container_spec_cpu_period": "CPU period of the container.",
    "container_spec_cpu_shares": "CPU share of the container.",
    "container_spec_memory_limit_bytes": "Memory limit for the container.",
}


def _use(cpu: Family, gauges: Mapping[str, Family], used: Usage, **labels: str) -> None:
    cpu.add(used.cpu_seconds, cpu="total", **labels)
    gauges["container_memory_usage_bytes"].add(used.memory_bytes, **labels)
    gauges["container_memory_working_set_bytes"].add(used.working_set_bytes, **labels)
    gauges["container_memory_rss"].add(used.rss_bytes, **labels)
    if used.pids:
        gauges["container_processes"].add(used.pids, **labels)


def _bounds(
    gauges: Mapping[str, Family], life: Life, one: ContainerLife, spec: Container | None, labels: dict[str, str]
) -> None:
    if spec is None:
        return
    limits = container_limits(life.pod, spec, 0)
    gauges["container_spec_cpu_shares"].add(limits.cpu_shares, **labels)
    gauges["container_spec_memory_limit_bytes"].add(limits.memory, **labels)
    if limits.cpu_quota:
        gauges["container_spec_cpu_quota"].add(limits.cpu_quota, **labels)
        gauges["container_spec_cpu_period"].add(limits.cpu_period, **labels)


def agent_metrics(lives: Iterable[Life], node: str, process: Usage) -> str:
    """The body of /metrics: how many pods and containers there are, and what the agent itself takes."""
    pods = Family("kubelet_running_pods", "gauge", "Number of pods that have a running pod sandbox")
    containers = Family("kubelet_running_containers", "gauge", "Number of containers currently running")
    name = Family("kubelet_node_name", "gauge", "The node's name. The count is always 1.")
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
    return rendered((name, containers, pods, cpu, memory, started))


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
