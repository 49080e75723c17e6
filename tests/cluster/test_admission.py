"""Admission of what is posted but not stored, and of custom resources."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.inprocess import Api, running

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
NAMESPACE = "/api/v1/namespaces/default"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path) as api:
        yield api


def _rules(group: str, *resources: str) -> dict[str, Any]:
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": list(resources)}
    return {"resourceRules": [rule]}


async def _refuse(api: Api, expression: str, *resources: str) -> None:
    """Let a policy refuse what does not fit an expression."""
    validations = [{"expression": expression, "messageExpression": "'no ' + request.kind.kind"}]
    spec = {"matchConstraints": _rules("", *resources), "validations": validations}
    status, answer = await api.call(
        "POST", f"{REGISTRATION}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": spec}
    )
    assert status == 201, answer
    bound = {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
    assert (await api.call("POST", f"{REGISTRATION}/validatingadmissionpolicybindings", bound))[0] == 201


async def test_policies_are_asked_of_evictions_bindings_and_tokens(api: Api) -> None:
    await api.call("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    assert (await api.call("POST", f"{NAMESPACE}/pods", pod))[0] == 201
    await _refuse(api, "false", "pods/eviction", "pods/binding", "serviceaccounts/token")
    posts: dict[str, Any] = {
        "pods/web/eviction": {"metadata": {"name": "web"}},
        "pods/web/binding": {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n"}},
        "serviceaccounts/default/token": {"spec": {}},
    }
    said = []
    for path, body in posts.items():
        status, answer = await api.call("POST", f"{NAMESPACE}/{path}", body)
        said.append((status, answer["message"].rpartition(": ")[2]))
    assert said == [(422, "no Eviction"), (422, "no Binding"), (422, "no TokenRequest")]
    assert (await api.call("GET", f"{NAMESPACE}/pods/web"))[0] == 200


async def test_an_eviction_that_is_admitted_is_not_judged_as_a_deletion_too(api: Api) -> None:
    await api.call("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    await api.call("POST", f"{NAMESPACE}/pods", pod)
    await _refuse(api, "request.operation == 'CREATE'", "pods", "pods/eviction")
    status, _ = await api.call("POST", f"{NAMESPACE}/pods/web/eviction", {"metadata": {"name": "web"}})
    assert status == 201


async def test_a_mutating_policy_merges_into_a_custom_resource_by_its_schema(api: Api) -> None:
    item = {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}
    marks = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item}
    spec = {"type": "object", "properties": {"marks": marks}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": "kites", "kind": "Kite"}
    definition = {"group": "ex.test", "names": names, "scope": "Namespaced", "versions": [version]}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await api.call("POST", definitions, {"metadata": {"name": "kites.ex.test"}, "spec": definition})
    labels = "metadata: Object.metadata{labels: {'a': 'b'}}"
    expression = f"Object{{{labels}, spec: Object.spec{{marks: [Object.spec.marks{{k: 'new'}}]}}}}"
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    policy = {"matchConstraints": _rules("ex.test", "kites"), "mutations": [mutation], "reinvocationPolicy": "Never"}
    for plural, body in (("policies", policy), ("policybindings", {"policyName": "p"})):
        path = f"{REGISTRATION}/mutatingadmission{plural}"
        assert (await api.call("POST", path, {"metadata": {"name": "p"}, "spec": body}))[0] == 201
    await asyncio.sleep(0)
    kite = {"metadata": {"name": "k", "labels": {"z": "1"}}, "spec": {"marks": [{"k": "old"}]}}
    status, made = await api.call("POST", "/apis/ex.test/v1/namespaces/default/kites", kite)
    assert (status, made["metadata"]["labels"]) == (201, {"z": "1", "a": "b"})
    assert made["spec"]["marks"] == [{"k": "old"}, {"k": "new"}]


async def test_a_policy_knows_custom_resources_as_parameters_and_in_all_their_versions(api: Api) -> None:
    keep = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": keep} for name in ("v1", "v2")]
    definition = {"group": "ex.test", "names": {"plural": "limits", "kind": "Limit"}, "scope": "Namespaced"}
    body = {"metadata": {"name": "limits.ex.test"}, "spec": {**definition, "versions": versions}}
    await api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    limits = "/apis/ex.test/v2/namespaces/default/limits"
    await asyncio.sleep(0)
    assert (await api.call("POST", limits, _limit("most", 3)))[0] == 201
    validations = [{"expression": "object.most <= params.most", "messageExpression": "'in ' + object.apiVersion"}]
    spec = {"paramKind": {"apiVersion": "ex.test/v1", "kind": "Limit"}, "validations": validations}
    policy = {"metadata": {"name": "p"}, "spec": {**spec, "matchConstraints": _rules("ex.test", "limits")}}
    assert (await api.call("POST", f"{REGISTRATION}/validatingadmissionpolicies", policy))[0] == 201
    parameter = {"name": "most", "namespace": "default", "parameterNotFoundAction": "Deny"}
    bound = {"policyName": "p", "validationActions": ["Deny"], "paramRef": parameter}
    path = f"{REGISTRATION}/validatingadmissionpolicybindings"
    await api.call("POST", path, {"metadata": {"name": "b"}, "spec": bound})
    assert (await api.call("POST", limits, _limit("less", 3)))[0] == 201
    status, answer = await api.call("POST", limits, _limit("more", 4))
    assert (status, answer["message"].rpartition(": ")[2]) == (422, "in ex.test/v1")


def _limit(name: str, most: int) -> dict[str, Any]:
    return {"apiVersion": "ex.test/v2", "kind": "Limit", "metadata": {"name": name}, "most": most}
