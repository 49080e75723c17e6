"""What simulated nodes say about their load: the counters of /metrics/resource, computed from when pods started.

A pod uses what its stage says, or else what its containers request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mizzen.api.views.core import Container, Pod
from mizzen.cluster.stages import Stage, stage_of
from mizzen.machinery import quantity, times


@dataclass(slots=True)
class Meter:
    """One node's counters; the node's own adds up what its pods use between two readings."""

    stages: Sequence[Stage]
    seconds: float = 0.0
    read_at: float = 0.0

    def read(self, pods: Sequence[Pod], now: float) -> str:
        """The text in which a node with these pods reports its load."""
        alive = [pod for pod in pods if pod.status.phase == "Running"]
        cores = sum(_cores(pod, one, self.stages) for pod in alive for one in pod.spec.containers)
        memory = sum(_bytes(pod, one, self.stages) for pod in alive for one in pod.spec.containers)
        self.seconds += cores * (now - self.read_at if self.read_at else 0.0)
        self.read_at = now
        lines = [line for pod in alive for line in _of_pod(pod, self.stages, now)]
        lines += (f"node_cpu_usage_seconds_total {self.seconds:.6f}", f"node_memory_working_set_bytes {memory}")
        return "".join(f"{line}\n" for line in lines)


def _of_pod(pod: Pod, stages: Sequence[Stage], now: float) -> Iterator[str]:
    started = times.parse(pod.status.startTime) if pod.status.startTime else now
    for one in pod.spec.containers:
        labels = f'{{container="{one.name}",namespace="{pod.metadata.namespace}",pod="{pod.metadata.name}"}}'
        yield f"container_cpu_usage_seconds_total{labels} {_cores(pod, one, stages) * (now - started):.6f}"
        yield f"container_memory_working_set_bytes{labels} {_bytes(pod, one, stages)}"
        yield f"container_start_time_seconds{labels} {started}"


def _cores(pod: Pod, container: Container, stages: Sequence[Stage]) -> float:
    said = stage_of(pod, stages).cpu or str(container.resources.requests.get("cpu", "0"))
    return quantity.parse(said).milli / 1000


def _bytes(pod: Pod, container: Container, stages: Sequence[Stage]) -> int:
    said = stage_of(pod, stages).memory or str(container.resources.requests.get("memory", "0"))
    return quantity.parse(said).nanos // quantity.NANO
