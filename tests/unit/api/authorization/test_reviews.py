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
        ("spec.resourceAttributes.fieldSelector.requirements", "Invalid"),
    }
