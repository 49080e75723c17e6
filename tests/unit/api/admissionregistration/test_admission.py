from typing import Any

import pytest

from mizzen.api.admissionregistration.mutatingadmissionpolicy import MUTATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.mutatingadmissionpolicybinding import MUTATING_ADMISSION_POLICY_BINDING
from mizzen.api.admissionregistration.mutatingwebhookconfiguration import MUTATING_WEBHOOK_CONFIGURATION
from mizzen.api.admissionregistration.validatingadmissionpolicy import VALIDATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.validatingadmissionpolicybinding import VALIDATING_ADMISSION_POLICY_BINDING
from mizzen.api.admissionregistration.validatingwebhookconfiguration import VALIDATING_WEBHOOK_CONFIGURATION

from ..written import causes, cells, written

RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}


def hooks(**given: Any) -> dict[str, Any]:
    hook = {
        "name": "check.acme.test",
        "clientConfig": {"service": {"name": "s", "namespace": "n"}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "rules": [RULE],
    }
    return {"webhooks": [hook | given]}


def policy(**spec: Any) -> dict[str, Any]:
    base = {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "object.spec.replicas < 5"}]}
    return {"metadata": {"name": "p.acme.test"}, "spec": base | spec}


def test_a_webhook_fails_closed_within_ten_seconds_for_everything_it_names() -> None:
    hook = written(MUTATING_WEBHOOK_CONFIGURATION, hooks())["webhooks"][0]
    assert (hook["failurePolicy"], hook["timeoutSeconds"], hook["matchPolicy"]) == ("Fail", 10, "Equivalent")
    assert (hook["namespaceSelector"], hook["objectSelector"], hook["reinvocationPolicy"]) == ({}, {}, "Never")
    assert hook["rules"][0]["scope"] == "*"
    assert hook["clientConfig"]["service"]["port"] == 443


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"clientConfig": {"url": "https://a@b.test/"}}, ("webhooks[0].clientConfig.url", "Invalid")),
        ({"clientConfig": {"url": "https://b.test/?x=1#y"}}, ("webhooks[0].clientConfig.url", "Invalid")),
        (
            {"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "a//b"}}},
            ("webhooks[0].clientConfig.service.path", "Invalid"),
        ),
        ({"rules": [RULE | {"resources": ["*/*", "pods"]}]}, ("webhooks[0].rules[0].resources", "Invalid")),
        ({"rules": [RULE | {"resources": ["pods/*", "pods/log"]}]}, ("webhooks[0].rules[0].resources[1]", "Invalid")),
        ({"rules": [RULE | {"apiGroups": ["*", "apps"]}]}, ("webhooks[0].rules[0].apiGroups", "Invalid")),
        ({"sideEffects": "Some"}, ("webhooks[0].sideEffects", "NotSupported")),
        ({"failurePolicy": "Shrug"}, ("webhooks[0].failurePolicy", "NotSupported")),
        (
            {"matchConditions": [{"name": "c", "expression": "1"}]},
            ("webhooks[0].matchConditions[0].expression", "Invalid"),
        ),
        (
            {"matchConditions": [{"name": "c", "expression": "true"}, {"name": "c", "expression": "true"}]},
            ("webhooks[0].matchConditions[1].name", "Duplicate"),
        ),
    ],
)
def test_what_a_webhook_may_not_say(given: dict[str, Any], cause: tuple[str, str]) -> None:
    assert causes(VALIDATING_WEBHOOK_CONFIGURATION, hooks(**given)) == {cause}


def test_a_policy_is_checked_down_to_its_expressions() -> None:
    assert causes(VALIDATING_ADMISSION_POLICY, policy()) == set()
    bad = policy(
        validations=[{"expression": "object.spec ==", "messageExpression": "1 + 1", "reason": "Whim"}],
        variables=[{"name": "in", "expression": "1"}],
        auditAnnotations=[{"key": "k", "valueExpression": ""}],
        failurePolicy="Shrug",
    )
    assert causes(VALIDATING_ADMISSION_POLICY, bad) == {
        ("spec.validations[0].expression", "Invalid"),
        ("spec.validations[0].messageExpression", "Invalid"),
        ("spec.validations[0].reason", "NotSupported"),
        ("spec.variables[0].name", "Invalid"),
        ("spec.auditAnnotations[0].valueExpression", "Required"),
        ("spec.failurePolicy", "NotSupported"),
    }


