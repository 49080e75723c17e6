import re

import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.admissionregistration.mutatingadmissionpolicy import MUTATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.mutatingadmissionpolicybinding import MUTATING_ADMISSION_POLICY_BINDING
from mizzen.api.admissionregistration.validatingadmissionpolicy import VALIDATING_ADMISSION_POLICY
from mizzen.api.admissionregistration.validatingadmissionpolicybinding import VALIDATING_ADMISSION_POLICY_BINDING
from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.secret import SECRET
from mizzen.machinery.cel import CelError
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server.admission import matching
from mizzen.server.admission.matching import Context
from mizzen.server.admission.policies.mutating import MutatingAdmissionPolicy
from mizzen.server.admission.policies.validating import ValidatingAdmissionPolicy
from mizzen.server.authz.chain import Superusers
from mizzen.server.seams import Admission

RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}]


def _reader(kinds, spec: Object, binding: Object | None = None) -> FakeReader:  # type: ignore[no-untyped-def]
    policy_kind, binding_kind = kinds
    policy = {"kind": policy_kind.kind, **made("p", spec={"matchConstraints": {"resourceRules": RULES}, **spec})}
    bound = made("b", spec={"policyName": "p", **(binding or {})})
    namespace = made("shop", labels={"env": "prod"})
    return FakeReader((NAMESPACE, namespace), (policy_kind, policy), (binding_kind, bound))


def _create(name: str = "settings", groups: tuple[str, ...] = (), **content: object) -> Admission:
    obj = {"kind": "ConfigMap", "apiVersion": "v1", **made(name, "shop", **content)}
    return Admission("CREATE", CONFIG_MAP, "", "shop", name, Identity("ann", groups=groups), obj, None)


def _validates(spec: Object, binding: Object | None = None, admission: Admission | None = None, *extra) -> Admission:  # type: ignore[no-untyped-def]
    kinds = VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING
    reader = _reader(kinds, spec, binding)
    for kind, obj in extra:
        reader.put(kind, obj)
    admission = admission or _create()
    ValidatingAdmissionPolicy(Context(reader, Superusers())).validate(admission)
    return admission


def _mutates(spec: Object, admission: Admission | None = None) -> Admission:
    reader = _reader((MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING), spec)
    admission = admission or _create()
    MutatingAdmissionPolicy(Context(reader, Superusers())).mutate(admission)
    return admission


def test_a_false_expression_refuses_in_the_originals_words() -> None:
    with pytest.raises(ApiError) as caught:
        _validates({"validations": [{"expression": "object.metadata.name != 'settings'"}]})
    told = (
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
        "failed expression: object.metadata.name != 'settings'"
    )
    assert caught.value.message == f'configmaps "settings" is forbidden: {told}'
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.details["causes"] == [{"message": told}]


def test_a_policy_says_why_and_with_which_reason() -> None:
    validation = {"expression": "false", "messageExpression": "'no ' + object.metadata.name", "reason": "Forbidden"}
    with pytest.raises(ApiError, match="denied request: no settings") as caught:
        _validates({"validations": [validation]})
    assert caught.value.code == 403


def test_a_binding_may_warn_and_note_instead() -> None:
    spec = {"validations": [{"expression": "false", "message": "not good"}]}
    admission = _validates(spec, {"validationActions": ["Warn", "Audit"]})
    assert admission.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': not good"]
    assert "not good" in admission.annotations["validation.policy.admission.k8s.io/validation_failure"]


@pytest.mark.parametrize(
    "expression",
    [
        "variables.doubled == 4",
        "namespaceObject.metadata.labels.env == 'prod'",
        "request.operation == 'CREATE' && oldObject == null",
        "authorizer.group('').resource('pods').namespace('shop').check('get').allowed()",
        "authorizer.requestResource.check('create').allowed()",
    ],
)
def test_expressions_see_what_they_are_promised(expression: str) -> None:
    variables = [{"name": "count", "expression": "2"}, {"name": "doubled", "expression": "variables.count * 2"}]
    spec = {"variables": variables, "validations": [{"expression": expression}]}
    _validates(spec, admission=_create(groups=(MASTERS,)))


