"""Structural schemas, values of custom resources, and their CEL rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.machinery import structural, values
from mizzen.machinery.cel import rules
from mizzen.machinery.cel.static import estimated_cost, undefined_fields, undefined_text

ROOT = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["h"],
            "properties": {
                "h": {"type": "integer", "minimum": 1, "maximum": 9},
                "s": {"type": "string", "maxLength": 4, "minLength": 2, "pattern": "^[a-z]+$", "default": "ab"},
                "e": {"type": "string", "enum": ["up", "down"]},
                "l": {"type": "array", "maxItems": 2, "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "m": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "v": {"type": "integer", "maximum": 3}},
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                },
                "i": {"x-kubernetes-int-or-string": True},
                "d": {"type": "string", "format": "date-time"},
                "n": {"type": "string", "nullable": True},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "t": {
                    "type": "object",
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                },
            },
        }
    },
}
SCHEMA = structural.build(ROOT)


def problems(spec: dict, old: dict | None = None) -> list[tuple[str, str]]:
    thing = {"spec": spec}
    found = values.validate(thing, SCHEMA, "", {"spec": old}) if old is not None else values.validate(thing, SCHEMA)
    return [(error.path, error.message) for error in found]


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({}, "spec.h", "Required value"),
        ({"h": "1"}, "spec.h", 'Invalid value: "string": spec.h in body must be of type integer: "string"'),
        ({"h": 0}, "spec.h", "Invalid value: 0: spec.h in body should be greater than or equal to 1"),
        ({"h": 1, "s": "abcde"}, "spec.s", "Too long: may not be more than 4 bytes"),
        ({"h": 1, "s": "A"}, "spec.s", 'Invalid value: "A": spec.s in body should be at least 2 chars long'),
        ({"h": 1, "s": "A1"}, "spec.s", "Invalid value: \"A1\": spec.s in body should match '^[a-z]+$'"),
        ({"h": 1, "e": "left"}, "spec.e", 'Unsupported value: "left": supported values: "up", "down"'),
        ({"h": 1, "l": ["a", "b", "c"]}, "spec.l", "Too many: 3: must have at most 2 items"),
        ({"h": 1, "l": ["a", "a"]}, "spec.l[1]", 'Duplicate value: "a"'),
        ({"h": 1, "m": [{"name": "x"}, {"name": "x"}]}, "spec.m[1]", 'Duplicate value: {"name":"x"}'),
        (
            {"h": 1, "i": True},
            "spec.i",
            'Invalid value: "boolean": spec.i in body must be of type integer,string: "boolean"',
        ),
        ({"h": 1, "d": "noon"}, "spec.d", 'Invalid value: "noon": spec.d in body must be of type date-time: "noon"'),
        (
            {"h": 1, "t": {}},
            "spec.t",
            'Invalid value: "object": "spec.t" must validate one and only one schema (oneOf). Found none valid',
        ),
    ],
)
def test_a_wrong_value_is_reported_in_the_original_words(spec, path, message):
    assert problems(spec) == [(path, message)]


def test_right_values_pass():
    assert problems({"h": 1, "s": "ab", "l": ["a"], "i": "5%", "n": None, "any": {"x": [1]}, "t": {"a": 1}}) == []


def test_an_invalid_value_that_did_not_change_is_tolerated_on_update():
    assert problems({"h": 1, "s": "TOO LONG"}, old={"h": 2, "s": "TOO LONG"}) == []
    assert problems({"h": 0, "s": "TOO LONG"}, old={"h": 2, "s": "TOO LONG"})[0][0] == "spec.h"
    old = {"h": 1, "m": [{"name": "a", "v": 9}]}
    assert problems({"h": 1, "m": [{"name": "b", "v": 1}, {"name": "a", "v": 9}]}, old) == []


def test_unknown_metadata_of_embedded_objects_is_told_last():
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"kind": {"type": "string"}}}
    schema = structural.build({"type": "object", "properties": {"a": embedded, "z": {"type": "object"}}})
    thing = {"a": {"metadata": {"odd": 1}, "odd": 1}, "z": {"odd": 1}}
    assert structural.prune(thing, schema) == ["a.odd", "z.odd", "a.metadata.odd"]


def test_unknown_fields_are_pruned_except_where_they_are_kept():
    thing = {"spec": {"h": 1, "x": 2, "any": {"y": 1}, "m": [{"name": "a", "z": 1}]}, "top": 1}
    assert structural.prune(thing, SCHEMA) == ["spec.m[0].z", "spec.x", "top"]
    assert thing == {"spec": {"h": 1, "any": {"y": 1}, "m": [{"name": "a"}]}}


def test_defaults_fill_in_and_nulls_that_may_not_stand_count_as_absent():
    thing = {"spec": {"h": 1, "s": None, "n": None, "e": None}}
    structural.default(thing, SCHEMA)
    assert thing == {"spec": {"h": 1, "s": "ab", "n": None}}


_specs = st.fixed_dictionaries(
    {},
    optional={
        "h": st.integers(0, 10) | st.none(),
        "s": st.text("abC", max_size=5) | st.none(),
        "x": st.integers(),
        "any": st.dictionaries(st.text("pq", max_size=2), st.integers(), max_size=2),
        "m": st.lists(st.fixed_dictionaries({"name": st.text("ab", max_size=1)}, optional={"z": st.booleans()})),
    },
)


@given(_specs)
def test_pruning_and_defaulting_are_idempotent(spec):
    thing = {"spec": spec}
    structural.prune(thing, SCHEMA)
    structural.default(thing, SCHEMA)
    again = {"spec": {**thing["spec"]}}
    assert structural.prune(again, SCHEMA) == []
    structural.default(again, SCHEMA)
    assert again == thing


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({}, "S.type"),
        ({"type": "object", "properties": {"a": {}}}, "S.properties[a].type"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "S.properties[a].items"),
        ({"type": "object", "properties": {"a": {"type": "number32"}}}, "S.properties[a].type"),
        ({"type": "object", "properties": {"a": {"type": "string", "default": 1}}}, "S.properties[a].default"),
        (
            {"type": "object", "properties": {"a": {"type": "string", "anyOf": [{"type": "string", "pattern": "x"}]}}},
            "S.properties[a].anyOf[0].type",
        ),
        ({"type": "object", "properties": {"metadata": {"properties": {"labels": {}}}}}, "S.properties[metadata]"),
    ],
)
def test_a_schema_that_is_not_structural_is_refused(source, path):
    assert path in [error.path for error in structural.check(source, "S")]


def test_a_structural_schema_is_accepted():
    assert list(structural.check(ROOT, "S")) == []


# --- rules ---


def ruled(*rule_list: dict, **properties: dict) -> structural.Schema:
    return structural.build(
        {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "properties": properties, "x-kubernetes-validations": list(rule_list)}
            },
        }
    )


INTEGER = {"type": "integer"}


def test_a_failing_rule_is_reported_with_its_message_reason_and_place():
    schema = ruled(
        {"rule": "self.min <= self.max", "message": "min above max"},
        {"rule": "self.min > 0"},
        {
            "rule": "self.max < 9",
            "messageExpression": "'max is ' + string(self.max)",
            "reason": "FieldValueForbidden",
            "fieldPath": ".max",
        },
        min=INTEGER,
        max=INTEGER,
    )
    assert [str(error) for error in rules.validate({"spec": {"min": 0, "max": 3}}, schema)] == [
        'spec: Invalid value: "object": failed rule: self.min > 0'
    ]
    assert [str(error) for error in rules.validate({"spec": {"min": 10, "max": 9}}, schema)] == [
        'spec: Invalid value: "object": min above max',
        "spec.max: Forbidden: max is 9",
    ]


def test_a_transition_rule_runs_only_when_there_is_something_to_compare_with():
    schema = ruled({"rule": "self.wood == oldSelf.wood", "message": "wood stays"}, wood={"type": "string"})
    assert list(rules.validate({"spec": {"wood": "oak"}}, schema)) == []
    found = rules.validate({"spec": {"wood": "ash"}}, schema, {"spec": {"wood": "oak"}})
    assert [error.detail for error in found] == ["wood stays"]


def test_an_optional_old_self_runs_on_create_too():
    rule = {"rule": "oldSelf.hasValue() || self.n == 1", "optionalOldSelf": True}
    schema = ruled(rule, n=INTEGER)
    assert list(rules.validate({"spec": {"n": 1}}, schema)) == []
    assert len(list(rules.validate({"spec": {"n": 2}}, schema))) == 1
    assert list(rules.validate({"spec": {"n": 2}}, schema, {"spec": {"n": 1}})) == []


def test_items_of_a_map_list_are_compared_with_those_of_the_same_key():
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "v": INTEGER},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v"}],
    }
    items = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    schema = ruled(items=items)
    old = {"spec": {"items": [{"name": "a", "v": 5}, {"name": "b", "v": 1}]}}
    new = {"spec": {"items": [{"name": "b", "v": 2}, {"name": "a", "v": 4}]}}
    assert [error.path for error in rules.validate(new, schema, old)] == ["spec.items[1]"]


def test_properties_with_odd_names_are_escaped_in_rules():
    schema = ruled(
        {"rule": "self.a__dash__b == 1 && self.__namespace__ == 'x'"},
        **{"a-b": INTEGER, "namespace": {"type": "string"}},
    )
    assert list(rules.validate({"spec": {"a-b": 1, "namespace": "x"}}, schema)) == []


def test_values_that_rules_see_otherwise_are_found_however_deep_they_are():
    parts = [{"since": "2026-01-01T00:00:00Z", "share": 1, "if": "x"}]
    struct = {"since": {"type": "string", "format": "date-time"}, "share": {"type": "number"}, "if": {"type": "string"}}
    listed = {"type": "array", "items": {"type": "object", "properties": struct}}
    mapped = {"type": "object", "additionalProperties": listed}
    plain = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
    schema = structural.build({"type": "object", "properties": {"named": mapped, "plain": plain}})
    kept = {"a": ["x"]}
    seen = rules.to_cel({"named": {"one": parts}, "plain": kept}, schema)
    [part] = seen["named"]["one"]
    assert (
        part["since"].ToJsonString() == "2026-01-01T00:00:00Z"
        and isinstance(part["share"], float)
        and part["__if__"] == "x"
    )
    assert seen["plain"] is kept, "what rules see as it is goes through no loop"


def test_all_rules_of_a_value_see_the_same():
    schema = structural.build(
        {
            "type": "object",
            "properties": {"share": {"type": "number"}},
            "x-kubernetes-validations": [
                {"rule": "self.share == 1.0"},
                {"rule": "self.share == oldSelf.share", "message": "kept"},
                {"rule": "oldSelf.hasValue() ? self.share > 0.5 : self.share > 0.1", "optionalOldSelf": True},
            ],
        }
    )
    assert not list(rules.validate({"share": 1}, schema))
    assert not list(rules.validate({"share": 1}, schema, {"share": 1}))
    assert [one.detail for one in rules.validate({"share": 1}, schema, {"share": 2})] == ["kept"]


def test_a_rule_that_does_not_compile_or_names_no_field_is_refused():
    schema = ruled({"rule": "self +"}, {"rule": "self.depth > 1"}, {"rule": "1"}, {"rule": ""}, size=INTEGER)
    found = [*rules.check_rules(schema, "S"), *rules.check_wording(schema, "S")]
    assert [error.path.removeprefix("S.properties[spec].x-kubernetes-validations") for error in found] == [
        "[0].rule",
        "[1].rule",
        "[2].rule",
        "[3].rule",
    ]
    assert "undefined field 'depth'" in found[1].detail


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("self.depth > 1", "1:5: undefined field 'depth'\n | self.depth > 1\n | ....^"),
        (
            "'self.depth' == self.size &&\n  self.depth > 1",
            "2:7: undefined field 'depth'\n |   self.depth > 1\n | ......^",
        ),
        (
            "self.depths + self.depth",
            "1:19: undefined field 'depth'\n | self.depths + self.depth\n | ..................^",
        ),
    ],
)
def test_a_field_that_is_not_there_is_shown_where_it_is_used(expression, place):
    assert undefined_text(expression, "depth") == f"compilation failed: ERROR: <input>:{place}"


def test_loops_within_loops_over_unbounded_lists_are_too_costly():
    strings = {"type": "array", "items": {"type": "string"}}
    schema = structural.build({"type": "object", "properties": {"l": strings}})
    assert estimated_cost("self.l.all(a, self.l.exists(b, a != b))", schema) > 10_000_000
    assert estimated_cost("self.l.all(a, a.startsWith('x'))", schema) < 10_000_000
    assert undefined_fields("self.l.all(a, a.size() > 0) && self.metadata.name != ''", schema) == []


def test_a_run_of_too_many_rules_is_cut_off():
    item = {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= 0"}]}
    schema = ruled(l={"type": "array", "items": item})
    found = list(rules.validate({"spec": {"l": [1] * (rules.BUDGET + 1)}}, schema))
    assert "cost budget" in found[0].detail


def test_a_rule_that_loops_too_long_is_given_up_and_no_other_is_run():
    numbers = {"type": "array", "maxItems": 725, "items": INTEGER}
    schema = ruled({"rule": "self.l.all(x, self.l.all(y, y == x))"}, {"rule": "self.n > 1"}, l=numbers, n=INTEGER)
    (found,) = rules.validate({"spec": {"l": [20] * 725, "n": 0}}, schema)
    assert found.path == "spec"
    assert "actual cost limit exceeded" in found.detail
    assert found.detail.endswith("call cost exceeds limit for rule: self.l.all(x, self.l.all(y, y == x))")


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ({"rule": "self.n > 1"}, "no such key: n evaluating rule: self.n > 1"),
        ({"rule": "self.l[3] > 1", "message": "needs four"}, "index out of bounds: 3 evaluating rule: needs four"),
        ({"rule": "1 / self.l[0] == 1"}, "division by zero evaluating rule: 1 / self.l[0] == 1"),
        (
            {"rule": "self.any + 1 > 1"},
            "'no such overload': call arguments did not match a supported operator, function or macro signature for "
            "rule: self.any + 1 > 1",
        ),
    ],
)
def test_a_rule_that_fails_says_why_in_the_original_words(rule, detail):
    numbers = {"type": "array", "items": INTEGER}
    schema = ruled(rule, l=numbers, n=INTEGER, any={"x-kubernetes-int-or-string": True})
    assert [error.detail for error in rules.validate({"spec": {"l": [0], "any": "x"}}, schema)] == [detail]


def test_rules_below_a_list_cost_as_often_as_they_may_be_run():
    texts = {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-validations": [{"rule": "self.all(s, s == 'x')"}],
    }
    once = structural.build({"type": "object", "properties": {"l": texts}})
    often = structural.build({"type": "object", "properties": {"l": {"type": "array", "items": texts}}})
    few = structural.build({"type": "object", "properties": {"l": {"type": "array", "maxItems": 5, "items": texts}}})
    assert list(rules.check_rules(once, "S")) == []
    assert list(rules.check_rules(few, "S")) == []
    assert [
        (error.path, "exceeds budget by factor of more than 100x" in error.detail)
        for error in rules.check_rules(often, "S")
    ] == [
        ("S.properties[l].items.x-kubernetes-validations[0].rule", True),
        ("S.properties[l].items.x-kubernetes-validations[0].rule", False),
        ("S", True),
    ]


def test_what_was_wrong_before_and_stays_is_tolerated():
    item = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "v": INTEGER},
        "x-kubernetes-validations": [{"rule": "self.v > 0", "message": "too small"}],
    }
    keyed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    schema = ruled(keyed=keyed, loose={"type": "array", "items": item}, n=INTEGER)
    bad, fine = {"name": "a", "v": 0}, {"name": "b", "v": 1}

    def told(new, old):
        return [(error.path, error.tolerated) for error in rules.validate({"spec": new}, schema, {"spec": old})]

    assert told({"keyed": [fine, bad]}, {"keyed": [bad]}) == [("spec.keyed[1]", True)]
    assert told({"keyed": [{"name": "a", "v": -1}]}, {"keyed": [bad]}) == [("spec.keyed[0]", False)]
    assert told({"loose": [bad], "n": 2}, {"loose": [bad], "n": 1}) == [("spec.loose[0]", True)]
    assert told({"loose": [bad, fine]}, {"loose": [bad]}) == [("spec.loose[0]", False)]


def test_a_transition_rule_is_never_tolerated():
    schema = ruled({"rule": "self.n > oldSelf.n"}, n=INTEGER)
    (found,) = rules.validate({"spec": {"n": 1}}, schema, {"spec": {"n": 1}})
    assert not found.tolerated


def test_the_path_of_a_rule_below_a_map_has_its_key():
    value = {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 0"}]}
    schema = ruled(m={"type": "object", "additionalProperties": value})
    assert [error.path for error in rules.validate({"spec": {"m": {"a.b": 0}}}, schema)] == ["spec.m[a.b]"]


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ({"type": "string", "enum": ["a"]}, "b"),
        ({"type": "string", "format": "ipv4"}, "x"),
        ({"type": "string", "maxLength": 1}, "ab"),
        ({"type": "string", "minLength": 2}, "a"),
        ({"type": "string", "pattern": "^a$"}, "b"),
        ({"type": "integer", "maximum": 1}, 2),
        ({"type": "integer", "minimum": 1}, 0),
        ({"type": "integer", "multipleOf": 2}, 3),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, [1, 2]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 1}, []),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 1]),
        ({"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 1}, {"a": 1, "b": 1}),
        ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}, {}),
        ({"type": "object", "required": ["a"]}, {}),
        ({"type": "integer", "allOf": [{"maximum": 1}]}, 2),
        ({"type": "integer", "anyOf": [{"maximum": 1}, {"minimum": 5}]}, 2),
        ({"type": "integer", "oneOf": [{"maximum": 3}, {"minimum": 1}]}, 2),
        ({"type": "integer", "not": {"maximum": 3}}, 2),
    ],
)
def test_every_word_that_constrains_is_heeded_where_it_stands_alone(source, wrong):
    schema = structural.build({"type": "object", "properties": {"x": source}})
    assert list(values.validate({"x": wrong}, schema))


def test_rules_are_found_below_nodes_that_have_none_and_messages_may_tell_of_the_old_value():
    rule = {"rule": "self < 3", "messageExpression": "'was ' + string(oldSelf)"}
    leaf = {"type": "integer", "x-kubernetes-validations": [rule]}
    items = {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    inner = {"type": "object", "properties": {"n": leaf, "plain": items}}
    schema = structural.build({"type": "object", "properties": {"spec": inner}})
    new, old = {"spec": {"n": 7, "plain": [{"n": 9}]}}, {"spec": {"n": 1}}
    assert [(error.path, error.detail) for error in rules.validate(new, schema, old)] == [("spec.n", "was 1")]


def test_whatever_a_wrong_value_holds_is_unknown_and_a_null_in_a_map_is_nothing():
    sizes = {"type": "object", "additionalProperties": {"type": "integer"}}
    maybe = {"type": "object", "additionalProperties": {"type": "integer", "nullable": True}}
    open_ = {"type": "object", "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True}}
    filled = {"type": "array", "items": {"type": "string", "default": "x"}}
    properties = {"name": {"type": "string"}, "sizes": sizes, "maybe": maybe, "open": open_, "filled": filled}
    schema = structural.build({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})
    thing = {"spec": {"name": {"x": 1}, "sizes": {"a": None, "b": 1}, "maybe": {"a": None}, "open": {"a": {"b": 1}}}}
    thing["spec"]["filled"] = ["a", None]
    assert structural.prune(thing, schema) == ["spec.name.x"]
    structural.default(thing, schema)
    assert thing["spec"] == {"name": {}, "sizes": {"b": 1}, "maybe": {"a": None}, "open": {"a": {"b": 1}}} | {
        "filled": ["a", "x"]
    }


@pytest.mark.parametrize(("value", "count"), [(1.0, 0), (2**53, 0), (float(2**53), 1), (1e20, 1), (1.5, 1)])
def test_a_number_with_a_fraction_or_exponent_is_an_integer_where_it_is_exact(value, count):
    for one in ({"type": "integer"}, {"x-kubernetes-int-or-string": True}):
        schema = structural.build({"type": "object", "properties": {"x": one}})
        assert len(list(values.validate({"x": value}, schema))) == count
