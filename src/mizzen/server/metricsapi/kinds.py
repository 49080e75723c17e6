"""NodeMetrics and PodMetrics (metrics.k8s.io/v1beta1): read only, never stored.

Ref: https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/#metrics-api
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from mizzen.api.kind import Column, Kind, Table
from mizzen.machinery import quantity
from mizzen.machinery.errors import Object

GROUP: Final = "metrics.k8s.io"
VERSION: Final = "v1beta1"
_COLUMNS: Final = (
    Column("Name", format="name", description="Name of the resource"),
    Column("cpu", format="quantity"),
    Column("memory", format="quantity"),
    Column("Window", format="duration"),
)


def _row(usages: Callable[[Object], Iterable[Object]]) -> Callable[[Object, float], Sequence[Any]]:
    def row(metrics: Object, _now: float) -> Sequence[Any]:
        return (metrics["metadata"]["name"], *_sums(usages(metrics)), metrics["window"])

    return row


def _sums(usages: Iterable[Object]) -> tuple[str, str]:
    cpu, memory = quantity.ZERO, quantity.ZERO
    for usage in usages:
        cpu = cpu.plus(quantity.parse(usage["cpu"]))
        memory = memory.plus(quantity.parse(usage["memory"]))
    return str(cpu), str(memory)


NODE_METRICS: Final = Kind(
    group=GROUP,
    version=VERSION,
    kind="NodeMetrics",
    plural="nodes",
    namespaced=False,
    verbs=("get", "list"),
    table=Table(_COLUMNS, _row(lambda metrics: (metrics["usage"],))),
)
POD_METRICS: Final = Kind(
    group=GROUP,
    version=VERSION,
    kind="PodMetrics",
    plural="pods",
    namespaced=True,
    verbs=("get", "list"),
    table=Table(_COLUMNS, _row(lambda metrics: [one["usage"] for one in metrics["containers"]])),
)
