"""What is refused, and in which words: rules that the original's recordings taught."""

from typing import Any

import pytest
from tests.unit.server.conftest import Caller

from mizzen.api.networking.networkpolicy import NETWORK_POLICY
from mizzen.base.clock import VirtualClock
from mizzen.machinery.errors import ApiError
from mizzen.server.config import Config
from mizzen.server.options import check_log_options, delete_options
from mizzen.server.seams import Attributes, Decision
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request

MAPS = "/api/v1/namespaces/default/configmaps"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
BAD_LABEL = {"metadata": {"labels": {"a b": "c"}}}
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def definition(scope: str = "Namespaced", **version: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
    return {
        "metadata": {"name": "moons.sky.test"},
        "spec": {
            "group": "sky.test",
            "scope": scope,
            "names": {"plural": "moons", "kind": "Moon"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
            ],
        },
    }


async def test_an_update_reports_what_is_wrong_with_the_metadata_as_often_as_it_is_looked_at(api: Caller) -> None:
    await api.call("POST", MAPS, {"metadata": {"name": "a"}})
    status, answer = await api.call("PATCH", f"{MAPS}/a", BAD_LABEL, MERGE)
    assert (status, len(answer["details"]["causes"])) == (422, 4)
    assert answer["message"].count("a b") == 1


async def test_a_custom_resource_reports_a_bad_label_three_times(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition("Cluster"))
    await api.call("POST", "/apis/sky.test/v1/moons", {"metadata": {"name": "io"}})
    status, answer = await api.call("PATCH", "/apis/sky.test/v1/moons/io", BAD_LABEL, MERGE)
    assert (status, len(answer["details"]["causes"])) == (422, 3)


async def test_owner_references_are_reported_without_their_position(api: Caller) -> None:
    _, answer = await api.call("POST", MAPS, {"metadata": {"name": "a", "ownerReferences": [{}]}})
    fields = [cause["field"] for cause in answer["details"]["causes"]]
    assert fields == [f"metadata.ownerReferences.{name}" for name in ("apiVersion", "kind", "name", "uid")]


async def test_an_empty_body_is_an_object_without_a_name_in_yaml_and_nothing_in_json(api: Caller) -> None:
    status, answer = await api.call("POST", MAPS, b"", "application/yaml")
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "metadata.name")
    assert (await api.call("POST", MAPS, b""))[0] == 400


@pytest.mark.parametrize("field", ["preconditions", "gracePeriodSeconds", "dryRun", "propagationPolicy"])
async def test_delete_options_of_a_wrong_type_are_the_clients_mistake(api: Caller, field: str) -> None:
    await api.call("POST", MAPS, {"metadata": {"name": "a"}})
    options = {"kind": "DeleteOptions", "apiVersion": "v1", field: {"x": [1]} if field != "preconditions" else 1}
    assert (await api.call("DELETE", f"{MAPS}/a", options))[0] == 400


async def test_a_stale_precondition_says_what_may_have_happened(api: Caller) -> None:
    await api.call("POST", MAPS, {"metadata": {"name": "a"}})
    status, answer = await api.call("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "other"}})
    assert status == 409
    assert "The object might have been deleted and then recreated" in answer["message"]


async def test_deleting_a_definition_marks_it_even_before_it_was_guarded(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    status, answer = await api.call("DELETE", f"{DEFINITIONS}/moons.sky.test")
    assert (status, answer["metadata"]["finalizers"]) == (200, [CLEANUP])
    assert "deletionTimestamp" in answer["metadata"]
    assert "Terminating" in {one["type"] for one in answer["status"]["conditions"]}


async def test_a_subresource_that_a_custom_kind_has_not_is_an_object_that_is_not_there(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition("Cluster"))
    status, answer = await api.call("GET", "/apis/sky.test/v1/moons/io/status")
    assert (status, answer["message"]) == (404, 'moons.sky.test "io" not found')


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("Cluster", "/apis/sky.test/v1/namespaces/default/moons/io"),
        ("Namespaced", "/apis/sky.test/v1/moons/io"),
    ],
)
async def test_nothing_serves_a_custom_kind_outside_its_scope(api: Caller, scope: str, path: str) -> None:
    await api.call("POST", DEFINITIONS, definition(scope))
    assert await api.call("GET", path) == (404, "404 page not found\n")


