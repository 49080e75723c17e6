"""Recorded creates and updates of the original API server, run through a kind's pure rules alone.

Decode → default → prepare → validate, as the registry does; what needs the rest of the server (allocators, admission,
other requests) is for `corpus.py check` against a running one. The recordings stand beside the repository where it is
developed; without them there is nothing to collect.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mizzen.api import meta
from mizzen.api.kind import Kind
from mizzen.api.kinds import KINDS
from mizzen.machinery import decode, schema
from mizzen.machinery.errors import FieldError, Object

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "cases"
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/[^/]+)?/(?P<plural>[^/?]+)(?P<rest>.*)"
)
_ANSWER = re.compile(r"\{\w+\.[\w.]+\}")
"""What stands for a value of an earlier answer."""
_BY_RESOURCE = {(kind.group, kind.plural): kind for kind in KINDS}
_NAMESPACE = "ns-1"
Complete = Callable[[Kind, Object, Object | None], list[FieldError]]
"""Stands in for what the server adds between preparation and validation (addresses, ports)."""


@dataclass(frozen=True)
class Step:
    """One request of a case, with what the original answered."""

    method: str
    kind: Kind
    path: str
    type: str
    body: Any
    code: int
    answer: Any


@dataclass(frozen=True)
class Case:
    """A recorded case whose requests are all creates and updates of built-in kinds."""

    name: str
    steps: tuple[Step, ...]


def cases(file: str, wanted: Callable[[Kind], bool]) -> Iterator[Case]:
    """The cases of a recording whose requests all are writes of wanted kinds."""
    recording = CORPUS / f"{file}.json"
    if not recording.exists():
        print(f"no recordings at {CORPUS}: nothing to replay")
        return
    for case in json.loads(recording.read_text().replace("{ns}", _NAMESPACE)):
        writes = [step for step in case["steps"] if step["method"] != "DELETE"]
        steps = tuple(filter(None, map(_step, writes)))
        if steps and len(steps) == len(writes) and all(wanted(step.kind) for step in steps):
            yield Case(case["name"], steps)


def _step(step: Object) -> Step | None:
    found = _PATH.fullmatch(step["path"])
    kind = _BY_RESOURCE.get((found["group"] or "", found["plural"])) if found else None
    body = step.get("body")
    if not found or kind is None or not isinstance(body, dict) or _ANSWER.search(json.dumps(step)):
        return None
    name, _, subresource = found["rest"].partition("?")[0].strip("/").partition("/")
    if (step["method"] == "POST") == bool(name) or subresource or step["method"] not in {"POST", "PATCH", "PUT"}:
        return None
    if step["method"] == "PATCH" and "merge-patch" not in step.get("type", ""):
        return None
    if "fieldValidation" in step["path"]:
        return None
    expect = step["expect"]
    return Step(step["method"], kind, step["path"], step.get("type", ""), body, expect["code"], expect["body"])


def differences(case: Case, complete: Complete) -> list[str]:
    """Where the rules disagree with the recording; nothing when they agree."""
    stored: dict[tuple[str, str], Object] = {}
    found: list[str] = []
    for step in case.steps:
        old = stored.get((step.kind.plural, step.path.rpartition("/")[2])) if step.method != "POST" else None
        if step.method != "POST" and old is None:
            return found
        body = _merged(old, step.body) if step.method == "PATCH" else json.loads(json.dumps(step.body))
        try:
            new, errors = _written(step.kind, body, old, complete)
        except decode.DecodeError as failure:
            if step.code != 400:
                found.append(f"{step.method}: does not decode: {failure}")
            continue
        found += _compared(step, new, errors)
        if not errors:
            stored[step.kind.plural, new["metadata"].get("name", "")] = new
    return found


def _written(kind: Kind, body: Object, old: Object | None, complete: Complete) -> tuple[Object, list[FieldError]]:
    definition = schema.registry.find(kind.group, kind.version, kind.kind)
    assert definition is not None, kind
    new = decode.decode(json.dumps(body).encode(), definition).object
    new["apiVersion"], new["kind"] = kind.api_version, kind.kind
    metadata = new.setdefault("metadata", {})
    if kind.namespaced:
        metadata["namespace"] = _NAMESPACE
    if old is None:
        if kind.verbs != ("create",):  # else it is answered, never stored
            metadata.update(uid="00000000-0000-0000-0000-000000000001", creationTimestamp="2026-01-01T00:00:00Z")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = meta.generated_name(metadata["generateName"], "x2x2x")
    else:
        meta.carry_over(new, old)
    if kind.default is not None:
        kind.default(new)
    if kind.prepare is not None:
        kind.prepare(new, old)
    errors = complete(kind, new, old)
    if not errors:
        # Reviews are answered, not stored: they need no name.
        errors = [] if kind.verbs == ("create",) else list(meta.validate(kind, new, old))
        if kind.validate is not None:
            errors += kind.validate(new, old)
    return new, errors


def _merged(target: Any, patch: Any) -> Any:
    """JSON merge patch, on copies."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return json.loads(json.dumps(result))


def created(case: Case) -> Iterator[tuple[Kind, Object]]:
    """What the rules make of the objects that a case creates, as far as they are accepted."""
    for step in case.steps:
        if step.method == "POST" and step.code == 201:
            new, errors = _written(step.kind, json.loads(json.dumps(step.body)), None, lambda *_: [])
            if not errors:
                yield step.kind, new


def _compared(step: Step, new: Object, errors: list[FieldError]) -> Iterator[str]:
    got = sorted((error.path, str(error.cause)) for error in errors)
    if step.code == 422:
        causes = (step.answer.get("details") or {}).get("causes") or []
        want = sorted((cause.get("field", ""), cause.get("reason", "")) for cause in causes)
        if want != got:
            yield f"{step.method}: recorded causes {want}, here {got}"
    elif step.code in {200, 201}:
        if got:
            yield f"{step.method}: recorded as fine, here {[str(error) for error in errors]}"
        elif isinstance(step.answer, dict):
            yield from _missing(step.answer, new, "")
    elif step.code == 400 and not got:
        yield f"{step.method}: recorded as {step.code} {step.answer.get('message')}, here fine"


_UNSEEN = {"metadata.resourceVersion", "metadata.generation", "metadata.finalizers", "metadata.managedFields"}


def _missing(want: Any, got: Any, path: str) -> Iterator[str]:
    if want == "*" or path in _UNSEEN:
        return
    if isinstance(want, dict) and isinstance(got, dict):
        for key, value in want.items():
            inner = f"{path}.{key}" if path else key
            if key in got:
                yield from _missing(value, got[key], inner)
            elif inner not in _UNSEEN:
                yield f"{inner}: recorded {json.dumps(value)}, here absent"
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from _missing(one, other, f"{path}[{i}]")
    elif want != got:
        yield f"{path}: recorded {json.dumps(want)}, here {json.dumps(got)}"
