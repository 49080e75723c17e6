import base64
from typing import Any

import orjson
import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.admissionregistration.mutatingwebhookconfiguration import MUTATING_WEBHOOK_CONFIGURATION
from mizzen.api.admissionregistration.validatingwebhookconfiguration import VALIDATING_WEBHOOK_CONFIGURATION
from mizzen.api.apps.deployment import DEPLOYMENT
from mizzen.api.authentication.tokenreview import TOKEN_REVIEW
from mizzen.api.authorization.subjectaccessreview import SUBJECT_ACCESS_REVIEW
from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.kind import Kind
from mizzen.api.kinds import KINDS
from mizzen.machinery import structural
from mizzen.machinery.errors import ApiError, Object
from mizzen.machinery.identity import Identity
from mizzen.server.admission.matching import Context
from mizzen.server.admission.plugin import Plugin
from mizzen.server.admission.webhooks.call import Unreachable
from mizzen.server.admission.webhooks.mutating import MutatingAdmissionWebhook
from mizzen.server.admission.webhooks.validating import ValidatingAdmissionWebhook
from mizzen.server.authz.chain import Superusers
from mizzen.server.seams import Admission

RULES = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]


class FakeCaller:
    """Answers by the name in the URL; remembers who was asked with what."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self.seen: list[Object] = []

    async def post(self, config: Object, review: Object, seconds: float) -> Object:
        name = config["url"]
        self.asked.append(name)
        self.seen.append(orjson.loads(orjson.dumps(review["request"])))
        answer = self._answers.get(name, {"allowed": True})
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(review["request"])
        return {
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "response": {"uid": review["request"]["uid"], **answer},
        }


def _hook(name: str, **spec: object) -> Object:
    return {"name": f"{name}.test", "clientConfig": {"url": name}, "sideEffects": "None", "rules": RULES, **spec}


def _patch(*operations: Object) -> Object:
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(operations)).decode()}


def _label(key: str, value: str = "yes") -> Object:
    return _patch({"op": "add", "path": f"/metadata/labels/{key}", "value": value})


def _context(kind: Kind, *configurations: tuple[str, list[Object]]) -> Context:
    reader = FakeReader((NAMESPACE, made("shop", labels={"env": "prod"})))
    for name, hooks in configurations:
        reader.put(kind, made(name, webhooks=hooks))
    return Context(reader, Superusers())


def _create(**content: object) -> Admission:
    obj = made("settings", "shop", labels={"app": "web"}, **content)
    return Admission("CREATE", CONFIG_MAP, "", "shop", "settings", Identity("ann", groups=("dev",)), obj, None)


async def _mutate(
    caller: FakeCaller, *configurations: tuple[str, list[Object]], earlier: tuple[Plugin, ...] = ()
) -> Admission:
    admission = _create()
    context = _context(MUTATING_WEBHOOK_CONFIGURATION, *configurations)
    waiting = MutatingAdmissionWebhook(context, caller, earlier).mutate(admission)
    if waiting is not None:
        await waiting
    return admission


async def _validate(caller: FakeCaller, *hooks: Object, admission: Admission | None = None) -> Admission:
    admission = admission or _create()
    context = _context(VALIDATING_WEBHOOK_CONFIGURATION, ("w", list(hooks)))
    waiting = ValidatingAdmissionWebhook(context, caller).validate(admission)
    if waiting is not None:
        await waiting
    return admission


async def test_webhooks_change_the_object_in_the_order_of_their_configurations_names() -> None:
    caller = FakeCaller(one=_label("one"), two=_label("two"))
    admission = await _mutate(caller, ("b", [_hook("two")]), ("a", [_hook("one")]))
    assert caller.asked == ["one", "two"]
    assert admission.object["metadata"]["labels"] == {"app": "web", "one": "yes", "two": "yes"}
    assert "one" in caller.seen[1]["object"]["metadata"]["labels"]


async def test_a_webhook_that_wants_to_looks_again_when_a_later_one_changed_the_object() -> None:
    caller = FakeCaller(one=_label("one"), two=_label("two"))
    again = _hook("one", reinvocationPolicy="IfNeeded")
    await _mutate(caller, ("a", [again, _hook("two", reinvocationPolicy="IfNeeded")]))
    assert caller.asked == ["one", "two", "one"]


class _Counts(Plugin):
    """Counts how often it runs, and marks the object."""

    name = "Counts"
    resources = frozenset({("", "configmaps")})

    def __init__(self) -> None:
        self.count = 0

    def mutate(self, admission: Admission) -> None:
        self.count += 1


async def test_built_in_plugins_run_again_only_after_a_change() -> None:
    counts = _Counts()
    await _mutate(FakeCaller(), ("a", [_hook("idle")]), earlier=(counts,))
    assert counts.count == 0
    await _mutate(FakeCaller(one=_label("one")), ("a", [_hook("one")]), earlier=(counts,))
    assert counts.count == 1


async def test_the_request_tells_all_about_the_write() -> None:
    caller = FakeCaller()
    await _validate(caller, _hook("one"))
    request = caller.seen[0]
    assert request["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (request["operation"], request["name"], request["namespace"]) == ("CREATE", "settings", "shop")
    assert request["userInfo"] == {"username": "ann", "groups": ["dev"]}
    assert request["oldObject"] is None
    assert request["dryRun"] is False


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (
            {"message": "no", "code": 403, "reason": "Forbidden"},
            403,
            'admission webhook "one.test" denied the request: no',
        ),
        ({}, 400, 'admission webhook "one.test" denied the request without explanation'),
    ],
)
async def test_a_refusal_carries_the_webhooks_words(status: Object, code: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        await _validate(FakeCaller(one={"allowed": False, "status": status}), _hook("one"))
    assert (caught.value.code, caught.value.message) == (code, message)


async def test_warnings_and_audit_annotations_are_passed_on() -> None:
    answer = {"allowed": True, "warnings": ["careful"], "auditAnnotations": {"seen": "yes"}}
    admission = await _validate(FakeCaller(one=answer), _hook("one"))
    assert admission.warnings == ["careful"]
    assert admission.annotations == {"one.test/seen": "yes"}


@pytest.mark.parametrize(
    "problem",
    [
        Unreachable("connection refused"),
        {"allowed": True, "uid": "other"},
        {"allowed": "false"},
        {"allowed": True, "warnings": 5},
        {"allowed": True, "auditAnnotations": {"seen": 1}},
        {"allowed": True, "patchType": "JSONPatch", "patch": [{}]},
        {"allowed": False, "status": []},
        {"allowed": False, "status": {"code": "403"}},
    ],
)
async def test_a_webhook_that_fails_refuses_unless_it_may_be_ignored(problem: object) -> None:
    with pytest.raises(ApiError) as caught:
        await _validate(FakeCaller(one=problem), _hook("one", failurePolicy="Fail"))
    assert caught.value.code == 500
    assert caught.value.message.startswith('Internal error occurred: failed calling webhook "one.test": ')
    admission = await _validate(FakeCaller(one=problem), _hook("one", failurePolicy="Ignore"))
    assert admission.annotations == {"failed-open.webhook.admission.k8s.io/one.test": "w"}


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ({"namespaceSelector": {"matchLabels": {"env": "prod"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"env": "test"}}}, False),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"objectSelector": {"matchLabels": {"app": "db"}}}, False),
        ({"matchConditions": [{"name": "a", "expression": "object.metadata.name == 'settings'"}]}, True),
        ({"matchConditions": [{"name": "a", "expression": "request.userInfo.username == 'bob'"}]}, False),
        ({"rules": [{**RULES[0], "operations": ["*"], "resources": ["*"]}]}, True),
        ({"rules": [{**RULES[0], "operations": ["DELETE"]}]}, False),
        ({"rules": [{**RULES[0], "resources": ["configmaps/status"]}]}, False),
        ({"rules": [{**RULES[0], "scope": "Cluster"}]}, False),
        ({"rules": [{**RULES[0], "apiGroups": ["apps"]}]}, False),
    ],
)
async def test_only_webhooks_that_match_are_asked(spec: Object, asked: bool) -> None:
    caller = FakeCaller()
    await _validate(caller, _hook("one", **spec))
    assert (caller.asked == ["one"]) is asked


@pytest.mark.parametrize(("kind", "asked"), [(CONFIG_MAP, True), (TOKEN_REVIEW, False), (SUBJECT_ACCESS_REVIEW, False)])
def test_webhooks_do_not_stand_between_the_server_and_its_reviews(kind: Kind, asked: bool) -> None:
    context = _context(VALIDATING_WEBHOOK_CONFIGURATION)
    for plugin in (
        MutatingAdmissionWebhook(context, FakeCaller(), ()),
        ValidatingAdmissionWebhook(context, FakeCaller()),
    ):
        assert plugin.handles("CREATE", kind, "") is asked


async def test_a_dry_run_is_not_for_webhooks_with_side_effects() -> None:
    admission = _create()
    admission.dry_run = True
    with pytest.raises(ApiError, match="does not support dry run"):
        await _validate(FakeCaller(), _hook("one", sideEffects="Some"), admission=admission)


async def test_a_webhook_for_another_version_of_the_kind_sees_it_converted() -> None:
    hpa = next(kind for kind in KINDS if (kind.plural, kind.version) == ("horizontalpodautoscalers", "v1"))
    rules = [
        {**RULES[0], "apiGroups": ["autoscaling"], "apiVersions": ["v2"], "resources": ["horizontalpodautoscalers"]}
    ]
    obj = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v1",
        **made("h", "shop", spec={"maxReplicas": 3}),
    }
    obj["spec"]["scaleTargetRef"] = {"kind": "Deployment", "name": "web"}
    for policy, versions in (("Equivalent", ["v2"]), ("Exact", [])):
        caller = FakeCaller()
        admission = Admission("CREATE", hpa, "", "shop", "h", Identity("ann"), dict(obj), None)
        await _validate(caller, _hook("one", rules=rules, matchPolicy=policy), admission=admission)
        assert [seen["kind"]["version"] for seen in caller.seen] == versions
        assert [seen["requestKind"]["version"] for seen in caller.seen] == ["v1"] * len(versions)


async def test_webhooks_see_the_scale_of_a_workload_and_may_change_its_replicas() -> None:
    caller = FakeCaller(one=_patch({"op": "replace", "path": "/spec/replicas", "value": 5}))
    rules = [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"]}
    ]
    old, new = (_workload(replicas) for replicas in (1, 3))
    admission = Admission("UPDATE", DEPLOYMENT, "scale", "shop", "web", Identity("ann"), new, old)
    context = _context(MUTATING_WEBHOOK_CONFIGURATION, ("w", [_hook("one", rules=rules)]))
    waiting = MutatingAdmissionWebhook(context, caller, ()).mutate(admission)
    assert waiting is not None
    await waiting
    seen = caller.seen[0]
    assert seen["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (seen["object"]["spec"], seen["oldObject"]["spec"]) == ({"replicas": 3}, {"replicas": 1})
    assert admission.object == _workload(5)


def _workload(replicas: int) -> Object:
    return {**made("web", "shop"), "kind": "Deployment", "apiVersion": "apps/v1", "spec": {"replicas": replicas}}


async def test_what_a_webhook_adds_to_a_custom_resource_is_pruned_by_its_schema() -> None:
    caller = FakeCaller(one=_patch({"op": "add", "path": "/spec", "value": {"size": 1, "odd": 2}}))
    spec = {"type": "object", "properties": {"size": {"type": "integer"}}}
    structure = structural.build({"type": "object", "properties": {"spec": spec}})
    kites = Kind("ex.test", "v1", "Kite", "kites", namespaced=True, structure=structure)
    rules = [{"apiGroups": ["ex.test"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["kites"]}]
    admission = Admission("CREATE", kites, "", "shop", "k", Identity("ann"), made("k", "shop"), None)
    context = _context(MUTATING_WEBHOOK_CONFIGURATION, ("w", [_hook("one", rules=rules)]))
    waiting = MutatingAdmissionWebhook(context, caller, ()).mutate(admission)
    assert waiting is not None
    await waiting
    assert admission.object is not None
    assert admission.object["spec"] == {"size": 1}


async def test_a_patch_that_makes_no_object_of_the_kind_is_the_webhooks_fault() -> None:
    caller = FakeCaller(one=_patch({"op": "add", "path": "/data", "value": {"a": 1}}))
    with pytest.raises(ApiError, match="makes no ConfigMap: json: cannot unmarshal number"):
        await _mutate(caller, ("a", [_hook("one")]))
