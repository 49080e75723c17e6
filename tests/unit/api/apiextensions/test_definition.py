from typing import Any

import pytest

from mizzen.api.apiextensions.customresourcedefinition import CUSTOM_RESOURCE_DEFINITION as KIND

from ..written import causes, written


def definition(
    schema: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **version: Any
) -> dict[str, Any]:
    source = {"type": "object", "properties": {"spec": schema or {"type": "object"}}}
    only = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": source}, **version}
    base = {
        "group": "acme.test",
        "scope": "Namespaced",
        "names": {"plural": "boats", "kind": "Boat"},
        "versions": [only],
    }
    return {"metadata": {"name": "boats.acme.test"}, "spec": base | (spec or {})}


ROOT = "spec.validation.openAPIV3Schema.properties[spec]"
_PRESERVE = ".x-kubernetes-preserve-unknown-fields"
_IN_ANY_OF = {(f".anyOf[0].{field}", reason) for field, reason in (("type", "Forbidden"), ("pattern", "Invalid"))} | {
    (".anyOf[0].type", "NotSupported")
}
_TWICE = {(".anyOf[0].type", "Forbidden"), (".anyOf[1].type", "Forbidden")}


def test_names_conversion_and_stored_versions_are_filled_in() -> None:
    stored = written(KIND, definition())
    assert stored["spec"]["names"] | {"plural": "boats"} == {
        "plural": "boats",
        "kind": "Boat",
        "singular": "boat",
        "listKind": "BoatList",
    }
    assert stored["spec"]["conversion"] == {"strategy": "None"}
    assert stored["status"]["storedVersions"] == ["v1"]


def test_the_new_storage_version_joins_those_that_were() -> None:
    old = written(KIND, definition())
    new = written(KIND, definition(name="v2"), old)
    assert new["status"]["storedVersions"] == ["v1", "v2"]
    assert causes(KIND, definition(name="v2"), old) == {("status.storedVersions[0]", "Invalid")}


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (definition(spec={"group": "acme"}), ("spec.group", "Invalid")),
        (definition(spec={"scope": "Wide"}), ("spec.scope", "NotSupported")),
        (definition(spec={"group": "x.k8s.io"}), ("metadata.annotations[api-approved.kubernetes.io]", "Required")),
        (definition(spec={"preserveUnknownFields": True}), ("spec.preserveUnknownFields", "Invalid")),
        (definition(spec={"conversion": {}}), ("spec.conversion.strategy", "Required")),
        (definition(deprecationWarning="old"), ("spec.versions[0].deprecationWarning", "Invalid")),
        (
            definition(selectableFields=[{"jsonPath": ".spec.no"}]),
            ("spec.selectableFields[0].jsonPath", "Invalid"),
        ),
        (
            definition(additionalPrinterColumns=[{"name": "A", "type": "string", "format": "x", "jsonPath": ".a"}]),
            ("spec.additionalPrinterColumns[0].format", "Invalid"),
        ),
        (
            definition(subresources={"scale": {"specReplicasPath": ".spec.a[0].b", "statusReplicasPath": ".status.n"}}),
            ("spec.subresources.scale.specReplicasPath", "Invalid"),
        ),
        (
            definition(spec={"names": {"plural": "boats", "kind": "Boat", "shortNames": ["B!"]}}),
            ("spec.names.shortNames[0]", "Invalid"),
        ),
    ],
)
def test_what_a_definition_may_not_say(content: dict[str, Any], cause: tuple[str, str]) -> None:
    assert cause in causes(KIND, content)


def test_what_versions_have_in_common_is_reported_once() -> None:
    bad = {"type": "object", "properties": {"a": {"type": "array"}}}
    content = definition(bad)
    content["spec"]["versions"].append(content["spec"]["versions"][0] | {"name": "v2", "storage": False})
    assert causes(KIND, content) == {(f"{ROOT}.properties[a].items", "Required")}
    content["spec"]["versions"][1]["schema"] = {"openAPIV3Schema": {"type": "object"}}
    where = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].items"
    assert causes(KIND, content) == {(where, "Required")}


def test_an_established_kind_keeps_its_scope() -> None:
    old = written(KIND, definition())
    wide = definition(spec={"scope": "Cluster"})
    assert causes(KIND, wide, old) == set()
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    assert causes(KIND, wide, old) == {("spec.scope", "Invalid")}


