"""What a terminating namespace tells about what keeps it."""

import msgspec

from mizzen.api.views.core import Namespace
from mizzen.client.resources import CONFIG_MAPS, PODS
from mizzen.controllers.namespaces import Content, Snapshot, reconcile
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import DeleteAll, Patch, Plan, Update

NOW = 1_700_000_000.0
NAMESPACE = msgspec.convert(
    {
        "metadata": {"name": "d", "uid": "u", "deletionTimestamp": "2023-11-14T22:13:20Z"},
        "spec": {"finalizers": ["kubernetes"]},
    },
    Namespace,
)


def conditions(patch: object) -> dict[str, tuple[str, str]]:
    assert isinstance(patch, Patch)
    body = patch.patch
    assert isinstance(body, dict)
    found: list[Object] = body["status"]["conditions"]
    return {one["type"]: (one["status"], one["message"]) for one in found}


def status(plan: Plan) -> dict[str, tuple[str, str]]:
    return conditions(next(one for one in plan.actions if isinstance(one, Patch)))


def test_pods_go_before_everything_else() -> None:
    seen = Snapshot(NAMESPACE, (PODS, CONFIG_MAPS), (Content(PODS, 2), Content(CONFIG_MAPS, 1)))
    deletions = [one for one in reconcile(seen, NOW).actions if isinstance(one, DeleteAll)]
    assert [one.resource for one in deletions] == [PODS]


def test_it_names_what_remains_and_the_finalizers_that_hold_it() -> None:
    seen = Snapshot(NAMESPACE, (CONFIG_MAPS,), (Content(CONFIG_MAPS, 2, {"example.com/a": 2}, deletable=False),))
    told = status(reconcile(seen, NOW))
    remaining = "Some resources are remaining: configmaps. has 2 resource instances"
    assert told["NamespaceContentRemaining"] == ("True", remaining)
    held = "Some content in the namespace has finalizers remaining: example.com/a in 2 resource instances"
    assert told["NamespaceFinalizersRemaining"] == ("True", held)


def test_a_refused_deletion_is_told_in_a_condition() -> None:
    seen = Snapshot(NAMESPACE, (CONFIG_MAPS,), (Content(CONFIG_MAPS, 1),))
    [deletion] = [one for one in reconcile(seen, NOW).actions if isinstance(one, DeleteAll)]
    [refused] = deletion.otherwise
    text = "Failed to delete all resource types, 1 remaining: {error}"
    assert conditions(refused)["NamespaceDeletionContentFailure"] == ("True", text)


def test_it_stays_while_an_aggregated_server_cannot_say_what_it_holds() -> None:
    silent = Snapshot(NAMESPACE, (CONFIG_MAPS,), (), ("metrics.example.com/v1",), verified=True)
    plan = reconcile(silent, NOW)
    assert not any(isinstance(one, Update) for one in plan.actions)
    assert status(plan)["NamespaceDeletionDiscoveryFailure"][0] == "True"
    [finalize] = reconcile(Snapshot(NAMESPACE, (CONFIG_MAPS,), (), verified=True), NOW).actions
    assert isinstance(finalize, Update)
