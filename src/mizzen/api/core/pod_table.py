"""The table of pods: what state a pod is in, in one word, as kubectl users read it."""

from collections.abc import Sequence

from mizzen.api.columns import AGE, NAME, NONE, age, name, since
from mizzen.api.kind import Column, Table
from mizzen.machinery import times
from mizzen.machinery.errors import Object

_FINISHED = {
    "Succeeded": {
        "type": "Completed",
        "status": "True",
        "reason": "Succeeded",
        "message": "The pod has completed successfully.",
    },
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}
_LOST = "NodeLost"


class _Restarts:
    """How often containers were restarted, and when last."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, container: Object) -> None:
        self.count += container.get("restartCount") or 0
        ended = (container.get("lastState") or {}).get("terminated") or {}
        finished = ended.get("finishedAt") or ""
        if finished and (not self.last or times.parse(finished) > times.parse(self.last)):
            self.last = finished

    def cell(self, now: float) -> str:
        return f"{self.count} ({since(self.last, now)} ago)" if self.count and self.last else str(self.count)


def row(pod: Object, now: float) -> list[object]:
    spec, status = pod["spec"], pod.get("status") or {}
    total = len(spec.get("containers") or ())
    side_cars = {
        container.get("name")
        for container in spec.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    total += len(side_cars)
    reason, ready, restarts = _state(pod, side_cars)
    gates = spec.get("readinessGates") or ()
    conditions = {one.get("type"): one.get("status") for one in status.get("conditions") or ()}
    passed = sum(conditions.get(gate.get("conditionType")) == "True" for gate in gates)
    addresses = status.get("podIPs") or ()
    return [
        name(pod),
        f"{ready}/{total}",
        reason,
        restarts.cell(now),
        age(pod, now),
        (addresses[0].get("ip") if addresses else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{passed}/{len(gates)}" if gates else NONE,
    ]


def _state(pod: Object, side_cars: set[str | None]) -> tuple[str, int, _Restarts]:
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or ""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    restarts = _Restarts()
    initializing, ready = False, 0
    side_car_restarts = _Restarts()
    for i, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts.add(container)
        is_side_car = container.get("name") in side_cars
        if is_side_car:
            side_car_restarts.add(container)
        if not (word := _init_state(pod, container, i, is_side_car)):
            ready += is_side_car and bool(container.get("ready"))
            continue
        reason, initializing = word, True
        break
    if not initializing or _is_initialized(status):
        restarts = side_car_restarts
        running = False
        for container in reversed(status.get("containerStatuses") or ()):
            restarts.add(container)
            word = _container_state(container)
            reason = word or reason
            if not word and container.get("ready") and (container.get("state") or {}).get("running") is not None:
                running = True
                ready += 1
        if reason == "Completed" and running:
            reason = "Running" if _is_true(status, "Ready") else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == _LOST:
            reason = "Unknown"
        elif status.get("phase") not in {"Failed", "Succeeded"}:
            reason = "Terminating"
    return reason, ready, restarts


def _init_state(pod: Object, container: Object, i: int, is_side_car: bool) -> str:
    """The word for a pod that waits for this init container; nothing when it is past it."""
    state = container.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting")
    if ended is not None and not ended.get("exitCode"):
        return ""
    if is_side_car and container.get("started"):
        return ""
    if ended is not None:
        if ended.get("reason"):
            return f"Init:{ended['reason']}"
        return f"Init:Signal:{ended['signal']}" if ended.get("signal") else f"Init:ExitCode:{ended['exitCode']}"
    if waiting is not None and waiting.get("reason") not in {None, "", "PodInitializing"}:
        return f"Init:{waiting['reason']}"
    return f"Init:{i}/{len(pod['spec'].get('initContainers') or ())}"


def _container_state(container: Object) -> str:
    """The word for a container that waits or ended; nothing while it runs."""
    state = container.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting is not None and waiting.get("reason"):
        return str(waiting["reason"])
    if ended is not None:
        if ended.get("reason"):
            return str(ended["reason"])
        return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode') or 0}"
    return ""


def _is_initialized(status: Object) -> bool:
    return _is_true(status, "Initialized")


def _is_true(status: Object, condition: str) -> bool:
    return any(one.get("type") == condition and one.get("status") == "True" for one in status.get("conditions") or ())


def conditions(pod: Object) -> Sequence[Object]:
    """Finished pods are marked, so that kubectl can leave them out."""
    finished = _FINISHED.get((pod.get("status") or {}).get("phase") or "")
    return (finished,) if finished else ()


TABLE = Table(
    columns=(
        NAME,
        Column("Ready"),
        Column("Status"),
        Column("Restarts"),
        AGE,
        Column("IP", priority=1),
        Column("Node", priority=1),
        Column("Nominated Node", priority=1),
        Column("Readiness Gates", priority=1),
    ),
    row=row,
    conditions=conditions,
)
