"""Replays the recorded patches and applies through the pure functions alone: what they answer, and who owns what.

The recordings stand beside the repository where it is developed; elsewhere conftest.py leaves this file out.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mizzen.machinery.decode import normalise
from mizzen.machinery.errors import ApiError
from mizzen.machinery.patch import json as json_patch
from mizzen.machinery.patch import merge, strategic
from mizzen.machinery.patch.apply import Writer, apply, record_update
from mizzen.machinery.schema import registry

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "cases" / "patches.json"
NOW = "2026-01-01T00:00:00Z"
SERVER_ONLY = {
    "apply: container without a name and duplicate names": "the refusal is validation's, which does not run here",
    "managedFields of a pod, its binding and its status": "the recording's answer holds what admission added",
    "merge patch: resourceVersion as precondition": "the server compares resource versions",
}
"""Cases whose answer needs more than these functions, with the reason."""


def recorded() -> list[dict[str, Any]]:
    text = CORPUS.read_text()
    for key in ("Timestamp", "Time"):
        text = text.replace(f'{key}": "*"', f'{key}": "{NOW}"')
    text = text.replace('"time": "*"', f'"time": "{NOW}"').replace('"clusterIPs": "*"', '"clusterIPs": ["10.0.0.1"]')
    return [case for case in json.loads(text) if case["name"] not in SERVER_ONLY]


CASES = recorded()
PATCHES = [case for case in CASES if case["name"].startswith(("json patch", "merge patch", "strategic"))]
OWNERSHIP = [case for case in CASES if case.get("managedFields")]

_IDENTITY = {"kind", "apiVersion", "metadata", "status"}


def schema_of(thing: dict[str, Any]) -> Any:
    group, _, version = thing.get("apiVersion", "").rpartition("/")
    return registry.find(group, version, thing.get("kind", ""))


def patched(live: dict[str, Any], body: Any, media: str) -> dict[str, Any]:
    if "json-patch" in media:
        return json_patch.apply(live, body)
    if "merge-patch+json" in media and "strategic" not in media:
        return merge.apply(live, body)
    return strategic.apply(live, body, schema_of(live))


def differences(want: Any, got: Any, path: str = "") -> list[str]:
    """Where an outcome says something that the recording does not; the server fills in more than these functions."""
    if want == "*":
        return []
    if isinstance(want, dict) and isinstance(got, dict):
        return [
            each
            for key, inner in got.items()
            for each in (
                [f"{path}.{key} absent"] if key not in want else differences(want[key], inner, f"{path}.{key}")
            )
        ]
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [each for pair in zip(want, got, strict=True) for each in differences(*pair, f"{path}[]")]
    return [] if want == got else [f"{path}: {want!r} != {got!r}"]


def is_object(step: dict[str, Any]) -> bool:
    answer = step["expect"]["body"]
    return (
        step["expect"]["code"] in {200, 201}
        and isinstance(answer, dict)
        and answer.get("kind") not in {"Status", "Scale", "Binding", "Eviction"}
        and bool((answer.get("metadata") or {}).get("name"))
    )


def remember(live: dict[str, Any], step: dict[str, Any]) -> None:
    path = step["path"].split("?")[0]
    if step["method"] == "DELETE":
        live.pop(path, None)
    elif is_object(step) and "dryRun" not in step["path"]:
        answer = step["expect"]["body"]
        parts = path.split("{ns}/")[-1].split("/")
        key = path if step["method"] != "POST" else f"{path}/{answer['metadata']['name']}"
        live[key if len(parts) < 3 else path.rpartition("/")[0]] = answer


def wanted_values(thing: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in thing.items() if key not in _IDENTITY}


@pytest.mark.parametrize("case", PATCHES, ids=lambda case: case["name"])
def test_a_patch_answers_what_was_recorded(case):
    live: dict[str, Any] = {}
    for step in case["steps"]:
        current = live.get(step["path"].split("?")[0])
        body = step.get("body")
        if step["method"] == "PATCH" and current is not None and schema_of(current) and not isinstance(body, str):
            expected = step["expect"]
            try:
                outcome = patched(current, body, step.get("type", ""))
                outcome = normalise(copy.deepcopy(outcome), schema_of(current))
            except (ApiError, ValueError) as error:
                assert expected["code"] >= 400, error
                code = error.code if isinstance(error, ApiError) else 422
                assert expected["code"] in {code, 500}
            else:
                assert expected["code"] not in {500, 409}
                if expected["code"] == 200:
                    assert differences(wanted_values(expected["body"]), wanted_values(outcome)) == []
                    for key in ("labels", "annotations", "finalizers"):
                        assert expected["body"]["metadata"].get(key) == outcome["metadata"].get(key)
        remember(live, step)


def query(step: dict[str, Any]) -> dict[str, str]:
    text = step["path"].partition("?")[2]
    return dict(pair.split("=", 1) for pair in text.split("&")) if text else {}


def is_write_of_a_manager(step: dict[str, Any]) -> bool:
    manager = query(step).get("fieldManager", "")
    subresource = len(step["path"].split("?")[0].split("{ns}/")[-1].split("/")) > 2
    return (
        0 < len(manager) < 100
        and "%" not in manager
        and not subresource
        and isinstance(step.get("body"), dict | list)
        and step["method"] in {"POST", "PUT", "PATCH"}
        and isinstance(step["expect"]["body"], dict)
        and step["expect"]["code"] not in {400, 404}
    )


def managed_after(step: dict[str, Any], current: dict[str, Any] | None) -> list[Any]:
    """The managedFields that a step leaves, without times."""
    body, answer = step["body"], step["expect"]["body"]
    reference = current or body
    schema = schema_of(reference)
    writer = Writer(query(step)["fieldManager"], reference["apiVersion"], NOW, reset={"f:status": {}})
    if "apply" in step.get("type", ""):
        force = query(step).get("force") == "true"
        outcome = apply(current, copy.deepcopy(body), writer, schema, force=force)
        managed = outcome["metadata"].get("managedFields", [])
    elif step["method"] == "PATCH":
        assert current is not None
        managed = record_update(current, patched(current, body, step["type"]), writer, schema)
    else:
        new = copy.deepcopy(answer)
        new["metadata"].pop("managedFields", None)
        managed = record_update(current if step["method"] == "PUT" else None, new, writer, schema)
    return without_times(managed)


def without_times(managed: list[Any]) -> list[Any]:
    bare = [{key: value for key, value in entry.items() if key != "time"} for entry in managed]
    return sorted(bare, key=lambda entry: (entry["operation"], entry["manager"]))


@pytest.mark.parametrize("case", OWNERSHIP, ids=lambda case: case["name"])
def test_a_write_leaves_the_owners_that_were_recorded(case):
    live: dict[str, Any] = {}
    for step in case["steps"]:
        current = live.get(step["path"].split("?")[0])
        reference = current or (step.get("body") if isinstance(step.get("body"), dict) else {})
        if is_write_of_a_manager(step) and schema_of(reference):
            expected = step["expect"]
            if is_object(step):
                assert managed_after(step, current) == without_times(
                    expected["body"]["metadata"].get("managedFields", [])
                )
            elif expected["code"] == 409 and "apply" in step.get("type", ""):
                with pytest.raises(ApiError) as caught:
                    managed_after(step, current)
                assert caught.value.message == expected["body"]["message"]
        remember(live, step)
