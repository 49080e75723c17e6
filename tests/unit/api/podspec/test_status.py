"""What a status may say of containers that had ended."""

import pytest

from mizzen.api.podspec.status import status_errors
from mizzen.machinery.errors import Object


def _pod(state: Object, action: str = "", code: int = 42) -> Object:
    rule = {"action": action, "exitCodes": {"operator": "In", "values": [code]}}
    one = {"name": "c", "restartPolicy": "Never", **({"restartPolicyRules": [rule]} if action else {})}
    status = {"phase": "Running", "containerStatuses": [{"name": "c", "state": state}]}
    return {"spec": {"restartPolicy": "Always", "containers": [one]}, "status": status}


@pytest.mark.parametrize(
    ("action", "code", "allowed"),
    [("", 42, False), ("Restart", 42, True), ("Restart", 7, False), ("RestartAllContainers", 7, True)],
)
def test_an_ended_container_runs_again_only_by_its_policy_or_a_rule(action: str, code: int, allowed: bool) -> None:
    ended = _pod({"terminated": {"exitCode": 42}}, action, code)
    running = _pod({"running": {}}, action, code)
    found = [error for error in status_errors(running, ended) if "non-terminated" in error.detail]
    assert (not found) is allowed