def test_parameters_come_from_an_object() -> None:
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "object.data.size <= params.data.most"}],
    }
    binding = {"paramRef": {"name": "limits", "namespace": "shop", "parameterNotFoundAction": "Deny"}}
    limits = CONFIG_MAP, made("limits", "shop", data={"most": "5"})
    _validates(spec, binding, _create(data={"size": "3"}), limits)
    with pytest.raises(ApiError, match="failed expression"):
        _validates(spec, binding, _create(data={"size": "7"}), limits)
    with pytest.raises(ApiError, match="no params found"):
        _validates(spec, binding, _create(data={"size": "3"}))
    binding["paramRef"]["parameterNotFoundAction"] = "Allow"
    _validates(spec, binding, _create(data={"size": "7"}))


def test_an_expression_that_fails_refuses_unless_failures_are_ignored() -> None:
    broken = {"validations": [{"expression": "object.data.missing == 'x'"}]}
    with pytest.raises(ApiError, match="resulted in error"):
        _validates(broken)
    _validates({**broken, "failurePolicy": "Ignore"})


@pytest.mark.parametrize(
    ("spec", "binding"),
    [
        ({"matchConditions": [{"name": "c", "expression": "request.userInfo.username != 'ann'"}]}, {}),
        ({}, {"matchResources": {"namespaceSelector": {"matchLabels": {"env": "test"}}}}),
        ({}, {"matchResources": {"excludeResourceRules": RULES}}),
        ({"matchConstraints": {"resourceRules": RULES, "excludeResourceRules": RULES}}, {}),
        ({"matchConstraints": {"resourceRules": [{**RULES[0], "resourceNames": ["other"]}]}}, {}),
        ({}, {"policyName": "another"}),
    ],
)
def test_a_policy_that_does_not_match_says_nothing(spec: Object, binding: Object) -> None:
    _validates({"validations": [{"expression": "false"}], **spec}, binding)


def test_policies_say_nothing_about_other_kinds() -> None:
    secret = Admission("CREATE", SECRET, "", "shop", "s", Identity("ann"), made("s", "shop"), None)
    _validates({"validations": [{"expression": "false"}]}, admission=secret)


def test_an_apply_configuration_is_merged_in() -> None:
    expression = "Object{metadata: Object.metadata{labels: {'stamped': request.userInfo.username}}}"
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    admission = _mutates({"mutations": [mutation]}, _create(labels={"app": "web"}))
    assert admission.object["metadata"]["labels"] == {"app": "web", "stamped": "ann"}


def test_a_json_patch_is_applied_after_the_mutation_before_it() -> None:
    first = {"jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data', value: {'a': '1'}}]"}}
    second = {"jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/data/b', value: object.data.a}]"}}
    mutations = [{"patchType": "JSONPatch", **mutation} for mutation in (first, second)]
    assert _mutates({"mutations": mutations}).object["data"] == {"a": "1", "b": "1"}


def test_a_mutation_that_fails_refuses_unless_failures_are_ignored() -> None:
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/none/x'}]"}}
    with pytest.raises(ApiError, match="denied request"):
        _mutates({"mutations": [mutation]})
    assert "none" not in _mutates({"mutations": [mutation], "failurePolicy": "Ignore"}).object


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("Object{data: {'a': 1}}", "expected string, got 1"),
        ("Object{nope: 1}", ".nope: field not declared in schema"),
    ],
)
def test_what_a_policy_applies_must_fit_the_kind(expression: str, why: str) -> None:
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    with pytest.raises(ApiError, match=re.escape(why)):
        _mutates({"mutations": [mutation]})


def test_what_a_policy_patches_is_checked_as_if_it_had_been_sent() -> None:
    with pytest.raises(ApiError, match="cannot unmarshal number"):
        _mutates(_patches("JSONPatch{op: 'add', path: '/data', value: {'a': 1}}"))
    admission = _mutates(_patches("JSONPatch{op: 'add', path: '/nope', value: 1}"))
    assert admission.object is not None
    assert "nope" not in admission.object


def _patches(operation: str) -> Object:
    return {"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": f"[{operation}]"}}]}


def test_policies_have_some_time_together_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "CEL_SECONDS", -1.0)
    with pytest.raises(ApiError, match="operation cancelled: actual cost limit exceeded"):
        _validates({"validations": [{"expression": "true"}]})
    with pytest.raises(ApiError, match="operation cancelled: actual cost limit exceeded"):
        _mutates({"mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}]})
    condition = [{"name": "c", "expression": "true"}]
    admission = _create()
    context = Context(FakeReader(), Superusers())
    with pytest.raises(CelError, match="actual cost limit exceeded"):
        matching.conditions_hold(context, admission, condition, {})