async def test_the_scale_of_an_object_without_replicas_cannot_be_read(api: Caller) -> None:
    scale = {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}
    await api.call("POST", DEFINITIONS, definition("Cluster", subresources={"scale": scale}))
    await api.call("POST", "/apis/sky.test/v1/moons", {"metadata": {"name": "io"}, "spec": {}})
    status, answer = await api.call("GET", "/apis/sky.test/v1/moons/io/scale")
    assert (status, answer["message"]) == (400, 'the spec replicas field ".spec.n" does not exist')


async def test_a_scale_of_the_wrong_type_cannot_be_applied(api: Caller) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/web/scale?fieldManager=me"
    patch = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": 5}
    assert (await api.call("PATCH", path, patch, APPLY))[0] == 400


@pytest.mark.parametrize("secrets", [[{"name": [True, []]}], [{"name": "a", "$patch": {}}], [[1]]])
async def test_a_strategic_patch_whose_items_have_no_proper_key_is_refused(api: Caller, secrets: Any) -> None:
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await api.call("POST", accounts, {"metadata": {"name": "a"}, "secrets": [{"name": "s"}]})
    assert (await api.call("PATCH", f"{accounts}/a", {"secrets": secrets}, STRATEGIC))[0] in (400, 422)


def test_a_reader_of_logs_hears_of_every_bad_number() -> None:
    query = [("tailLines", "-1"), ("limitBytes", "0"), ("sinceSeconds", "0")]
    with pytest.raises(ApiError) as caught:
        check_log_options(Request("GET", "/", query), "web")
    fields = [cause["field"] for cause in caught.value.details["causes"]]
    assert (caught.value.code, fields) == (422, ["tailLines", "limitBytes", "sinceSeconds"])


def test_a_reader_of_logs_says_one_time_to_start_from() -> None:
    query = [("sinceSeconds", "5"), ("sinceTime", "2024-01-01T00:00:00Z")]
    with pytest.raises(ApiError, match="at most one of"):
        check_log_options(Request("GET", "/", query), "web")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"apiVersion": "v1", "kind": 4}', "cannot unmarshal number into Go struct field .kind of type string"),
        (b'{"apiVersion": "a/b/c", "kind": "ConfigMap"}', "unexpected GroupVersion string: a/b/c"),
        (b"[]", "cannot unmarshal array into Go value of type struct"),
    ],
)
async def test_a_body_that_does_not_say_its_kind_properly_is_unrecognized(api: Caller, body: bytes, why: str) -> None:
    status, answer = await api.call("POST", MAPS, body)
    assert status == 400
    assert why in answer["message"]


def test_a_reader_of_logs_starts_from_a_time_that_is_one() -> None:
    with pytest.raises(ApiError, match="parsing time"):
        check_log_options(Request("GET", "/", [("sinceTime", "yesterday")]), "web")


def test_a_negative_grace_period_is_a_second() -> None:
    assert delete_options(Request("DELETE", "/", [("gracePeriodSeconds", "-7")]), None).grace == 1
    assert delete_options(Request("DELETE", "/", []), {"gracePeriodSeconds": 0}).grace == 0


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
async def test_who_may_only_get_what_a_websocket_begins_may_not_begin_it(subresource: str) -> None:
    class Readers:
        def authorize(self, attributes: Attributes) -> Decision:
            return Decision(allowed=attributes.verb == "get")

    store = MemoryStore()
    server = Server(store, VirtualClock(), lambda _reader, _writer: Config(authorizers=(Readers(),)))
    await server.start()
    api, path = Caller(server, VirtualClock()), f"/api/v1/namespaces/default/pods/web/{subresource}"
    status, plain = await api.call("GET", path)
    assert status != 403, plain
    status, refused = await api.call("GET", path, connection="Upgrade", upgrade="websocket")
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert f'cannot create resource "pods/{subresource}"' in refused["message"]
    await server.close()
    await store.close()


