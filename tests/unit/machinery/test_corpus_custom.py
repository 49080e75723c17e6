"""Replays recorded custom resource definitions and objects through the schema checks, values and rules alone.

The recordings stand beside the repository where it is developed; elsewhere conftest.py leaves this file out.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mizzen.machinery import structural, values
from mizzen.machinery.cel import rules
from mizzen.machinery.schema import Schema

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "cases"
AT = "spec.validation.openAPIV3Schema"


def recorded() -> list[dict[str, Any]]:
    files = (CORPUS / "patches.json", CORPUS / "validation.json")
    cases = [case for file in files for case in json.loads(file.read_text())]
    return [case for case in cases if any(root_schema(step) for step in case["steps"])]


def root_schema(step: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a definition of one version that a step creates."""
    body = step.get("body")
    if step["method"] != "POST" or not isinstance(body, dict) or body.get("kind") != "CustomResourceDefinition":
        return None
    versions = body["spec"]["versions"]
    return (versions[0].get("schema") or {}).get("openAPIV3Schema") if len(versions) == 1 else None


CASES = recorded()


def causes(step: dict[str, Any]) -> set[tuple[str, str]]:
    answer = step["expect"]["body"]
    details = (answer.get("details") or {}) if isinstance(answer, dict) else {}
    return {(cause.get("field", ""), cause["reason"]) for cause in details.get("causes", ())}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_recorded_definition_and_its_objects_are_judged_alike(case):
    schema: Schema | None = None
    kind = ""
    for step in case["steps"]:
        source, body = root_schema(step), step.get("body")
        if source is not None:
            built = structural.build(source)
            found = [*structural.check(source, AT), *rules.check_wording(built, AT), *rules.check_rules(built, AT)]
            wanted = {cause for cause in causes(step) if cause[0].startswith(AT)}
            assert {(error.path, str(error.cause)) for error in found} == wanted
            if step["expect"]["code"] == 201:
                schema, kind = built, step["body"]["spec"]["names"]["kind"]
        elif schema is not None and step["method"] == "POST" and isinstance(body, dict) and body.get("kind") == kind:
            if step["expect"]["code"] not in {201, 422}:
                continue
            judge(step, copy.deepcopy(body), schema)


def judge(step: dict[str, Any], body: dict[str, Any], schema: Schema) -> None:
    structural.prune(body, schema)
    structural.default(body, schema)
    found = list(values.validate(body, schema)) or list(rules.validate(body, schema))
    wanted = {cause for cause in causes(step) if not cause[0].startswith(("metadata", "kind"))}
    assert {(error.path, str(error.cause)) for error in found} == wanted
    if step["expect"]["code"] == 201:
        assert body.get("spec") == step["expect"]["body"].get("spec")
