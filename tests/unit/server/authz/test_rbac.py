import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.rbac.clusterrole import CLUSTER_ROLE
from mizzen.api.rbac.clusterrolebinding import CLUSTER_ROLE_BINDING
from mizzen.api.rbac.role import ROLE
from mizzen.api.rbac.rolebinding import ROLE_BINDING
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.server.authz.chain import Authorizers, Superusers, refused
from mizzen.server.authz.escalation import RbacEscalation
from mizzen.server.authz.rbac import Rbac
from mizzen.server.authz.reviews import AccessReviews, RulesReviews
from mizzen.server.seams import Admission, Attributes

JANE = Identity("jane", groups=("dev", "system:authenticated"))


def _rule(verbs: str, resources: str, group: str = "", names: str = "") -> Object:
    rule: Object = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return rule | ({"resourceNames": names.split()} if names else {})


def _bound(role: str, *subjects: tuple[str, str], kind: str = "Role") -> Object:
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": subject, "name": name} for subject, name in subjects],
    }


def _world(*rules: Object) -> tuple[FakeReader, Rbac]:
    reader = FakeReader(
        (ROLE, made("r", "shop", rules=list(rules))),
        (ROLE_BINDING, made("b", "shop", **_bound("r", ("User", "jane")))),
    )
    return reader, Rbac(reader)


def _asks(verb: str, resource: str, name: str = "", *, namespace: str = "shop", user: Identity = JANE) -> Attributes:
    plural, _, subresource = resource.partition("/")
    return Attributes(user, verb, "", "v1", plural, subresource, namespace, name)


def test_a_role_holds_in_its_namespace_for_its_subject_and_says_why() -> None:
    _, rbac = _world(_rule("get list", "pods"))
    decision = rbac.authorize(_asks("list", "pods"))
    assert decision.reason == 'RBAC: allowed by RoleBinding "b/shop" of Role "r" to User "jane"'
    assert not rbac.authorize(_asks("list", "pods", namespace="other")).allowed
    assert not rbac.authorize(_asks("list", "pods", namespace="")).allowed
    assert not rbac.authorize(_asks("list", "pods", user=Identity("bob"))).allowed


@pytest.mark.parametrize(
    ("resources", "asked", "allowed"),
    [
        ("pods", "pods/log", False),
        ("pods/log", "pods/log", True),
        ("pods/log", "pods", False),
        ("*", "pods/exec", True),
        ("*/scale", "deployments/scale", True),
        ("*/scale", "deployments", False),
        ("pods/*", "pods/log", False),
    ],
)
def test_resources_match_as_documented(resources: str, asked: str, allowed: bool) -> None:
    _, rbac = _world(_rule("get", resources))
    assert rbac.authorize(_asks("get", asked)).allowed is allowed


def test_a_rule_for_one_name_does_not_allow_to_list() -> None:
    _, rbac = _world(_rule("get list", "configmaps", names="settings"))
    assert rbac.authorize(_asks("get", "configmaps", "settings")).allowed
    assert not rbac.authorize(_asks("get", "configmaps", "other")).allowed
    assert not rbac.authorize(_asks("list", "configmaps")).allowed
    assert rbac.authorize(_asks("list", "configmaps", "settings")).allowed


def test_a_change_of_a_role_or_binding_counts_at_once() -> None:
    reader, rbac = _world(_rule("get", "pods"))
    assert not rbac.authorize(_asks("delete", "pods", "x")).allowed
    reader.put(ROLE, made("r", "shop", rules=[_rule("delete", "pods")]))
    assert rbac.authorize(_asks("delete", "pods", "x")).allowed
    assert not rbac.authorize(_asks("get", "pods", "x")).allowed
    reader.put(ROLE_BINDING, made("b", "shop", **_bound("r", ("Group", "ops"))))
    assert not rbac.authorize(_asks("delete", "pods", "x")).allowed
    reader.put(ROLE_BINDING, made("b", "shop", **_bound("r", ("Group", "dev"))))
    assert rbac.authorize(_asks("delete", "pods", "x")).allowed
    reader.drop(ROLE_BINDING, "shop", "b")
    assert not rbac.authorize(_asks("delete", "pods", "x")).allowed