async def test_an_address_that_was_allowed_once_may_stay(api: Caller) -> None:
    policies = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    block = {"ipBlock": {"cidr": "10.0.0.5/8"}}
    policy: Any = {"metadata": {"name": "p"}, "spec": {"podSelector": {}, "ingress": [{"from": [block]}]}}
    status, refused = await api.call("POST", policies, policy)
    assert (status, refused["details"]["causes"][0]["field"]) == (422, "spec.ingress[0].from[0].ipBlock.cidr")
    entry = {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", **policy}
    entry["metadata"] |= {"namespace": "default", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    await api.server.registry._storage.put(NETWORK_POLICY, entry, 0)
    labelled = {"metadata": {"labels": {"a": "b"}}}
    assert (await api.call("PATCH", f"{policies}/p", labelled, "application/merge-patch+json"))[0] == 200
    moved = {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.6/8"}}]}]}}
    assert (await api.call("PATCH", f"{policies}/p", moved, "application/merge-patch+json"))[0] == 422


@pytest.mark.parametrize(
    ("path", "accept", "why"),
    [
        (MAPS, "text/plain", "406: Not Acceptable\n\nAvailable representations: "),
        (MAPS, "application/json;as=Table;v=v2;g=meta.k8s.io", "only the following media types are accepted: "),
        (
            f"{MAPS}?watch=1",
            "application/yaml",
            "only the following media types are accepted: application/json;stream=watch, ",
        ),
    ],
)
async def test_who_accepts_nothing_hears_what_there_is(api: Caller, path: str, accept: str, why: str) -> None:
    status, refused = await api.call("GET", path, accept=accept)
    assert (status, refused["reason"]) == (406, "NotAcceptable")
    assert refused["message"].startswith(why)


async def test_every_odd_character_of_a_manager_is_named(api: Caller) -> None:
    status, refused = await api.call("POST", f"{MAPS}?fieldManager=a\u00e9\x07\x01", {"metadata": {"name": "m"}})
    assert status == 422
    assert [one["message"].rpartition(": ")[2] for one in refused["details"]["causes"]] == [
        "invalid character U+0007 (at position 3)",
        "invalid character U+0001 (at position 4)",
    ]


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        ("api/v1/pods", "field label not supported: spec.x"),
        ("apis/batch/v1/jobs", 'field label "spec.x" not supported for Job'),
        ("api/v1/configmaps", '"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"'),
    ],
)
async def test_what_nothing_is_selected_by_is_told_as_the_kind_tells_it(api: Caller, resource: str, why: str) -> None:
    status, refused = await api.call("GET", f"/{resource}?fieldSelector=spec.x=y")
    assert (status, refused["message"]) == (400, why)


async def test_no_cache_on_the_way_keeps_an_answer_and_no_browser_guesses_what_a_page_is(api: Caller) -> None:
    for path in (MAPS, f"{MAPS}/none", "/apis/none.test/v1/things"):
        assert (await api.raw("GET", path)).headers["cache-control"] == "no-cache, private"
    assert (await api.raw("GET", "/apis/none.test/v1/things")).headers["x-content-type-options"] == "nosniff"


async def test_a_failure_that_is_of_no_object_has_no_details(api: Caller) -> None:
    status, answer = await api.call("POST", MAPS, {"metadata": {"name": "a", "labels": {"a": 1}}})
    assert (status, "details" in answer) == (400, False)
    status, answer = await api.call("PATCH", f"{MAPS}/none", {}, "application/json")
    assert (status, "details" in answer) == (415, False)


async def test_force_is_whatever_is_not_said_to_be_false(api: Caller) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1"}}
    await api.call("PATCH", f"{MAPS}/a?fieldManager=one", body, APPLY)
    body["data"] = {"k": "2"}
    codes = {
        force: (await api.call("PATCH", f"{MAPS}/a?fieldManager=two&force={force}&dryRun=All", body, APPLY))[0]
        for force in ("yes", "TRUE", "False", "0")
    }
    assert codes == {"yes": 200, "TRUE": 200, "False": 409, "0": 409}


async def test_a_custom_resource_answers_whoever_takes_any_application_type(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    path = "/apis/sky.test/v1/namespaces/default/moons"
    response = await api.raw("GET", path, accept="application/*")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert (await api.raw("GET", MAPS, accept="application/*")).status == 406
