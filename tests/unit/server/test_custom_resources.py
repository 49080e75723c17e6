"""CustomResourceDefinitions from creation to the removal of their instances."""

import asyncio
from typing import Any

import pytest
from tests.unit.server.conftest import Caller

from mizzen.base.clock import VirtualClock
from mizzen.server.crd import kinds
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KITES = "/apis/ex.test/v1/namespaces/default/kites"


def definition(**version: Any) -> dict[str, Any]:
    spec = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}}}
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}
    first = {"name": "v1", "served": True, "storage": True, "schema": schema, **version}
    return {
        "metadata": {"name": "kites.ex.test"},
        "spec": {
            "group": "ex.test",
            "names": {"plural": "kites", "kind": "Kite", "shortNames": ["kt"]},
            "scope": "Namespaced",
            "versions": [first],
        },
    }


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_definition_is_served_at_once_and_established(api: Caller) -> None:
    assert (await api.call("POST", DEFINITIONS, definition()))[0] == 201
    status, kite = await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {"size": 2, "wing": 1}})
    assert (status, kite["spec"]) == (201, {"size": 2})
    await settle()
    _, made = await api.call("GET", f"{DEFINITIONS}/kites.ex.test")
    assert {one["type"]: one["status"] for one in made["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert made["status"]["storedVersions"] == ["v1"]
    _, resources = await api.call("GET", "/apis/ex.test/v1")
    assert resources["resources"][0]["shortNames"] == ["kt"]


async def test_a_name_that_is_taken_is_refused_until_it_is_free(api: Caller) -> None:
    other = definition()
    other["metadata"]["name"] = "birds.ex.test"
    other["spec"]["names"] = {"plural": "birds", "kind": "Kite", "listKind": "BirdList", "shortNames": ["kt", "kites"]}
    for content in (definition(), other):
        assert (await api.call("POST", DEFINITIONS, content))[0] == 201
    await settle()
    _, refused = await api.call("GET", f"{DEFINITIONS}/birds.ex.test")
    told = {one["type"]: (one["status"], one["reason"], one["message"]) for one in refused["status"]["conditions"]}
    assert told == {
        "NamesAccepted": ("False", "KindConflict", '"Kite" is already in use'),
        "Established": ("False", "NotAccepted", "not all names are accepted"),
    }
    assert refused["status"]["acceptedNames"] == {"plural": "birds", "kind": "", "listKind": "BirdList"}
    assert (await api.call("GET", "/apis/ex.test/v1/namespaces/default/birds"))[0] == 404
    await api.call("DELETE", f"{DEFINITIONS}/kites.ex.test")
    await settle()
    _, free = await api.call("GET", f"{DEFINITIONS}/birds.ex.test")
    assert free["status"]["acceptedNames"] == free["spec"]["names"]
    assert (await api.call("GET", "/apis/ex.test/v1/namespaces/default/birds"))[0] == 200


async def test_definitions_in_groups_of_kubernetes_tell_whether_they_are_approved(api: Caller) -> None:
    key = "api-approved.kubernetes.io"
    for group, annotation, status, reason in (
        ("a.k8s.io", "https://example.test/1", "True", "ApprovedAnnotation"),
        ("b.k8s.io", "unapproved, an experiment", "False", "UnapprovedAnnotation"),
    ):
        content = definition()
        content["metadata"] = {"name": f"kites.{group}", "annotations": {key: annotation}}
        content["spec"]["group"] = group
        assert (await api.call("POST", DEFINITIONS, content))[0] == 201
        await settle()
        _, made = await api.call("GET", f"{DEFINITIONS}/kites.{group}")
        told = {one["type"]: (one["status"], one["reason"]) for one in made["status"]["conditions"]}
        assert told["KubernetesAPIApprovalPolicyConformant"] == (status, reason)


async def test_defaults_and_validation_follow_the_schema(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    _, kite = await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {}})
    assert kite["spec"] == {"size": 3}
    status, answer = await api.call("POST", KITES, {"metadata": {"name": "l"}, "spec": {"size": 0}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.size")


async def test_status_and_scale_are_subresources(api: Caller) -> None:
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.count"}
    await api.call("POST", DEFINITIONS, definition(subresources={"status": {}, "scale": scale}))
    _, kite = await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {"size": 2}, "status": {"count": 9}})
    assert "status" not in kite
    merge = "application/merge-patch+json"
    _, kite = await api.call("PATCH", f"{KITES}/k/status", {"spec": {"size": 7}, "status": {"count": 5}}, merge)
    assert (kite["spec"], kite["status"]) == ({"size": 2}, {"count": 5})
    _, shown = await api.call("PATCH", f"{KITES}/k/scale", {"spec": {"replicas": 4}}, merge)
    assert (shown["spec"], shown["status"]["replicas"]) == ({"replicas": 4}, 5)


async def test_versions_share_their_objects(api: Caller) -> None:
    body = definition()
    second = {**body["spec"]["versions"][0], "name": "v2", "storage": False}
    body["spec"]["versions"].append(second)
    await api.call("POST", DEFINITIONS, body)
    await api.call("POST", KITES.replace("v1", "v2"), {"metadata": {"name": "k"}, "spec": {"size": 2}})
    _, kite = await api.call("GET", f"{KITES}/k")
    assert (kite["apiVersion"], kite["spec"]) == ("ex.test/v1", {"size": 2})
    _, listed = await api.call("GET", KITES.replace("v1", "v2"))
    assert (listed["kind"], listed["items"][0]["apiVersion"]) == ("KiteList", "ex.test/v2")


async def test_selectable_fields_select(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition(selectableFields=[{"jsonPath": ".spec.size"}]))
    for name, size in (("a", 1), ("b", 2)):
        await api.call("POST", KITES, {"metadata": {"name": name}, "spec": {"size": size}})
    _, found = await api.call("GET", f"{KITES}?fieldSelector=spec.size=2")
    assert [one["metadata"]["name"] for one in found["items"]] == ["b"]


async def test_deleting_a_definition_takes_its_instances_along(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {}})
    await settle()
    _, dying = await api.call("DELETE", f"{DEFINITIONS}/kites.ex.test")
    assert dying["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await settle()
    for _ in range(3):
        await api.clock.advance(1)
        await settle()
    assert (await api.call("GET", f"{DEFINITIONS}/kites.ex.test"))[0] == 404
    assert await api.call("GET", KITES) == (404, "404 page not found\n")
    assert not api.server.cacher.cache("ex.test/kites").entries


async def test_a_definition_that_cannot_end_delays_no_other(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    await api.call("POST", KITES, {"metadata": {"name": "k", "finalizers": ["ex.test/hold"]}, "spec": {}})
    await settle()
    await api.call("DELETE", f"{DEFINITIONS}/kites.ex.test")
    await settle()
    other = definition()
    other["metadata"]["name"] = "sails.ex.test"
    other["spec"]["names"] = {"plural": "sails", "kind": "Sail"}
    await api.call("POST", DEFINITIONS, other)
    await settle()
    _, made = await api.call("GET", f"{DEFINITIONS}/sails.ex.test")
    assert {one["type"] for one in made["status"]["conditions"]} == {"NamesAccepted", "Established"}


async def test_openapi_tells_of_a_custom_kind(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    _, document = await api.call("GET", "/openapi/v3/apis/ex.test/v1")
    schema = document["components"]["schemas"]["test.ex.v1.Kite"]
    assert schema["properties"]["spec"]["properties"]["size"]["default"] == 3
    assert schema["x-kubernetes-group-version-kind"] == [{"group": "ex.test", "version": "v1", "kind": "Kite"}]


async def test_an_address_with_an_old_hash_leads_to_the_schema_of_now(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    _, index = await api.call("GET", "/openapi/v3")
    address = index["paths"]["apis/ex.test/v1"]["serverRelativeURL"]
    assert (await api.raw("GET", address)).headers["cache-control"] == "public, immutable"
    moved = await api.raw("GET", "/openapi/v3/apis/ex.test/v1?hash=old")
    assert (moved.status, moved.headers["location"]) == (301, address)


async def test_openapi_says_of_the_fields_that_all_kinds_have_what_it_says_elsewhere(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    _, custom = await api.call("GET", "/openapi/v3/apis/ex.test/v1")
    _, core = await api.call("GET", "/openapi/v3/api/v1")
    own = custom["components"]["schemas"]["test.ex.v1.Kite"]["properties"]
    published = core["components"]["schemas"]["io.k8s.api.core.v1.Secret"]["properties"]
    for field in ("apiVersion", "kind", "metadata"):
        assert own[field]["description"] == published[field]["description"]


async def test_version_2_of_openapi_leaves_out_what_kubectl_does_not_understand(api: Caller) -> None:
    maybe = {"type": "string", "nullable": True}
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}}
    either = {"type": "integer", "oneOf": [{"minimum": 3}]}
    properties = {"maybe": maybe, "free": free, "either": either, "list": {"type": "array", "items": maybe}}
    spec = {"type": "object", "properties": properties, "required": ["maybe", "free"]}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    await api.call("POST", DEFINITIONS, definition(schema=schema, selectableFields=[{"jsonPath": ".spec.either"}]))
    _, document = await api.call("GET", "/openapi/v2")
    made = document["definitions"]["test.ex.v1.Kite"]
    assert made["properties"]["spec"] == {
        "type": "object",
        "properties": {
            "maybe": {},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "either": {"type": "integer"},
            "list": {"type": "array", "items": {}},
        },
        "required": ["free"],
    }
    assert made["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.either"}]
    _, whole = await api.call("GET", "/openapi/v3/apis/ex.test/v1")
    assert whole["components"]["schemas"]["test.ex.v1.Kite"]["properties"]["spec"] == spec


async def test_version_2_of_openapi_does_not_list_the_fields_of_what_may_hold_anything(api: Caller) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    await api.call("POST", DEFINITIONS, definition(schema=schema))
    _, document = await api.call("GET", "/openapi/v2")
    assert "properties" not in document["definitions"]["test.ex.v1.Kite"]


def _with_schema(**properties: Any) -> list[dict[str, Any]]:
    spec = {"type": "object", "properties": properties}
    schema = {"type": "object", "properties": {"spec": spec}}
    return [{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]


async def test_what_is_stored_follows_a_schema_that_changes(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    _, kite = await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {}})
    changed = _with_schema(colour={"type": "string", "default": "red"})
    path, media = f"{DEFINITIONS}/kites.ex.test", "application/json-patch+json"
    assert (await api.call("PATCH", path, changed, media))[0] == 200
    _, found = await api.call("GET", f"{KITES}/k")
    assert (found["spec"], found["metadata"]) == ({"colour": "red"}, kite["metadata"])
    _, listed = await api.call("GET", KITES)
    assert [one["spec"] for one in listed["items"]] == [{"colour": "red"}]
    events = await api.events(f"{KITES}?watch=1", 1)
    assert events[0]["object"]["spec"] == {"colour": "red"}


async def test_a_server_that_starts_applies_the_schema_of_now_to_what_was_stored_before() -> None:
    store = MemoryStore()
    first = Caller(Server(store, VirtualClock()), VirtualClock())
    await first.server.start()
    await first.call("POST", DEFINITIONS, definition())
    await first.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {}})
    changed = _with_schema(colour={"type": "string", "default": "red"})
    await first.call("PATCH", f"{DEFINITIONS}/kites.ex.test", changed, "application/json-patch+json")
    await first.server.close()
    second = Caller(Server(store, VirtualClock()), VirtualClock())
    await second.server.start()
    assert (await second.call("GET", f"{KITES}/k"))[1]["spec"] == {"colour": "red"}
    await second.server.close()
    await store.close()


