"""The language of expressions: what Kubernetes adds to it, variables, and failures."""

import pytest

from mizzen.machinery.cel import CelError, compile_expression, evaluate_variables
from mizzen.machinery.cel.literals import as_maps


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("quantity('1Gi').isGreaterThan(quantity('1Mi'))", True),
        ("quantity(self.q).add(1).asInteger()", 1073741825),
        ("isQuantity('x')", False),
        ("cidr('10.0.0.0/8').containsIP('10.1.1.1')", True),
        ("string(ip('::1'))", "::1"),
        ("url('https://a.b:80/x?y=1').getQuery()['y'][0]", "1"),
        ("self.l.isSorted() && self.l.sum() == 6 && self.l.indexOf(2) == 1", True),
        ("'abc'.lastIndexOf('c')", 2),
        ("'a1b2'.findAll('[0-9]')", ["1", "2"]),
        ("sets.contains(self.l, [1])", True),
        ("semver('1.2.3-rc.1').isLessThan(semver('1.2.3'))", True),
        ("format.dns1123Label().validate('a_b').hasValue()", True),
        ("!format.named('dns1123Label').value().validate('ab').hasValue()", True),
        ("self.?none.orValue('x')", "x"),
        ("'%s-%d'.format(['a', 1])", "a-1"),
        ("[JSONPatch{op: 'add', path: '/' + jsonpatch.escapeKey('x/y')}]", [{"op": "add", "path": "/x~1y"}]),
    ],
)
def test_an_expression_of_kubernetes_yields_its_value(expression, value):
    data = {"self": {"q": "1Gi", "l": [1, 2, 3]}}
    assert compile_expression(expression, ("self",)).evaluate(data) == value


def test_an_object_literal_becomes_a_map():
    text = "Object{spec: Object.spec{replicas: x ? 1 : 2, 'q': {a: 1}}}"
    assert as_maps(text) == '{"spec": {"replicas": x ? 1 : 2, \'q\': {a: 1}}}'


def test_the_authorizer_is_asked_with_all_that_was_said():
    asked = []

    def authorize(question):
        asked.append(question)
        return True, "because"

    expression = "authorizer.group('apps').resource('deployments').namespace('x').name('y').check('get').allowed()"
    program = compile_expression(expression, ("authorizer",))
    assert program.holds({"authorizer": {"authorizer": {}}}, authorize)
    assert asked == [{"group": "apps", "resource": "deployments", "namespace": "x", "name": "y", "verb": "get"}]


def test_variables_may_use_those_before_them_and_fail_only_where_used():
    definitions = [("one", "object.n + 1"), ("bad", "object.none"), ("two", "variables.one * 2")]
    data = {"object": {"n": 1}}
    assert evaluate_variables(definitions, data, ("object",)) == {"one": 2, "two": 4}


def test_failures_are_errors_of_the_expression():
    with pytest.raises(CelError, match="compilation failed"):
        compile_expression("self +", ("self",))
    with pytest.raises(CelError, match="resulted in error"):
        compile_expression("self.none", ("self",)).evaluate({"self": {}})
    with pytest.raises(CelError, match="must evaluate to bool"):
        compile_expression("1", ("self",)).holds({"self": {}})
