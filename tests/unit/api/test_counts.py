"""How often an update reports one mistake: the registry looks once, the kinds' own rules as often as they like."""

from typing import Any

import pytest

from mizzen.api import meta
from mizzen.api.coordination.lease import LEASE
from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.limitrange import LIMIT_RANGE
from mizzen.api.core.node import NODE
from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.podtemplate import POD_TEMPLATE
from mizzen.api.kind import Kind
from mizzen.api.policy.poddisruptionbudget import POD_DISRUPTION_BUDGET
from mizzen.api.rbac.role import ROLE

from .written import written


def _metadata(kind: Kind, **changes: Any) -> dict[str, Any]:
    own = {"name": "x", "uid": "u", **({"namespace": "n"} if kind.namespaced else {})}
    return {"metadata": {**own, **changes}}


@pytest.mark.parametrize(
    ("kind", "labels", "uid"),
    [
        (CONFIG_MAP, 4, 2),
        (PERSISTENT_VOLUME_CLAIM, 5, 2),
        (PERSISTENT_VOLUME, 4, 1),
        (LIMIT_RANGE, 3, 1),
        (POD_TEMPLATE, 3, 2),
        (POD_DISRUPTION_BUDGET, 2, 1),
        (ROLE, 5, 2),
    ],
)
def test_a_bad_label_and_a_foreign_uid_are_reported_as_often_as_they_are_seen(
    kind: Kind, labels: int, uid: int
) -> None:
    old = _metadata(kind)
    assert len(list(meta.validate(kind, _metadata(kind, labels={"a b": ""}), old))) == labels
    assert len(list(meta.validate(kind, _metadata(kind, uid="other"), old))) == uid


def test_a_finalizer_without_a_domain_is_refused_except_where_nobody_asks_for_one() -> None:
    old = _metadata(CONFIG_MAP)
    new = _metadata(CONFIG_MAP, finalizers=["mine"])
    assert [error.path for error in meta.validate(CONFIG_MAP, new, old)] == ["metadata.finalizers[0]"] * 2
    assert list(meta.validate(LEASE, new, old)) == []
    assert list(meta.validate(LEASE, new, None)) == []


@pytest.mark.parametrize(
    ("kind", "content", "path"),
    [
        (ROLE, {"rules": [{"apiGroups": [""], "resources": ["pods"]}]}, "rules[0].verbs"),
        (NODE, {"spec": {"taints": [{"key": "k"}]}}, "metadata.taints[0].effect"),
        (
            PERSISTENT_VOLUME_CLAIM,
            {"spec": {"accessModes": ["Odd"], "resources": {"requests": {"storage": "1"}}}},
            "spec.accessModes",
        ),
    ],
)
def test_some_rules_look_at_an_update_twice(kind: Kind, content: dict[str, Any], path: str) -> None:
    assert kind.validate
    new = written(kind, content)
    assert [error.path for error in kind.validate(new, None)] == [path]
    assert [error.path for error in kind.validate(new, new)] == [path] * 2
