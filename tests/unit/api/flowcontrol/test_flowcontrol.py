from typing import Any

import pytest

from mizzen.api.flowcontrol.flowschema import FLOW_SCHEMA
from mizzen.api.flowcontrol.prioritylevelconfiguration import PRIORITY_LEVEL_CONFIGURATION as LEVEL

from ..written import causes, cells, written


def schema(*rules: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"priorityLevelConfiguration": {"name": "low"}, "rules": list(rules), **spec}}


def limited(**queuing: int) -> dict[str, Any]:
    return {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue", "queuing": queuing}}}}


def test_a_schema_matches_late_unless_it_says_when() -> None:
    assert written(FLOW_SCHEMA, schema())["spec"]["matchingPrecedence"] == 1000
    assert causes(FLOW_SCHEMA, schema(matchingPrecedence=1)) == {("spec.matchingPrecedence", "Invalid")}


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ({"subjects": [{"kind": "User"}]}, ("spec.rules[0].subjects[0].user", "Required")),
        (
            {"subjects": [{"kind": "Group", "group": {"name": "g"}, "user": {"name": "u"}}]},
            ("spec.rules[0].subjects[0].user", "Forbidden"),
        ),
        (
            {"resourceRules": [{"verbs": ["get", "*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True}]},
            ("spec.rules[0].resourceRules[0].verbs", "Invalid"),
        ),
        (
            {"resourceRules": [{"verbs": ["get"], "apiGroups": ["*"], "resources": ["*"]}]},
            ("spec.rules[0].resourceRules[0].namespaces", "Required"),
        ),
        (
            {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["healthz"]}]},
            ("spec.rules[0].nonResourceRules[0].nonResourceURLs[0]", "Invalid"),
        ),
    ],
)
def test_what_a_rule_may_not_say(rule: dict[str, Any], cause: tuple[str, str]) -> None:
    assert cause in causes(FLOW_SCHEMA, schema(rule))


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ({"nonResourceRules": [{"verbs": ["*", "dance"], "nonResourceURLs": ["/"]}]}, ("verbs", "Invalid")),
        ({"nonResourceRules": [{"verbs": ["dance"], "nonResourceURLs": ["/"]}]}, ("verbs", "NotSupported")),
        ({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["*", "x"]}]}, ("nonResourceURLs", "Invalid")),
        ({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a b"]}]}, ("nonResourceURLs[0]", "Invalid")),
        ({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": [""]}]}, ("nonResourceURLs[0]", "Invalid")),
    ],
)
def test_beside_a_star_nothing_else_is_judged(rule: dict[str, Any], cause: tuple[str, str]) -> None:
    everybody = rule | {"subjects": [{"kind": "Group", "group": {"name": "g"}}]}
    where = "spec.rules[0].nonResourceRules[0]"
    assert causes(FLOW_SCHEMA, schema(everybody)) == {(f"{where}.{cause[0]}", cause[1])}


def test_a_level_gets_shares_and_queues() -> None:
    settings = written(LEVEL, limited())["spec"]["limited"]
    assert (settings["nominalConcurrencyShares"], settings["lendablePercent"]) == (30, 0)
    assert settings["limitResponse"]["queuing"] == {"queues": 64, "handSize": 8, "queueLengthLimit": 50}


def test_a_hand_is_no_larger_than_the_deck_and_not_too_dear_to_deal() -> None:
    path = "spec.limited.limitResponse.queuing.handSize"
    assert causes(LEVEL, limited(queues=4, handSize=5)) == {(path, "Invalid")}
    assert causes(LEVEL, limited(queues=4096, handSize=10)) == {(path, "Invalid")}
    assert causes(LEVEL, limited(queues=512, handSize=6)) == set()


def test_a_level_is_either_exempt_or_limited() -> None:
    both = {"spec": {"type": "Exempt", "limited": {"limitResponse": {"type": "Reject"}}}}
    assert causes(LEVEL, both) == {("spec.limited", "Forbidden")}
    assert written(LEVEL, {"spec": {"type": "Exempt"}})["spec"]["exempt"] == {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
    }


def test_columns_of_flow_control() -> None:
    row = cells(LEVEL, limited())
    assert [row[column] for column in ("NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit")] == [
        30,
        64,
        8,
        50,
    ]
    exempt = cells(LEVEL, {"spec": {"type": "Exempt"}})
    assert (exempt["NominalConcurrencyShares"], exempt["Queues"]) == ("<none>", "<none>")
    missing = {"status": {"conditions": [{"type": "Dangling", "status": "True"}]}}
    assert cells(FLOW_SCHEMA, schema() | missing)["MissingPL"] == "True"


def test_what_is_always_there_stays_as_it_is() -> None:
    catch_all = written(LEVEL, {"metadata": {"name": "catch-all"}, **limited()})
    assert causes(LEVEL, {"metadata": {"name": "catch-all"}, **limited(queues=9)}, catch_all) == {("spec", "Invalid")}
    exempt = written(LEVEL, {"metadata": {"name": "exempt"}, "spec": {"type": "Exempt"}})
    lending = {"metadata": {"name": "exempt"}, "spec": {"type": "Exempt", "exempt": {"lendablePercent": 50}}}
    assert causes(LEVEL, lending, exempt) == set()
    old = written(FLOW_SCHEMA, {"metadata": {"name": "catch-all"}, **schema(matchingPrecedence=9)})
    assert causes(FLOW_SCHEMA, {"metadata": {"name": "catch-all"}, **schema(matchingPrecedence=8)}, old) == {
        ("spec", "Invalid")
    }
