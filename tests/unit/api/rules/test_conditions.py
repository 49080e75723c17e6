from mizzen.api.rules.conditions import condition_errors

from ..written import found

GOOD = {
    "type": "Ready",
    "status": "True",
    "reason": "Fine",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def test_a_condition_tells_what_when_and_why() -> None:
    assert found(condition_errors("c", [GOOD])) == set()
    assert found(condition_errors("c", [{"type": "a b", "status": "Maybe"}])) == {
        ("c[0].type", "Invalid"),
        ("c[0].status", "NotSupported"),
        ("c[0].reason", "Required"),
        ("c[0].lastTransitionTime", "Required"),
    }


def test_a_type_stands_once_and_a_reason_is_a_word() -> None:
    wrong = {**GOOD, "reason": "not a word"}
    assert found(condition_errors("c", [GOOD, wrong])) == {("c[1].type", "Duplicate"), ("c[1].reason", "Invalid")}
