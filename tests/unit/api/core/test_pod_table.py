"""What state a pod is in, in one word."""

from typing import Any

from mizzen.api.core.pod import POD, graceful_seconds
from mizzen.machinery import times
from mizzen.machinery.errors import Object

NOW = times.parse("2026-01-01T01:00:00Z")


def _cells(status: Object, spec: Object | None = None, **metadata: Any) -> dict[str, object]:
    pod = {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z", **metadata},
        "spec": {"containers": [{"name": "a"}], **(spec or {})},
        "status": status,
    }
    assert POD.table
    columns = [column.name for column in POD.table.columns]
    return dict(zip(columns, POD.table.row(pod, NOW), strict=True))


def _status(name: str = "a", **fields: Any) -> Object:
    return {"name": name, "ready": False, "restartCount": 0, "state": {}, "lastState": {}, **fields}


def test_restarts_tell_when_the_last_one_was() -> None:
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:55:00Z"}}
    container = _status(ready=True, restartCount=3, state={"running": {}}, lastState=ended)
    cells = _cells({"phase": "Running", "containerStatuses": [container]})
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == ("1/1", "Running", "3 (5m ago)")


def test_a_side_car_counts_among_the_containers() -> None:
    spec = {"initContainers": [{"name": "s", "restartPolicy": "Always"}]}
    init = _status("s", ready=True, started=True, restartCount=2, state={"running": {}})
    container = _status(ready=True, state={"running": {}})
    cells = _cells({"phase": "Running", "initContainerStatuses": [init], "containerStatuses": [container]}, spec)
    assert (cells["Ready"], cells["Status"], cells["Restarts"]) == ("2/2", "Running", "2")


def test_a_pod_being_deleted_is_terminating_unless_its_node_is_lost() -> None:
    assert _cells({"phase": "Running"}, deletionTimestamp="2026-01-01T00:59:00Z")["Status"] == "Terminating"
    lost = {"phase": "Running", "reason": "NodeLost"}
    assert _cells(lost, deletionTimestamp="2026-01-01T00:59:00Z")["Status"] == "Unknown"


def test_one_completed_container_beside_a_running_one_is_not_ready() -> None:
    done = _status(state={"terminated": {"exitCode": 0, "reason": "Completed"}})
    running = _status("b", ready=True, state={"running": {}})
    status = {"phase": "Running", "containerStatuses": [done, running]}
    assert _cells(status)["Status"] == "NotReady"
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert _cells({**status, **ready})["Status"] == "Running"


def test_readiness_gates_show_how_many_have_passed() -> None:
    spec = {"readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    assert _cells({"conditions": [{"type": "a", "status": "True"}]}, spec)["Readiness Gates"] == "1/2"


def test_a_pod_on_no_node_ends_at_once() -> None:
    pod = {"spec": {"terminationGracePeriodSeconds": 30}, "status": {"phase": "Pending"}}
    assert graceful_seconds(pod, None) == 0


def test_a_running_pod_ends_in_its_own_time_or_as_asked() -> None:
    pod = {"spec": {"terminationGracePeriodSeconds": 30, "nodeName": "n"}, "status": {"phase": "Running"}}
    assert [graceful_seconds(pod, asked) for asked in (None, 5, 0, -7)] == [30, 5, 0, 1]


def test_a_finished_pod_ends_at_once() -> None:
    pod = {"spec": {"terminationGracePeriodSeconds": 30, "nodeName": "n"}, "status": {"phase": "Succeeded"}}
    assert graceful_seconds(pod, 5) == 0
