"""ValidatingAdmissionPolicies are type-checked, and their status tells."""

from typing import Any

from tests.unit.server.conftest import Caller
from tests.unit.server.test_custom_resources import DEFINITIONS, definition

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


def policy(group: str = "apps", resource: str = "deployments", **spec: Any) -> dict[str, Any]:
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    return {"metadata": {"name": "p"}, "spec": {"matchConstraints": {"resourceRules": [rule]}, **spec}}


async def checked(api: Caller, body: dict[str, Any]) -> Any:
    status, made = await api.call("POST", POLICIES, body)
    assert status == 201, made
    since = made["metadata"]["resourceVersion"]
    [event] = await api.events(f"{POLICIES}?watch=1&resourceVersion={since}", 1)
    return event["object"]["status"]


async def test_a_policy_that_fits_is_checked_without_a_warning(api: Caller) -> None:
    status = await checked(api, policy(validations=[{"expression": "object.spec.replicas > 1"}]))
    assert status == {"observedGeneration": 1, "typeChecking": {}}


async def test_every_expression_that_does_not_fit_has_a_warning(api: Caller) -> None:
    confused = {
        "expression": "object.spec.replicas > '1'",
        "messageExpression": "'wants more, got ' + object.spec.replicas",
    }
    found = (await checked(api, policy(validations=[confused])))["typeChecking"]["expressionWarnings"]
    assert [one["fieldRef"] for one in found] == [
        "spec.validations[0].expression",
        "spec.validations[0].messageExpression",
    ]
    assert found[0]["warning"].startswith("apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload")
    assert "'_+_' applied to '(string, int)'" in found[1]["warning"]


async def test_custom_resources_have_types_too_and_wildcards_none(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    body = policy("ex.test", "kites", validations=[{"expression": "object.spec.size == 'big'"}])
    status = await checked(api, body)
    assert "'(int, string)'" in status["typeChecking"]["expressionWarnings"][0]["warning"]
    wild = policy("*", "deployments", validations=[{"expression": "object.spec.size == 'big'"}])
    wild["metadata"]["name"] = "wild"
    assert (await checked(api, wild))["typeChecking"] == {}