def ruled(rule: str, type_: str = "object", **given: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": type_, "x-kubernetes-validations": [{"rule": rule, **given}]}
    if type_ == "object":
        schema["properties"] = {"size": {"type": "integer"}, "sub-size": {"type": "integer"}}
    return definition(schema)


RULE = f"{ROOT}.x-kubernetes-validations[0]"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (ruled("self.size > 1 && self.sub__dash__size > 2"), set()),
        (ruled("!has(oldSelf.size) || self.size >= oldSelf.size"), set()),
        (ruled("self.size() < 5", "string"), set()),
        (ruled("self.size()", "string"), {(f"{RULE}.rule", "Invalid")}),
        (ruled("oldself == 'x'", "string"), {(f"{RULE}.rule", "Invalid")}),
        (ruled("self.size.depth > 1"), {(f"{RULE}.rule", "Invalid")}),
        (ruled("self.size > 'a'"), {(f"{RULE}.rule", "Invalid")}),
        (ruled("self.depth > 1"), {(f"{RULE}.rule", "Invalid")}),
        (ruled("self.size > 1 && 'self.depth' != ''"), set()),
        (ruled("self.size >\n 1"), {(f"{RULE}.message", "Required")}),
        (ruled("self.size > 1", message="a\nb"), {(f"{RULE}.message", "Invalid")}),
        (ruled("self.size > 1", messageExpression="'at most ' + string(self.size)"), set()),
        (ruled("oldSelf.hasValue() || self == 'a'", "string", optionalOldSelf=True), set()),
        (ruled("self == 'a'", "string", optionalOldSelf=False), {(f"{RULE}.optionalOldSelf", "Invalid")}),
        (ruled("self.size > 1", messageExpression=" "), {(f"{RULE}.messageExpression", "Required")}),
        (ruled("self.size > 1", fieldPath=".size"), set()),
        (ruled("self.size > 1", fieldPath="['sub-size']"), set()),
        (ruled("self.size > 1", fieldPath=".size.depth"), {(f"{RULE}.fieldPath", "Invalid")}),
        (ruled("self.size > 1", fieldPath="size"), {(f"{RULE}.fieldPath", "Invalid")}),
        (ruled("", reason="Odd"), {(f"{RULE}.rule", "Required"), (f"{RULE}.reason", "NotSupported")}),
    ],
)
def test_rules_are_compiled_against_the_schema(content: dict[str, Any], wanted: set[tuple[str, str]]) -> None:
    assert causes(KIND, content) == wanted


def test_loops_over_lists_without_limit_cost_too_much_when_nested() -> None:
    def listed(rule: str, **limits: int) -> dict[str, Any]:
        return definition(
            {"type": "array", "items": {"type": "string"}, **limits, "x-kubernetes-validations": [{"rule": rule}]}
        )

    once, twice = "self.all(a, a != '')", "self.all(a, self.all(b, a != b))"
    assert causes(KIND, listed(once)) == set()
    assert causes(KIND, listed(twice, maxItems=100)) == set()
    assert causes(KIND, listed(twice)) == {
        (f"{RULE}.rule", "Forbidden"),
        ("spec.validation.openAPIV3Schema", "Forbidden"),
    }


