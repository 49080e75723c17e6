"""What keeps a configuration from being an object of its schema, in the words of the original."""

from typing import Any

import pytest

from mizzen.machinery import structural
from mizzen.machinery.patch.apply import typed

_ITEM = {"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}}, "required": ["k"]}
_SPEC = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "number": {"type": "integer"},
        "flag": {"type": "boolean"},
        "either": {"x-kubernetes-int-or-string": True},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "plain": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "keyed": {
            "type": "array",
            "items": _ITEM,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
        },
    },
}
SCHEMA = structural.build({"type": "object", "properties": {"spec": _SPEC}})


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"text": 5}, ".spec.text: expected string, got 5"),
        ({"text": {"b": [True], "a": "x"}}, None),
        ({"number": "5"}, ".spec.number: expected numeric (int or float), got string"),
        ({"number": {}}, ".spec.number: expected numeric (int or float), got map[string]interface {}"),
        ({"flag": "yes"}, ".spec.flag: expected boolean, got yes"),
        ({"either": [1]}, ".spec.either: expected any scalar, got [1]"),
        ({"map": "x"}, ".spec.map: expected map, got &{x}"),
        ({"map": {"a": 1}}, ".spec.map.a: expected string, got 1"),
        ({"plain": {"a": 1}}, ".spec.plain: expected list, got &{map[a:1]}"),
        ({"plain": ["a", False]}, ".spec.plain[1]: expected string, got false"),
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        ({"keyed": [{"k": "a", "n": "x"}]}, '.spec.keyed[k="a"].n: expected numeric (int or float), got string'),
        ({"keyed": ["a"]}, ".spec.keyed: element 0: associative list with keys may not have non-map elements"),
        (
            {"keyed": [{"n": 1}]},
            ".spec.keyed: element 0: associative list with keys has an element that omits key field "
            '"k" (and doesn\'t have default value)',
        ),
        ({"other": 1}, ".spec.other: field not declared in schema"),
        (
            {"number": "a", "flag": 1},
            "errors:\n  .spec.number: expected numeric (int or float), got string\n"
            "  .spec.flag: expected boolean, got 1",
        ),
        ({"text": None, "either": "1", "number": 1.5, "map": {}}, ""),
    ],
)
def test_mistakes_are_told_as_clients_of_apply_know_them(spec: dict[str, Any], text: str | None) -> None:
    wanted = text
    if wanted is None:
        wanted = '.spec.text: expected string, got map[string]interface {}{"a":"x", "b":[]interface {}{true}}'
    assert typed.told({"spec": spec}, SCHEMA) == wanted