async def test_versions_without_a_webhook_differ_in_what_their_schemas_keep_and_fill_in(api: Caller) -> None:
    made = definition()
    fields = {"size": {"type": "integer", "default": 3}, "wings": {"type": "integer", "default": 2}}
    spec = {"type": "object", "properties": fields}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    made["spec"]["versions"].append({"name": "v2", "served": True, "storage": False, "schema": schema})
    await api.call("POST", DEFINITIONS, made)
    newer = KITES.replace("/v1/", "/v2/")
    _, kite = await api.call("POST", newer, {"metadata": {"name": "k"}, "spec": {"wings": 4}})
    assert kite["spec"] == {"wings": 2, "size": 3}
    assert (await api.call("GET", f"{KITES}/k"))[1]["spec"] == {"size": 3}
    assert (await api.call("GET", f"{newer}/k"))[1]["spec"] == {"size": 3, "wings": 2}


async def test_everybody_who_asks_for_a_deprecated_version_is_told(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition(deprecated=True))
    told = '299 - "ex.test/v1 Kite is deprecated"'
    made = await api.raw("POST", KITES, {"metadata": {"name": "k"}, "spec": {}})
    assert made.headers["warning"] == told
    for method, path in (("GET", KITES), ("GET", f"{KITES}/k"), ("GET", f"{KITES}/gone"), ("DELETE", f"{KITES}/k")):
        assert (await api.raw(method, path)).headers["warning"] == told, (method, path)
    watch = await api.raw("GET", f"{KITES}?watch=1")
    assert watch.headers["warning"] == told