def test_a_cluster_binding_holds_everywhere_and_a_service_account_is_a_subject() -> None:
    reader = FakeReader((CLUSTER_ROLE, made("c", rules=[_rule("get", "pods nodes")])))
    binding = made("cb", roleRef={"kind": "ClusterRole", "name": "c"})
    binding["subjects"] = [{"kind": "ServiceAccount", "name": "robot", "namespace": "shop"}]
    reader.put(CLUSTER_ROLE_BINDING, binding)
    robot = Identity("system:serviceaccount:shop:robot")
    rbac = Rbac(reader)
    assert rbac.authorize(_asks("get", "pods", user=robot, namespace="any")).allowed
    assert rbac.authorize(_asks("get", "nodes", user=robot, namespace="")).allowed


def test_paths_match_exactly_or_by_their_beginning() -> None:
    role = made("paths", rules=[{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/apis/*"]}])
    reader = FakeReader(
        (CLUSTER_ROLE, role), (CLUSTER_ROLE_BINDING, made("p", **_bound("paths", ("User", "jane"), kind="ClusterRole")))
    )
    rbac = Rbac(reader)
    for path, allowed in (("/healthz", True), ("/healthz/x", False), ("/apis/apps", True), ("/metrics", False)):
        assert rbac.authorize(Attributes(JANE, "get", path=path)).allowed is allowed


def test_a_binding_to_a_missing_role_is_told() -> None:
    reader, rbac = _world()
    reader.put(ROLE_BINDING, made("b2", "shop", **_bound("ghost", ("User", "jane"), kind="ClusterRole")))
    decision = rbac.authorize(_asks("get", "pods"))
    assert not decision.allowed
    assert decision.reason == 'RBAC: clusterrole.rbac.authorization.k8s.io "ghost" not found'


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (
            _asks("list", "pods"),
            'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "shop"',
        ),
        (
            _asks("get", "pods/log", "web"),
            'pods "web" is forbidden: User "jane" cannot get resource "pods/log" in API group "" '
            'in the namespace "shop"',
        ),
        (
            Attributes(JANE, "get", "rbac.authorization.k8s.io", "v1", "clusterroles", name="view"),
            'clusterroles.rbac.authorization.k8s.io "view" is forbidden: User "jane" cannot get resource '
            '"clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope',
        ),
        (Attributes(JANE, "get", path="/metrics"), 'forbidden: User "jane" cannot get path "/metrics"'),
        (
            _asks("list", "pods", user=Identity('Ann O\'Hara "x"')),
            'pods is forbidden: User "Ann O\'Hara \\"x\\"" cannot list resource "pods" in API group "" '
            'in the namespace "shop"',
        ),
    ],
)
def test_a_refusal_reads_like_the_originals(attributes: Attributes, message: str) -> None:
    error = refused(attributes)
    assert (error.code, error.message) == (403, message)


def test_superusers_need_no_role() -> None:
    chain = Authorizers((Superusers(), _world()[1]))
    assert chain.authorize(_asks("delete", "nodes", user=Identity("root", groups=(MASTERS,)))).allowed
    assert not chain.authorize(_asks("delete", "nodes")).allowed


def _write(obj: Object, kind=ROLE, old: Object | None = None, user: Identity = JANE) -> Admission:  # type: ignore[no-untyped-def]
    operation = "UPDATE" if old else "CREATE"
    return Admission(operation, kind, "", "shop", obj["metadata"]["name"], user, obj, old)


def _escalation(*rules: Object) -> tuple[FakeReader, RbacEscalation]:
    reader, rbac = _world(*rules)
    return reader, RbacEscalation(rbac, Authorizers((Superusers(), rbac)))


def test_nobody_hands_out_more_than_they_hold() -> None:
    _, plugin = _escalation(_rule("get list", "pods"))
    plugin.validate(_write(made("fine", "shop", rules=[_rule("get", "pods")])))
    greedy = made("grab", "shop", rules=[_rule("get list", "secrets"), _rule("*", "deployments", "apps")])
    with pytest.raises(ApiError) as caught:
        plugin.validate(_write(greedy, user=Identity("jane", groups=("system:authenticated",))))
    assert caught.value.message == (
        'roles.rbac.authorization.k8s.io "grab" is forbidden: user "jane" (groups=["system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}\n'
        '{APIGroups:["apps"], Resources:["deployments"], Verbs:["*"]}'
    )


def test_the_verb_escalate_lifts_the_check() -> None:
    _, plugin = _escalation(_rule("escalate", "roles", "rbac.authorization.k8s.io"))
    plugin.validate(_write(made("grab", "shop", rules=[_rule("*", "secrets")])))


def test_an_update_that_leaves_the_rules_alone_is_not_checked() -> None:
    _, plugin = _escalation()
    old = made("big", "shop", rules=[_rule("*", "secrets")])
    plugin.validate(_write({**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}, old=old))


def test_a_binding_needs_the_roles_rules_or_the_verb_bind() -> None:
    reader, plugin = _escalation(_rule("get", "pods"))
    reader.put(ROLE, made("small", "shop", rules=[_rule("get", "pods")]))
    reader.put(ROLE, made("big", "shop", rules=[_rule("*", "secrets")]))
    plugin.validate(_write(made("x", "shop", **_bound("small", ("User", "bob"))), ROLE_BINDING))
    for role, code in (("big", 403), ("ghost", 404)):
        with pytest.raises(ApiError) as caught:
            plugin.validate(_write(made("x", "shop", **_bound(role, ("User", "bob"))), ROLE_BINDING))
        assert caught.value.code == code
    binder = _rule("bind", "roles", "rbac.authorization.k8s.io", names="big")
    reader.put(ROLE, made("r", "shop", rules=[binder]))
    plugin.validate(_write(made("x", "shop", **_bound("big", ("User", "bob"))), ROLE_BINDING))


def test_reviews_answer_for_oneself_and_for_others() -> None:
    _, rbac = _world(_rule("get", "pods"))
    reviews = AccessReviews(rbac)
    asked = {"verb": "get", "resource": "pods", "namespace": "shop"}
    answer = reviews.self({"spec": {"resourceAttributes": asked}}, "", JANE)
    assert answer["status"]["allowed"] is True
    answer = reviews.subject({"spec": {"user": "bob", "resourceAttributes": asked}}, "", JANE)
    assert answer["status"] == {"allowed": False}
    answer = reviews.local({"spec": {"user": "jane", "resourceAttributes": asked}}, "shop", Identity("admin"))
    assert answer["status"]["allowed"] is True
    assert answer["metadata"]["namespace"] == "shop"
    with pytest.raises(ApiError, match=r"must match metadata\.namespace"):
        reviews.local({"spec": {"user": "jane", "resourceAttributes": asked}}, "other", Identity("admin"))


def test_a_review_has_no_name_and_its_selectors_are_of_one_form() -> None:
    selectors = {"labelSelector": {}, "fieldSelector": {"rawSelector": "a=b", "requirements": [{"key": "a"}]}}
    review = {"metadata": {"name": "x"}, "spec": {"resourceAttributes": {"verb": "list", **selectors}}}
    with pytest.raises(ApiError) as caught:
        AccessReviews(_world()[1]).self(review, "", JANE)
    assert {cause["field"] for cause in caught.value.details["causes"]} == {
        "metadata",
        "spec.resourceAttributes.fieldSelector.rawSelector",
        "spec.resourceAttributes.labelSelector.requirements",
    }


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, ["spec.resourceAttributes", "spec.user"]),
        ({"resourceAttributes": {"verb": "get"}}, ["spec.user"]),
        ({"user": "ann", "resourceAttributes": {}, "nonResourceAttributes": {}}, ["spec.nonResourceAttributes"]),
    ],
)
def test_an_incomplete_review_is_invalid(spec: Object, fields: list[str]) -> None:
    with pytest.raises(ApiError) as caught:
        AccessReviews(_world()[1]).subject({"spec": spec}, "", JANE)
    assert [cause["field"] for cause in caught.value.details["causes"]] == fields


def test_the_rules_review_lists_what_holds_in_a_namespace() -> None:
    _, rbac = _world(_rule("get", "pods", names="web"))
    answer = RulesReviews(rbac)({"spec": {"namespace": "shop"}}, "", JANE)
    assert answer["status"] == {
        "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"]}],
        "nonResourceRules": [],
        "incomplete": False,
    }


def test_a_decision_costs_microseconds() -> None:
    import timeit

    reader, rbac = _world(_rule("get", "pods"))
    for number in range(200):
        role = made(f"r{number}", "shop", rules=[_rule("get", f"things{number}")])
        reader.put(ROLE, role)
        reader.put(ROLE_BINDING, made(f"b{number}", "shop", **_bound(f"r{number}", ("User", "jane"))))
    asked = _asks("get", "pods", "web")
    rbac.authorize(asked)
    assert min(timeit.repeat(lambda: rbac.authorize(asked), number=1000, repeat=5)) < 0.05
