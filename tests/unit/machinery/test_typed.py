"""What the type checker says of expressions over objects with a schema."""

import pytest

from mizzen.machinery.cel.typed import problem
from mizzen.machinery.schema import Form, Schema, registry
from mizzen.machinery.structural import build

DEPLOYMENT = registry.find("apps", "v1", "Deployment")
assert DEPLOYMENT is not None
VARIABLES = ("object", "oldObject", "request", "params", "variables", "authorizer")


def said(expression: str, **schemas: Schema) -> str:
    return problem(expression, VARIABLES, {"object": DEPLOYMENT, "oldObject": DEPLOYMENT, **schemas})


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas > 1",
        "'wants more than ' + string(object.spec.replicas)",
        "oldObject == null || object.spec.replicas >= oldObject.spec.replicas",
        "has(object.metadata.labels) && object.metadata.labels.all(key, object.metadata.labels[key].matches('^a'))",
        "object.spec.template.spec.containers.exists(c, c.resources.requests['cpu'] == '1')",
        "object.spec.strategy.rollingUpdate.maxSurge == 1 || object.spec.strategy.rollingUpdate.maxSurge == '5%'",
        "object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
        "object.?spec.?replicas.orValue(1) > 0",
        "quantity(object.spec.template.spec.containers[0].resources.limits['memory']).isLessThan(quantity('1Gi'))",
        "authorizer.group('').resource('pods').check('get').allowed() && request.operation == 'CREATE'",
        "object.spec.replicas <= params.anything[0].at.all && variables.small",
    ],
)
def test_what_fits_the_schema_passes(expression: str) -> None:
    assert said(expression) == ""


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("object.spec.replicas > '1'", "found no matching overload for '_>_' applied to '(int, string)'"),
        ("'replicas: ' + object.spec.replicas", "found no matching overload for '_+_' applied to '(string, int)'"),
        ("object.spec.replicsa == 1", "undefined field 'replicsa'"),
        ("object.spec.template.spec.containers.name == 'a'", "cannot be the operand of a select operation"),
        ("object.spec.replicas >", "Syntax error"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(expression: str, told: str) -> None:
    assert said(expression).startswith("ERROR: <input>:1:")
    assert told in said(expression)


def test_parameters_may_have_a_schema_with_keys_that_are_no_names() -> None:
    properties = {"max-replicas": {"type": "integer"}, "limit": {"type": "integer"}, "rows": _nested()}
    schema = build({"type": "object", "properties": properties})
    assert schema.form is Form.STRUCT
    assert said("object.spec.replicas <= params.limit && params.rows[0][0] == 1", params=schema) == ""
    assert "'_<=_' applied to '(string, int)'" in said("object.metadata.name <= params.limit", params=schema)


def _nested() -> dict[str, object]:
    return {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