def test_conversion_by_webhook_names_one() -> None:
    webhook = {"clientConfig": {"service": {"name": "s", "namespace": "n"}}, "conversionReviewVersions": ["v1"]}
    content = definition(spec={"conversion": {"strategy": "Webhook", "webhook": webhook}})
    assert causes(KIND, content) == set()
    assert written(KIND, content)["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["port"] == 443
    needless = definition(spec={"conversion": {"strategy": "None", "webhook": webhook}})
    assert ("spec.conversion.webhookClientConfig", "Forbidden") in causes(KIND, needless)


def test_metadata_may_be_narrowed_by_name_alone() -> None:
    content = definition()
    properties = content["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}}
    assert causes(KIND, content) == set()
    properties["metadata"]["properties"]["labels"] = {"type": "object"}
    assert causes(KIND, content) == {("spec.validation.openAPIV3Schema.properties[metadata]", "Forbidden")}


def _of(schema: dict[str, Any], **version: Any) -> set[tuple[str, str]]:
    found = causes(KIND, definition({"type": "object", "properties": {"a": schema}}, **version))
    return {(path.removeprefix(f"{ROOT}.properties[a]"), reason) for path, reason in found}


def _items(**item: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}, **item}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "x-kubernetes-map-type": "atomic"}, {(".type", "Invalid")}),
        ({"type": "object", "x-kubernetes-map-type": "odd"}, {(".x-kubernetes-map-type", "NotSupported")}),
        ({"x-kubernetes-preserve-unknown-fields": False}, {(_PRESERVE, "Invalid")}),
        (
            {**_items(), "x-kubernetes-list-map-keys": ["k"]},
            {(".x-kubernetes-list-type", "Required")},
        ),
        (
            {**_items(), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "z"]},
            {(".items.properties[k].default", "Required"), (".x-kubernetes-list-map-keys", "Invalid")},
        ),
        (
            {**_items(required=["k"]), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
            set(),
        ),
        ({**_items(), "x-kubernetes-list-type": "set"}, {(".items.x-kubernetes-map-type", "Invalid")}),
        ({"type": "object", "patternProperties": {"x": {"type": "string"}}}, {(".patternProperties", "Forbidden")}),
        ({"type": "null"}, {(".type", "Forbidden"), (".type", "NotSupported")}),
        ({"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]}, set()),
        ({"type": "object", "oneOf": [{"additionalProperties": False, "externalDocs": {"url": "x"}}]}, set()),
        ({"type": "array", "items": {}}, {(".items.type", "Required")}),
        ({"type": "string", "$schema": "x"}, {(ROOT.partition(".properties")[0], "Invalid")}),
        (
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "default": ["a", "a"]},
            set(),
        ),
        (
            {"type": "array", "items": {"type": "string"}, "default": ["a", 1]},
            {(".default.[1]", "TypeInvalid")},
        ),
        ({"type": "integer", "anyOf": [{"type": "string"}, {"type": "integer"}]}, _TWICE),
        ({"type": "integer", "anyOf": [{"type": "integer"}, {"type": "string"}]}, set()),
        (
            {"type": "string", "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}], "title": "T"}]},
            {(".allOf[0].title", "Forbidden")},
        ),
        ({"type": "object", "dependencies": {}}, {(".dependencies", "Forbidden")}),
        ({"type": "object", "definitions": {}}, set()),
        ({"type": "string", "additionalItems": False}, {(".additionalItems", "Forbidden")}),
        ({"type": "string", "anyOf": [{"type": "null", "pattern": "("}]}, _IN_ANY_OF),
        ({"x-kubernetes-embedded-resource": True}, {(".type", "Required"), (".properties", "Required")}),
        (
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "array", "items": {"type": "string"}}},
            set(),
        ),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
            {(".items", "Required")},
        ),
        (
            {
                **_items(required=["k"], properties={"k": {"type": "string", "nullable": True}}),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
            {(".items.properties[k].nullable", "Forbidden")},
        ),
        (
            {"type": "object", "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]},
            {(".allOf[0].x-kubernetes-validations", "Forbidden")},
        ),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, set()),
        (
            {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": False},
            {(".additionalProperties", "Forbidden")},
        ),
        ({"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": True}, set()),
        (
            {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
            {(".items.x-kubernetes-validations[0].rule", "Invalid")},
        ),
    ],
)
def test_a_property_that_is_not_structural_is_blamed(schema: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert _of(schema) == expected


def test_a_root_with_a_status_subresource_says_nothing_beside_its_properties() -> None:
    source = {"type": "object", "properties": {"spec": {"type": "object"}}, "minProperties": 1}
    content = definition(subresources={"status": {}})
    content["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": source}
    assert causes(KIND, content) == {("spec.validation.openAPIV3Schema", "Invalid")}


def root(**given: Any) -> dict[str, Any]:
    content = definition(subresources={"status": {}} if given.pop("status", False) else {})
    content["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"type": "object"} | given}
    return content


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (root(additionalProperties={"type": "string"}), {("", "additionalProperties", "Forbidden")}),
        (root(type=None, **{"x-kubernetes-preserve-unknown-fields": True}), set()),
        (root(type="array", items={"type": "string"}), {("", "type", "Invalid")}),
        (
            root(properties={"a": {"type": "string"}}, anyOf=[{"properties": {"b": {"minimum": 1}}}]),
            {("properties[b]", "Required")},
        ),
        (
            root(default={}),
            {("default", "apiVersion", "Required"), ("default", "kind", "Required")},
        ),
        (root(nullable=True, status=True), {("", "", "Invalid"), ("", "nullable", "Forbidden")}),
        (
            root(properties={"metadata": {"type": "object", "default": {}}}),
            {("properties[metadata]", "default", "Forbidden")},
        ),
        (
            root(properties={"kind": {"type": "string", "default": "Boat"}}),
            {("properties[kind]", "default", "Forbidden")},
        ),
    ],
)
def test_what_stands_at_the_root_is_the_object_itself(
    content: dict[str, Any], wanted: set[tuple[str, str, str]]
) -> None:
    parts = {(".".join(part for part in ("spec.validation.openAPIV3Schema", *path) if part), r) for *path, r in wanted}
    assert causes(KIND, content) == parts


def test_defaults_and_rules_are_told_only_of_a_schema_that_is_structural() -> None:
    ruled_and_filled = {
        "type": "object",
        "properties": {"a": {"type": "integer", "default": "x"}},
        "x-kubernetes-validations": [{"rule": "self.nothing"}],
    }
    assert causes(KIND, definition(ruled_and_filled)) == {(f"{ROOT}.properties[a].default", "TypeInvalid")}
    ruled_and_filled["properties"] |= {"b": {"type": "array"}}  # type: ignore[operator]
    assert causes(KIND, definition(ruled_and_filled)) == {(f"{ROOT}.properties[b].items", "Required")}


def test_a_name_is_blamed_once_for_all_that_is_wrong_with_it() -> None:
    long = "B" * 70
    content = definition(spec={"names": {"plural": "boats", "kind": "Boat", "shortNames": [long]}, "group": f"{long}."})
    assert KIND.validate is not None
    paths = [error.path for error in KIND.validate(written(KIND, content), None)]
    assert (paths.count("spec.names.shortNames[0]"), paths.count("spec.group")) == (1, 1)


def test_a_column_may_have_any_path_from_the_root() -> None:
    odd = {"name": "A", "type": "string", "jsonPath": ".spec[?("}
    assert causes(KIND, definition(additionalPrinterColumns=[odd])) == set()


def test_a_schema_that_stays_as_it_was_stored_is_not_looked_at_again() -> None:
    content = definition({"type": "object", "properties": {"a": {"type": "null"}}})
    assert causes(KIND, content, written(KIND, content)) == set()


def test_formats_that_constrain_nothing_are_warned_of_once_and_not_again() -> None:
    assert KIND.warn is not None
    properties = {
        "a": {"type": "string", "format": "ip"},
        "b": {"type": "array", "items": {"type": "string", "format": "ip"}},
        "c": {"type": "integer", "format": "date"},
        "d": {"type": "string", "format": "date-time"},
    }
    new = definition({"type": "object", "properties": properties})
    assert list(KIND.warn(new, None)) == ['unrecognized format "ip"', 'unrecognized format "date"']
    assert list(KIND.warn(new, definition(properties["a"]))) == ['unrecognized format "date"']


def test_an_approval_is_a_link_or_says_that_there_is_none_and_stays_as_it_is_stored() -> None:
    field = "metadata.annotations[api-approved.kubernetes.io]"
    written_off = definition(spec={"group": "x.k8s.io"})
    for given, reason in (("http://", "Invalid"), ("x", "Invalid"), ("https://a.test/1", ""), ("unapproved, yet", "")):
        content = definition(spec={"group": "x.k8s.io"})
        content["metadata"]["annotations"] = {"api-approved.kubernetes.io": given}
        assert causes(KIND, content) - causes(KIND, written_off) == ({(field, reason)} if reason else set())
        assert (field, reason) not in causes(KIND, content, written(KIND, content))


def test_at_most_eight_fields_select_however_often_each_is_named() -> None:
    properties = {f"s{i}": {"type": "string"} for i in range(9)}
    paths = [{"jsonPath": f".spec.s{i}"} for i in range(9)]
    assert causes(KIND, definition({"type": "object", "properties": properties}, selectableFields=paths)) == {
        ("spec.selectableFields", "TooMany")
    }
    repeated = [{"jsonPath": ".spec.s0"}] * 9
    assert causes(KIND, definition({"type": "object", "properties": properties}, selectableFields=repeated)) == {
        (f"spec.selectableFields[{i}].jsonPath", "Duplicate") for i in range(1, 9)
    }
