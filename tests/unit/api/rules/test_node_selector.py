from typing import Any

import pytest

from mizzen.api.rules import node_selector

from ..written import found


@pytest.mark.parametrize(
    ("requirement", "cause"),
    [
        ({"key": "a", "operator": "In"}, ("values", "Required")),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, ("values", "Forbidden")),
        ({"key": "a", "operator": "Gt", "values": ["1", "2"]}, ("values", "Required")),
        ({"key": "a", "operator": "Like", "values": ["b"]}, ("operator", "Invalid")),
        ({"key": "a b", "operator": "Exists"}, ("key", "Invalid")),
    ],
)
def test_what_a_requirement_may_not_say(requirement: dict[str, Any], cause: tuple[str, str]) -> None:
    field, reason = cause
    selector = {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}
    path = f"p.nodeSelectorTerms[0].matchExpressions[0].{field}"
    assert found(node_selector.errors("p", selector)) == {(path, reason)}


def test_fields_select_one_node_by_name() -> None:
    def by(**requirement: Any) -> set[tuple[str, str]]:
        return found(node_selector.errors("p", {"nodeSelectorTerms": [{"matchFields": [requirement]}]}))

    path = "p.nodeSelectorTerms[0].matchFields[0]"
    assert by(key="metadata.name", operator="In", values=["n"]) == set()
    assert by(key="metadata.name", operator="In", values=["n", "m"]) == {(f"{path}.values", "Required")}
    assert by(key="spec.x", operator="Exists") == {(f"{path}.key", "Invalid"), (f"{path}.operator", "Invalid")}