def test_expressions_know_params_only_with_a_kind_of_param() -> None:
    asks = {"validations": [{"expression": "object.spec.replicas < params.limit"}]}
    assert causes(VALIDATING_ADMISSION_POLICY, policy(**asks)) == {("spec.validations[0].expression", "Invalid")}
    kind = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
    assert causes(VALIDATING_ADMISSION_POLICY, policy(**asks, **kind)) == set()


def test_functions_of_the_server_are_no_mistakes() -> None:
    asks = {"validations": [{"expression": "quantity(object.spec.size).isLessThan(quantity('1Gi'))"}]}
    assert causes(VALIDATING_ADMISSION_POLICY, policy(**asks)) == set()


def test_a_policy_needs_rules_and_something_to_do() -> None:
    empty = {"spec": {"matchConstraints": {}}}
    assert causes(VALIDATING_ADMISSION_POLICY, empty) == {
        ("spec.matchConstraints.resourceRules", "Required"),
        ("spec.validations", "Required"),
        ("spec.auditAnnotations", "Required"),
    }


def test_a_validation_of_several_lines_needs_no_message() -> None:
    several = {"validations": [{"expression": "object.spec.replicas < 5 &&\nobject.spec.replicas > 1", "message": ""}]}
    assert causes(VALIDATING_ADMISSION_POLICY, policy(**several)) == set()


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"validations": [{"expression": "true", "message": " "}]}, ("validations[0].message", "Invalid")),
        ({"validations": [{"expression": "true", "message": "a\rb"}]}, ("validations[0].message", "Invalid")),
        (
            {"validations": [{"expression": "true", "messageExpression": " "}]},
            ("validations[0].messageExpression", "Invalid"),
        ),
        (
            {"validations": [{"expression": "true", "messageExpression": "string(authorizer)"}]},
            ("validations[0].messageExpression", "Invalid"),
        ),
        (
            {"auditAnnotations": [{"key": "k", "valueExpression": "1 + 1"}]},
            ("auditAnnotations[0].valueExpression", "Invalid"),
        ),
        (
            {"auditAnnotations": [{"key": "k", "valueExpression": f"'{'x' * 5200}'"}]},
            ("auditAnnotations[0].valueExpression", "Required"),
        ),
        ({"auditAnnotations": [{"valueExpression": "'x'"}]}, ("auditAnnotations[0].key", "Invalid")),
        ({"paramKind": {"apiVersion": "Acme/v1", "kind": "A"}}, ("paramKind.apiVersion", "Invalid")),
        ({"paramKind": {"apiVersion": "acme/", "kind": "A"}}, ("paramKind.apiVersion", "Invalid")),
        ({"paramKind": {"apiVersion": "v1", "kind": "A_"}}, ("paramKind.kind", "Invalid")),
        (
            {"matchConditions": [{"name": "c", "expression": "variables.a"}]},
            ("matchConditions[0].expression", "Invalid"),
        ),
        ({"variables": [{"name": "while", "expression": "1"}]}, ("variables[0].name", "Invalid")),
    ],
)
def test_what_a_policy_may_not_say(given: dict[str, Any], cause: tuple[str, str]) -> None:
    assert causes(VALIDATING_ADMISSION_POLICY, policy(**given)) == {(f"spec.{cause[0]}", cause[1])}


def test_expressions_know_what_a_request_has_and_what_was_declared_before_them() -> None:
    first, second = {"name": "a", "expression": "1"}, {"name": "b", "expression": "variables.a + 1"}
    asks = [{"expression": "variables.b > 1 && request.userInfo.username != 'x' && request.kind.kind != ''"}]
    assert causes(VALIDATING_ADMISSION_POLICY, policy(variables=[first, second], validations=asks)) == set()
    assert causes(VALIDATING_ADMISSION_POLICY, policy(variables=[second, first], validations=asks)) == {
        ("spec.variables[0].expression", "Invalid")
    }
    for expression in ("variables.c > 1", "request.userInfo.name == 'x'", "request.mood == 'good'"):
        unknown = policy(variables=[first], validations=[{"expression": expression}])
        assert causes(VALIDATING_ADMISSION_POLICY, unknown) == {("spec.validations[0].expression", "Invalid")}
    condition = {"matchConditions": [{"name": "c", "expression": "request.mood == 'good'"}]}
    assert causes(VALIDATING_WEBHOOK_CONFIGURATION, hooks(**condition)) == {
        ("webhooks[0].matchConditions[0].expression", "Invalid")
    }


