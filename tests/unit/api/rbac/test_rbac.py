from typing import Any

from mizzen.api.rbac.clusterrole import CLUSTER_ROLE
from mizzen.api.rbac.clusterrolebinding import CLUSTER_ROLE_BINDING
from mizzen.api.rbac.role import ROLE
from mizzen.api.rbac.rolebinding import ROLE_BINDING

from ..written import causes, cells, written

GROUP = "rbac.authorization.k8s.io"


def binding(*subjects: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    return {"metadata": {"name": "b"}, "roleRef": {"kind": kind, "name": "r"}, "subjects": list(subjects)}


def test_roles_and_people_belong_to_the_rbac_group_and_accounts_do_not() -> None:
    stored = written(ROLE_BINDING, binding({"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}))
    assert stored["roleRef"]["apiGroup"] == GROUP
    assert stored["subjects"][0]["apiGroup"] == GROUP
    assert "apiGroup" not in stored["subjects"][1]


def test_a_role_without_rules_says_null() -> None:
    assert written(ROLE, {})["rules"] is None


def test_paths_stand_alone_and_only_in_cluster_roles() -> None:
    paths = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    assert causes(CLUSTER_ROLE, {"rules": [paths]}) == set()
    assert causes(CLUSTER_ROLE, {"rules": [paths | {"resources": ["pods"]}]}) == {
        ("rules[0].nonResourceURLs", "Invalid")
    }
    assert causes(ROLE, {"rules": [paths]}) == {("rules[0].nonResourceURLs", "Invalid")}


def test_an_account_in_a_cluster_wide_binding_has_a_namespace() -> None:
    account = {"kind": "ServiceAccount", "name": "s"}
    assert causes(CLUSTER_ROLE_BINDING, binding(account, kind="ClusterRole")) == {("subjects[0].namespace", "Required")}
    assert causes(ROLE_BINDING, binding(account)) == set()


def test_subjects_are_of_known_kinds() -> None:
    assert causes(ROLE_BINDING, binding({"kind": "Robot", "name": "r"})) == {("subjects[0].kind", "NotSupported")}
    odd = {"kind": "ServiceAccount", "name": "s", "apiGroup": "acme.test"}
    assert causes(ROLE_BINDING, binding(odd)) == {("subjects[0].apiGroup", "NotSupported")}


def test_the_role_of_a_binding_may_not_change() -> None:
    old = written(ROLE_BINDING, binding())
    assert causes(ROLE_BINDING, binding(kind="ClusterRole"), old) == {("roleRef", "Invalid")}


def test_a_binding_shows_who_it_is_for() -> None:
    row = cells(
        ROLE_BINDING, binding({"kind": "Group", "name": "g"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"})
    )
    assert (row["Role"], row["Users"], row["Groups"], row["ServiceAccounts"]) == ("Role/r", "", "g", "n/s")


def test_names_of_roles_need_only_fit_a_path() -> None:
    assert ROLE.check_name is not None
    assert list(ROLE.check_name("system:node-proxier")) == []
    assert list(ROLE.check_name("a/b")) != []
