"""What the agent counts of its own work, under the names that dashboards know.

Ref: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from mizzen.agent import life
from mizzen.agent.life import Happening, Instruction, Life
from mizzen.base import metrics
from mizzen.base.metrics import Histogram

_OPERATION_BOUNDS = tuple(round(0.005 * 2.5**step, 6) for step in range(14))
_STORAGE_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0)
_START_BOUNDS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_FAILED = (life.SetupFailed, life.StartFailed, life.StopFailed, life.CleanupFailed)


class Measures:
    """Filled by those who work, read by `lines`."""

    def __init__(self) -> None:
        self._operations: dict[str, Histogram] = {}
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._storage: dict[tuple[str, str], Histogram] = {}
        self._starts = Histogram(_START_BOUNDS)
        self._containers: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._evictions: Counter[str] = Counter()

    def carried_out(self, pod: Life, instruction: Instruction, event: Happening | None, seconds: float) -> None:
        """An instruction about a pod is done, well or not."""
        failed = isinstance(event, _FAILED)
        match instruction:
            case life.MountVolumes():
                self._stored("volume_mount", failed, seconds)
            case life.UnmountVolumes():
                self._stored("volume_unmount", failed, seconds)
            case life.OpenSandbox():
                self._operated("run_podsandbox", failed, seconds)
            case life.CloseSandbox():
                self._operated("stop_podsandbox", failed, seconds)
            case life.Start(container, _, _):
                self._operated("start_container", failed, seconds)
                kind = _KINDS[pod.containers[container.name].role]
                if isinstance(event, life.StartFailed):
                    self._refused[kind, event.reason] += 1
                else:
                    self._containers[kind] += 1
            case life.Stop():
                self._operated("stop_container", failed, seconds)
            case life.Discard():
                self._operated("remove_container", failed, seconds)
            case _:
                pass

    def pod_ran(self, seconds: float) -> None:
        """Every container of a pod has begun, so long after the pod was first seen."""
        self._starts.observe(seconds)

    def evicted(self, signal: str) -> None:
        """A pod went for what the node is short of."""
        self._evictions[signal] += 1

    def lines(self) -> Iterator[str]:
        """All of it in Prometheus' text format."""
        shown = {kind: metrics.labels({"operation_type": kind}) for kind in self._operations}
        name = "kubelet_runtime_operations"
        about = "Cumulative number of runtime operations by operation type."
        totals = [(shown[kind], count) for kind, count in self._done.items()]
        yield from metrics.family(f"{name}_total", "counter", about, totals)
        about = "Cumulative number of runtime operation errors by operation type."
        failed = [(shown[kind], count) for kind, count in self._failed.items()]
        yield from metrics.family(f"{name}_errors_total", "counter", about, failed)
        about = "Duration in seconds of runtime operations. Broken down by operation type."
        yield from metrics.head(f"{name}_duration_seconds", "histogram", about)
        for kind, one in self._operations.items():
            yield from one.lines(f"{name}_duration_seconds", shown[kind])
        yield from metrics.head("storage_operation_duration_seconds", "histogram", "Storage operation duration")
        for (operation, status), one in self._storage.items():
            told = metrics.labels({"migrated": "false", "operation_name": operation, "status": status})
            yield from one.lines("storage_operation_duration_seconds", told)
        name = "kubelet_pod_start_duration_seconds"
        about = "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run"
        yield from metrics.head(name, "histogram", about)
        yield from self._starts.lines(name, "")
        yield from self._counted()

    def _counted(self) -> Iterator[str]:
        containers = [(metrics.labels({"container_type": kind}), count) for kind, count in self._containers.items()]
        name, about = "kubelet_started_containers", "Cumulative number of containers started"
        yield from metrics.family(f"{name}_total", "counter", about, containers)
        refused = [
            (metrics.labels({"code": reason, "container_type": kind}), count)
            for (kind, reason), count in self._refused.items()
        ]
        about = "Cumulative number of errors when starting containers"
        yield from metrics.family(f"{name}_errors_total", "counter", about, refused)
        tried, bad = self._done["run_podsandbox"], self._failed["run_podsandbox"]
        about = "Cumulative number of pods started"
        yield from metrics.family("kubelet_started_pods_total", "counter", about, [("", tried - bad)])
        about = "Cumulative number of errors when starting pods"
        yield from metrics.family("kubelet_started_pods_errors_total", "counter", about, [("", bad)])
        gone = [(metrics.labels({"eviction_signal": signal}), count) for signal, count in self._evictions.items()]
        about = "Cumulative number of pod evictions by eviction signal"
        yield from metrics.family("kubelet_evictions", "counter", about, gone)

    def _operated(self, kind: str, failed: bool, seconds: float) -> None:
        self._operations.setdefault(kind, Histogram(_OPERATION_BOUNDS)).observe(seconds)
        self._done[kind] += 1
        self._failed[kind] += failed

    def _stored(self, operation: str, failed: bool, seconds: float) -> None:
        key = operation, "fail-unknown" if failed else "success"
        self._storage.setdefault(key, Histogram(_STORAGE_BOUNDS)).observe(seconds)


_KINDS = {
    "main": "container", "init": "init_container", "sidecar": "init_container", "ephemeral": "ephemeral_container",
}  # fmt: skip


def has_begun(one: Life) -> bool:
    """Whether every container of a pod's own has started at least once."""
    return all(each.begun for each in one.containers.values() if each.role == "main")


def requests(answers: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """What the API answered to this agent, by method and code."""
    samples = [
        (metrics.labels({"code": code, "method": method}), count) for (method, code), count in sorted(answers.items())
    ]
    about = "Number of HTTP requests, partitioned by status code and method."
    yield from metrics.family("rest_client_requests_total", "counter", about, samples)


def volumes(lives: Iterable[Life]) -> Iterator[str]:
    """How many volumes pods want and have, by their kind."""
    wanted: Counter[tuple[str, str]] = Counter()
    for one in lives:
        for volume in one.pod.spec.volumes or ():
            kind = next((name for name in volume.__struct_fields__[1:] if getattr(volume, name) is not None), "unknown")
            wanted[kind, "desired_state_of_world"] += one.ending is None and not one.over
            wanted[kind, "actual_state_of_world"] += one.volumes in {"mounted", "unmounting"}
    samples = [
        (metrics.labels({"plugin_name": f"kubernetes.io/{_PLUGINS.get(kind, kind)}", "state": state}), count)
        for (kind, state), count in sorted(wanted.items())
    ]
    yield from metrics.family("volume_manager_total_volumes", "gauge", "Number of volumes in Volume Manager", samples)


_PLUGINS = {
    "emptyDir": "empty-dir", "hostPath": "host-path", "configMap": "configmap", "downwardAPI": "downward-api",
    "persistentVolumeClaim": "persistent-claim",
}  # fmt: skip
