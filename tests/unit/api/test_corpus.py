"""Replays recorded writes and tables of the workload kinds through their rules alone, and compares the answers.

The recordings stand beside the repository where it is developed; elsewhere nothing is collected.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mizzen.api.kind import Kind
from mizzen.machinery import times
from mizzen.machinery.errors import Object

from .rules_alone import CREATED, NAMESPACE, Invalid, Rules, Target

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "cases"
OWN = {
    "": {
        "pods",
        "podtemplates",
        "replicationcontrollers",
        "nodes",
        "namespaces",
        "events",
        "limitranges",
        "resourcequotas",
        "serviceaccounts",
    },
    "apps": {"deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"},
    "batch": {"jobs", "cronjobs"},
    "autoscaling": {"horizontalpodautoscalers"},
    "policy": {"poddisruptionbudgets"},
    "scheduling.k8s.io": {"priorityclasses"},
    "node.k8s.io": {"runtimeclasses"},
    "coordination.k8s.io": {"leases"},
    "events.k8s.io": {"events"},
}
NEWER = {
    "Pod: container restart policy Always on an ordinary container": "allowed since container restart rules",
    "Pod: procMount unknown": "checked since procMount is on by default",
    "CronJob: zone in the schedule": "refused since 1.29, as documented",
    "table of jobs": "an end needs its reason (SuccessCriteriaMet, FailureTarget) since 1.31",
    "table of hpas v1": "targets tell what they are of since 1.31",
    "table of hpas v2": "targets tell what they are of since 1.31",
}
"""Recorded answers that 1.37 gives otherwise, with the reason."""
NEWER_COLUMNS = {"Job": {"Status"}, "CronJob": {"Timezone"}}
"""Columns that tables have since 1.31."""
NEEDS_MORE = (
    "decoding",
    "runtime class",
    "priority class",
    "limit range, with",
    "service account",
    "limit=",
    "resourceVersion",
    "terminating",
    "being deleted",
    "toleration may be added",
    "volume may not be added",
    "PUT of the first manifest again",
)
"""Words in the names of cases that are about more than the rules of a kind."""
FROM_ADMISSION = {"tolerations", "priority", "preemptionPolicy", "serviceAccount", "serviceAccountName"}
MASKED = {"uid", "resourceVersion", "creationTimestamp", "time", "lastTransitionTime", "age"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PATCHES = ("merge-patch", "json-patch")
NOW = times.parse(CREATED) + 100 * times.DAY


def _target(step: dict[str, Any]) -> Target | None:
    """What a step is about, if it is about a kind of these and only needs its rules."""
    try:
        target = Target(step["path"])
    except LookupError:
        return None
    kind = target.kind
    assert kind is not None
    known = kind.plural in OWN.get(kind.group, ())
    if target.sub not in {"", "status", "ephemeralcontainers"} or not known:
        return None
    as_table = "as=Table" in step.get("accept", "")
    fits = {
        "POST": not target.name and isinstance(step.get("body"), dict) and not as_table,
        "PUT": bool(target.name) and isinstance(step.get("body"), dict),
        "PATCH": any(word in step.get("type", "") for word in PATCHES),
        "GET": as_table and "?" not in step["path"],
        "DELETE": bool(target.name),
    }
    return target if fits.get(step["method"]) else None


def _cases() -> Iterator[Any]:
    if not CORPUS.is_dir():
        print("no recordings beside the repository: their replay is not collected")
        return
    for file in ("defaults.json", "validation.json", "tables.json", "patches.json"):
        for case in json.loads((CORPUS / file).read_text().replace("{ns}", NAMESPACE)):
            name = case["name"]
            if name in NEWER or case.get("managedFields") or any(word in name for word in NEEDS_MORE):
                continue
            steps = [step for step in case["steps"] if step["method"] != "DELETE"]
            if all(_target(step) for step in steps):
                yield pytest.param(steps, id=name)


CASES = tuple(_cases())


@pytest.mark.parametrize("steps", CASES)
def test_recorded_requests_are_answered_alike(steps: list[dict[str, Any]]) -> None:
    rules = Rules()
    for step in steps:
        want, code = step["expect"]["body"], step["expect"]["code"]
        target = _target(step)
        assert target is not None
        if step["method"] == "GET":
            if code == 200:
                _compare_table(rules, target, want)
            continue
        if not _is_comparable(step):
            continue
        try:
            got = rules.create(target, step["body"]) if step["method"] == "POST" else _update(rules, target, step)
        except Invalid as refused:
            assert code == 422, refused.errors
            assert _causes(refused) == _recorded_causes(want)
            continue
        assert code != 422, _recorded_causes(want)
        if want != "*":
            assert target.kind is not None
            assert _missing(_before_admission(want, target.kind), _before_admission(got, target.kind)) == []


def _is_comparable(step: dict[str, Any]) -> bool:
    """Whether the answer is the object, or says which fields are wrong."""
    want = step["expect"]["body"]
    if step["expect"]["code"] in {200, 201}:
        return True
    causes = (want.get("details") or {}).get("causes") or ()
    return step["expect"]["code"] == 422 and bool(causes) and causes[0].get("field") != "patch"


def _update(rules: Rules, target: Target, step: dict[str, Any]) -> Object:
    return rules.update(target, step["body"], step.get("type", "") if step["method"] == "PATCH" else "")


def _causes(refused: Invalid) -> list[tuple[str, str]]:
    return sorted((error.path, str(error.cause)) for error in refused.errors)


def _recorded_causes(want: Object) -> list[tuple[str, str]]:
    return sorted((cause.get("field", ""), cause["reason"]) for cause in want["details"]["causes"])


def _compare_table(rules: Rules, target: Target, want: Object) -> None:
    kind = target.kind
    assert kind is not None
    columns = [(one["name"], one["type"], one["format"], one["priority"]) for one in want["columnDefinitions"]]
    if kind.table is None:
        assert columns == [("Name", "string", "name", 0), ("Created At", "date", "", 0)]
        return
    newer = NEWER_COLUMNS.get(kind.kind, set())
    known = [at for at, one in enumerate(kind.table.columns) if one.name not in newer]
    ours = [kind.table.columns[at] for at in known]
    assert [(one.name, one.type, one.format, one.priority) for one in ours] == columns
    objects = [rules.read(kind, target.name)] if target.name else rules.listed(kind)
    recorded = [row for row in want["rows"] or () if row["cells"][0] != "default"]
    assert len(objects) == len(recorded)
    for object_, row in zip(objects, recorded, strict=True):
        cells = list(kind.table.row(object_, NOW))
        assert _missing(row["cells"], [cells[at] for at in known]) == []
        assert row.get("conditions", []) == list(kind.table.conditions(object_) if kind.table.conditions else ())


def _missing(want: Any, got: Any, path: str = "") -> list[str]:
    """What was recorded and is not there, or is otherwise."""
    if want == "*":
        return []
    if isinstance(want, dict) and isinstance(got, dict):
        found = []
        for key, value in want.items():
            if key in MASKED and value == "*":
                continue
            found += [f"{path}.{key}: absent"] if key not in got else _missing(value, got[key], f"{path}.{key}")
        return found
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [line for i, pair in enumerate(zip(want, got, strict=True)) for line in _missing(*pair, f"{path}[{i}]")]
    if isinstance(got, str):
        got = UUID.sub("<uid>", got)
    return [] if want == got else [f"{path}: recorded {want!r}, here {got!r}"]


def _before_admission(object_: Object, kind: Kind) -> Object:
    """A pod as it is before admission adds an account, a token, tolerations and a priority; a node without taint."""
    object_ = json.loads(json.dumps(object_))
    object_["metadata"].pop("generation", None)
    if kind.kind == "Node":
        taints = [one for one in object_["spec"].get("taints") or () if one["key"] != "node.kubernetes.io/not-ready"]
        return {**object_, "spec": {**object_["spec"], "taints": taints}}
    if kind.kind != "Pod":
        return object_
    spec = {key: value for key, value in object_["spec"].items() if key not in FROM_ADMISSION}
    spec["volumes"] = [one for one in spec.get("volumes") or () if not one["name"].startswith("kube-api-access")]
    for container in (*spec.get("initContainers", ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or ()
        container["volumeMounts"] = [one for one in mounts if not one["name"].startswith("kube-api-access")]
    return {**object_, "spec": spec}


def test_default_is_idempotent_on_recorded_bodies() -> None:
    for case in CASES:
        step = case.values[0][0]
        target = _target(step)
        assert target is not None
        if step["method"] != "POST" or target.kind is None or target.kind.default is None:
            continue
        once = {"metadata": {}, **json.loads(json.dumps(step["body"]))}
        try:
            target.kind.default(once)
        except (AttributeError, TypeError, ValueError):
            assert step["expect"]["code"] == 400, "only what does not decode may break defaulting"
            continue
        twice = json.loads(json.dumps(once))
        target.kind.default(twice)
        assert twice == once
