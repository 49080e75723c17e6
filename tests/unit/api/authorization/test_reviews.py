from mizzen.api.authorization.localsubjectaccessreview import LOCAL_SUBJECT_ACCESS_REVIEW
from mizzen.api.authorization.selfsubjectaccessreview import SELF_SUBJECT_ACCESS_REVIEW

from ..written import causes

NAMELESS = {"name": ""}
"""Reviews have no names; `written` gives one to what has none."""
ASKED = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "n"}}


def test_a_review_of_oneself_names_nobody_and_asks_one_thing() -> None:
    assert causes(SELF_SUBJECT_ACCESS_REVIEW, {"metadata": NAMELESS, "spec": ASKED}) == set()
    assert causes(SELF_SUBJECT_ACCESS_REVIEW, {"metadata": NAMELESS}) == {("spec.resourceAttributes", "Invalid")}


def test_a_local_review_asks_about_its_own_namespace() -> None:
    review = {"metadata": {**NAMELESS, "namespace": "other"}, "spec": {**ASKED, "user": "ann"}}
    assert causes(LOCAL_SUBJECT_ACCESS_REVIEW, review) == {("spec.resourceAttributes.namespace", "Invalid")}
    path = {"metadata": {**NAMELESS, "namespace": "n"}, "spec": {"nonResourceAttributes": {"path": "/"}, "user": "ann"}}
    assert causes(LOCAL_SUBJECT_ACCESS_REVIEW, path) == {("spec.nonResourceAttributes", "Invalid")}


def test_a_selector_is_given_in_one_form() -> None:
    both = {"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "Exists"}]}
    asked = {"resourceAttributes": {"verb": "list", "resource": "pods", "labelSelector": both, "fieldSelector": {}}}
    assert causes(SELF_SUBJECT_ACCESS_REVIEW, {"metadata": NAMELESS, "spec": asked}) == {
        ("spec.resourceAttributes.labelSelector.rawSelector", "Invalid"),
        ("spec.resourceAttributes.fieldSelector.requirements", "Required"),
    }


def test_requirements_are_checked_but_for_operators_yet_to_come() -> None:
    wanted = [
        {"key": "a", "operator": "In"},
        {"operator": "Exists", "values": ["b"]},
        {"key": "c", "operator": "Newer"},
    ]
    asked = {"verb": "list", "resource": "pods", "fieldSelector": {"requirements": wanted}}
    where = "spec.resourceAttributes.fieldSelector.requirements"
    assert causes(SELF_SUBJECT_ACCESS_REVIEW, {"metadata": NAMELESS, "spec": {"resourceAttributes": asked}}) == {
        (f"{where}[0].values", "Required"),
        (f"{where}[1].values", "Forbidden"),
        (f"{where}[1].key", "Required"),
    }
    labelled = {**asked, "labelSelector": {"requirements": [{"key": "a b", "operator": "Newer"}]}}
    del labelled["fieldSelector"]
    assert causes(SELF_SUBJECT_ACCESS_REVIEW, {"metadata": NAMELESS, "spec": {"resourceAttributes": labelled}}) == {
        ("spec.resourceAttributes.labelSelector.requirements[0].key", "Invalid")
    }