def test_audit_annotations_are_texts_or_nothing() -> None:
    for expression in ("'a' + 'b'", "null", "object.metadata.name"):
        noted = {"auditAnnotations": [{"key": "k", "valueExpression": expression}]}
        assert causes(VALIDATING_ADMISSION_POLICY, policy(**noted)) == set()


def test_connections_may_be_mutated_and_a_star_stands_for_all_but_deletion() -> None:
    for operation in ("CONNECT", "*"):
        content = {
            "spec": {
                "matchConstraints": {"resourceRules": [RULE | {"operations": [operation]}]},
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
            }
        }
        assert causes(MUTATING_ADMISSION_POLICY, content) == set()


def test_a_webhook_without_a_service_name_hears_of_the_namespace() -> None:
    nameless = hooks(clientConfig={"service": {"namespace": "n"}})
    where = "webhooks[0].clientConfig.service"
    assert causes(VALIDATING_WEBHOOK_CONFIGURATION, nameless) == {(f"{where}.namespace", "Required")}
    homeless = hooks(clientConfig={"service": {"name": "s"}})
    assert causes(VALIDATING_WEBHOOK_CONFIGURATION, homeless) == {(f"{where}.name", "Required")}


def test_a_star_after_other_resources_is_no_mistake() -> None:
    last = hooks(rules=[RULE | {"resources": ["pods", "*"]}])
    assert causes(VALIDATING_WEBHOOK_CONFIGURATION, last) == set()
    first = hooks(rules=[RULE | {"resources": ["*", "pods"]}])
    assert causes(VALIDATING_WEBHOOK_CONFIGURATION, first) == {("webhooks[0].rules[0].resources", "Invalid")}


def test_a_mutation_says_how_it_changes() -> None:
    content = {
        "spec": {
            "matchConstraints": {"resourceRules": [RULE | {"operations": ["DELETE"]}]},
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch"}, {"patchType": "Sed"}],
        }
    }
    assert causes(MUTATING_ADMISSION_POLICY, content) == {
        ("spec.matchConstraints.resourceRules[0].operations[0]", "Invalid"),
        ("spec.mutations[0].jsonPatch", "Required"),
        ("spec.mutations[1].patchType", "NotSupported"),
    }


def test_a_binding_names_a_policy_and_what_a_breach_does() -> None:
    bad = {
        "spec": {
            "policyName": "p",
            "validationActions": ["Deny", "Warn"],
            "paramRef": {"parameterNotFoundAction": "Deny"},
        }
    }
    both = {"name": "a", "selector": {}, "parameterNotFoundAction": "Allow"}
    assert causes(MUTATING_ADMISSION_POLICY_BINDING, {"spec": {"policyName": "p", "paramRef": both}}) == {
        ("spec.paramRef.name", "Forbidden"),
        ("spec.paramRef.selector", "Forbidden"),
    }
    assert causes(VALIDATING_ADMISSION_POLICY_BINDING, bad) == {
        ("spec.validationActions", "Invalid"),
        ("spec.paramRef", "Required"),
    }
    assert causes(MUTATING_ADMISSION_POLICY_BINDING, {"spec": {}}) == {("spec.policyName", "Required")}


def test_columns_of_policies() -> None:
    row = cells(VALIDATING_ADMISSION_POLICY, policy(paramKind={"apiVersion": "v1", "kind": "ConfigMap"}))
    assert (row["Validations"], row["ParamKind"]) == (1, "v1/ConfigMap")
    reference = {"spec": {"policyName": "p", "paramRef": {"name": "limits", "namespace": "n"}}}
    assert cells(MUTATING_ADMISSION_POLICY_BINDING, reference)["ParamRef"] == "n/limits"
    assert cells(VALIDATING_WEBHOOK_CONFIGURATION, hooks())["Webhooks"] == 1
