"""The types of a custom resource's rules: what fits its schema is taken, what cannot is refused with its place."""

import pytest

from mizzen.machinery import structural
from mizzen.machinery.cel import rules

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
PROPERTIES = {
    "s": STRING,
    "n": INTEGER,
    "d": {"type": "number"},
    "b": {"type": "boolean"},
    "port": {"x-kubernetes-int-or-string": True},
    "at": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "key": {"type": "string", "format": "byte"},
    "wait": {"type": "string", "format": "duration"},
    "l": {"type": "array", "items": STRING, "maxItems": 9},
    "m": {"type": "object", "additionalProperties": STRING, "maxProperties": 9},
    "o": {"type": "object", "properties": {"a": STRING, "foo-bar": STRING, "namespace": STRING}},
    "rows": {
        "type": "array",
        "maxItems": 9,
        "items": {
            "type": "object",
            "properties": {"name": STRING, "n": INTEGER, "tags": {"type": "array", "items": STRING}},
        },
    },
    "any": {"x-kubernetes-preserve-unknown-fields": True},
    "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
}


def refused(rule: dict[str, object], node: dict[str, object] | None = None) -> list[str]:
    ruled = {**(node or {"type": "object", "properties": PROPERTIES}), "x-kubernetes-validations": [rule]}
    schema = structural.build({"type": "object", "properties": {"spec": ruled}} if node else ruled)
    return [error.detail for error in rules.check_rules(schema, "")]


@pytest.mark.parametrize(
    "rule",
    [
        "self.s == 'a' && self.n > 1 && self.d > 0.5 && !self.b",
        "double(self.n) > 1 && self.d <= 2 && self.n < 2.5",
        "type(self.port) == int ? self.port > 0 : self.port.matches('^[0-9]+%$')",
        "self.at > timestamp('2020-01-01T00:00:00Z') && self.at - oldSelf.at > self.wait",
        "self.day.getFullYear() > 2000",
        "self.key == b'abc' && size(self.key) == 3",
        "self.l.all(x, x.startsWith('a')) && self.l.indexOf('a') == 0 && self.l.join(',') != '' && self.l.isSorted()",
        "'k' in self.m && self.m['k'] == self.m.k && self.m.all(k, v, k == v)",
        "self.o.foo__dash__bar == self.o.__namespace__ && self.?o.?a.orValue('x') == 'x'",
        "self.rows.all(x, has(x.tags) && x.tags.exists(t, t == self.s) && x.n in [80, 443])",
        "oldSelf.rows.all(x, x in self.rows) && self.rows[?0].?n.orValue(3) == 3",
        "self.any == 'x' || self.any.deep.down == 3",
        "self.pod.metadata.name == self.metadata.name && self.pod.kind == 'Pod'",
        "quantity(self.s).isLessThan(quantity('1Gi')) && ip(self.s).family() == 4 && url(self.s).getPort() == '1'",
    ],
)
def test_what_fits_the_schema_is_taken(rule: str) -> None:
    assert refused({"rule": rule}) == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("self.n == 'a'", "1:8: found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.s + self.n == 'b'", "1:8: found no matching overload for '_+_' applied to '(string, int)'"),
        ("self.l.all(x, x > 1)", "1:17: found no matching overload for '_>_' applied to '(string, int)'"),
        ("self.rows.exists(x, x.nme == 'a')", "1:22: undefined field 'nme'"),
        ("oldSelf.at == self.s", "1:12: found no matching overload for '_==_' applied to '(timestamp, string)'"),
        ("self.s == null", "1:8: found no matching overload for '_==_' applied to '(string, null)'"),
        ("self.metadata.labels == {}", "1:14: undefined field 'labels'"),
        ("self.pod.spec.size > 1", "1:9: undefined field 'spec'"),
        ("self.n.startsWith('a')", "1:18: found no matching overload for 'startsWith' applied to '(int, string)'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(rule: str, told: str) -> None:
    (found,) = refused({"rule": rule})
    column = int(told.split(":")[1]) - 1
    assert found == f"compilation failed: ERROR: <input>:{told}\n | {rule}\n | {'.' * column}^"


def test_a_rule_must_yield_a_boolean_and_a_message_a_string() -> None:
    assert refused({"rule": "self.n"}) == ["cel expression must evaluate to a bool"]
    assert refused({"rule": "self.b", "messageExpression": "self.n"}) == [
        "messageExpression cel expression must evaluate to a string"
    ]


@pytest.mark.parametrize(
    ("node", "fits", "not_"),
    [
        (INTEGER, "self == oldSelf + 1", "self == 'a'"),
        (STRING, "self.contains('self')", "'self' == self && self > 1"),
        ({"type": "array", "items": INTEGER}, "self.all(x, x > 1)", "self.all(x, x == 'a')"),
        ({"type": "object", "additionalProperties": INTEGER}, "self.a == 1 && self['b'] == 2", "self.a == 'x'"),
    ],
)
def test_self_may_be_any_value(node: dict[str, object], fits: str, not_: str) -> None:
    assert [one for one in refused({"rule": fits}, node) if "compilation" in one] == []
    assert "found no matching overload" in refused({"rule": not_}, node)[0]
    optional = {"rule": "!oldSelf.hasValue() || self == oldSelf.value()", "optionalOldSelf": True}
    assert refused(optional, node) == []