async def test_finalizers_that_somebody_else_might_use_are_warned_of_once(api: Caller) -> None:
    await api.call("POST", DEFINITIONS, definition())
    kite = {"metadata": {"name": "k", "finalizers": ["mine", "ex.test/kept", "foregroundDeletion"]}, "spec": {}}
    made = await api.raw("POST", KITES, kite)
    assert made.headers["warning"].startswith('299 - "metadata.finalizers: \\"mine\\": prefer a domain-qualified')
    assert made.headers["warning"].count("299 -") == 1
    patch = {"metadata": {"labels": {"a": "b"}}}
    assert "warning" not in (await api.raw("PATCH", f"{KITES}/k", patch, "application/merge-patch+json")).headers


async def test_what_a_new_rule_finds_in_a_kept_value_is_a_warning(api: Caller) -> None:
    lax, strict = definition(), definition()
    schema = strict["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["x-kubernetes-validations"] = [{"rule": "self.size > 5"}]
    await api.call("POST", DEFINITIONS, lax)
    await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {"size": 2}})
    patched = "application/merge-patch+json"
    await api.call("PATCH", f"{DEFINITIONS}/kites.ex.test", {"spec": strict["spec"]}, patched)
    labelled = await api.raw("PATCH", f"{KITES}/k", {"metadata": {"labels": {"a": "b"}}}, patched)
    assert labelled.status == 200
    assert labelled.headers["warning"] == '299 - "spec: Invalid value: \\"object\\": failed rule: self.size > 5"'
    assert (await api.call("PATCH", f"{KITES}/k", {"spec": {"size": 3}}, patched))[0] == 422


async def test_the_rules_of_an_object_have_some_time_together(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    ruled = definition()
    schema = ruled["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["x-kubernetes-validations"] = [{"rule": "self.size > 0"}]
    await api.call("POST", DEFINITIONS, ruled)
    assert (await api.call("POST", KITES, {"metadata": {"name": "a"}, "spec": {}}))[0] == 201
    monkeypatch.setattr(kinds, "CEL_SECONDS", -1.0)
    status, refused = await api.call("POST", KITES, {"metadata": {"name": "b"}, "spec": {}})
    assert status == 422
    assert "call cost exceeds limit for rule: self.size > 0" in refused["message"]


async def test_rules_are_asked_of_an_object_that_breaks_other_constraints_but_not_of_one_they_could_not_read(
    api: Caller,
) -> None:
    content = definition()
    spec = content["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["name"] = {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'bad'"}]}
    await api.call("POST", DEFINITIONS, content)
    for size, fields in ((0, ["spec.size", "spec.name"]), ("x", ["spec.size", "<nil>"])):
        _, answer = await api.call("POST", KITES, {"metadata": {"name": "k"}, "spec": {"size": size, "name": "bad"}})
        assert [cause["field"] for cause in answer["details"]["causes"]] == fields
