"""Creates, changes and deletes, as a client sees them."""

import asyncio

import pytest
from tests.unit.server.conftest import Caller

from mizzen.base.clock import VirtualClock
from mizzen.machinery.protobuf import envelope
from mizzen.server.media import PROTOBUF
from mizzen.server.server import Server
from mizzen.server.writing import DELETED_AT_ONCE
from mizzen.store.memory import MemoryStore

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
SERVICES = "/api/v1/namespaces/default/services"
CONDITION = {"type": "X", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_a_created_object_carries_what_the_server_gives_it(api: Caller) -> None:
    status, made = await api.call("POST", MAPS, config_map("a", k="v"))
    assert status == 201
    assert made["metadata"]["namespace"] == "default"
    assert made["metadata"]["creationTimestamp"] == "2023-11-14T22:13:20Z"
    assert len(made["metadata"]["uid"]) == 36
    assert await api.call("GET", f"{MAPS}/a") == (200, made)


async def test_generate_name_adds_five_characters(api: Caller) -> None:
    _, made = await api.call("POST", MAPS, {"metadata": {"generateName": "job-"}})
    assert made["metadata"]["name"].startswith("job-")
    assert len(made["metadata"]["name"]) == len("job-") + 5


async def test_a_second_create_is_refused(api: Caller) -> None:
    await api.call("POST", MAPS, config_map("a"))
    status, answer = await api.call("POST", MAPS, config_map("a"))
    assert (status, answer["reason"], answer["message"]) == (409, "AlreadyExists", 'configmaps "a" already exists')


async def test_every_fault_of_metadata_is_told_at_once(api: Caller) -> None:
    bad = {"metadata": {"name": "No_Good", "labels": {"-a": "x"}, "finalizers": ["plain"]}}
    status, answer = await api.call("POST", MAPS, bad)
    assert status == 422
    fields = {cause["field"] for cause in answer["details"]["causes"]}
    assert fields == {"metadata.name", "metadata.labels", "metadata.finalizers[0]"}


async def test_an_object_of_the_whole_cluster_leaves_the_namespace_that_it_says(api: Caller) -> None:
    content = {"metadata": {"name": "a", "namespace": "default"}}
    status, made = await api.call("POST", "/api/v1/namespaces", content)
    assert (status, "namespace" in made["metadata"]) == (201, False)
    status, answer = await api.call("POST", MAPS, {"metadata": {"name": "a", "namespace": "a"}})
    assert (status, "does not match the namespace sent" in answer["message"]) == (400, True)


async def test_a_dry_run_leaves_nothing(api: Caller) -> None:
    status, made = await api.call("POST", f"{MAPS}?dryRun=All", config_map("a"))
    assert (status, made["metadata"]["name"]) == (201, "a")
    assert "resourceVersion" not in made["metadata"]
    assert (await api.call("GET", f"{MAPS}/a"))[0] == 404


async def test_a_bookmark_tells_a_revision_and_no_time(api: Caller) -> None:
    asked = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    [mark] = await api.events(f"{MAPS}?{asked}", 1)
    assert mark["type"] == "BOOKMARK"
    assert set(mark["object"]["metadata"]) == {"resourceVersion", "annotations"}


async def test_unknown_fields_are_warned_of_or_refused(api: Caller) -> None:
    body = {**config_map("a"), "datum": 1}
    response = await api.raw("POST", MAPS, body)
    assert response.status == 201
    assert response.headers["warning"] == '299 - "unknown field \\"datum\\""'
    status, answer = await api.call("POST", f"{MAPS}?fieldValidation=Strict", body)
    assert status == 400
    assert "strict decoding error" in answer["message"]
    assert "warning" not in (await api.raw("POST", f"{MAPS}?fieldValidation=Ignore", body)).headers


async def test_more_warnings_than_anybody_reads_are_cut(api: Caller) -> None:
    body = {**config_map("a"), **{f"unknown{number:03}": 1 for number in range(500)}, "x" * 5000: 1}
    warning = (await api.raw("POST", MAPS, body)).headers["warning"]
    assert 4000 < len(warning) < 8000
    assert warning.startswith('299 - "unknown field \\"unknown000\\""')


async def test_an_owner_that_is_named_twice_counts_once(api: Caller) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}
    body = {"metadata": {"name": "a", "ownerReferences": [owner, {**owner, "uid": "2"}, owner]}}
    response = await api.raw("POST", f"{MAPS}?dryRun=All", body)
    assert "duplicate UID(s) observed: 1" in response.headers["warning"]
    _, made = await api.call("POST", MAPS, body)
    assert [one["uid"] for one in made["metadata"]["ownerReferences"]] == ["1", "2"]


async def test_who_deletes_a_job_without_a_word_of_its_pods_is_told_that_they_stay(api: Caller) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}}
    for name in ("a", "b", "c"):
        assert (await api.call("POST", jobs, {"metadata": {"name": name}, "spec": spec}))[0] == 201
    assert "child pods are preserved" in (await api.raw("DELETE", f"{jobs}/a")).headers["warning"]
    assert "warning" not in (await api.raw("DELETE", f"{jobs}/b?propagationPolicy=Background")).headers
    assert (await api.raw("DELETE", jobs)).headers["warning"].count("299 -") == 1


async def test_a_status_update_owns_the_metadata_that_it_changes_where_it_may(api: Caller) -> None:
    levels = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"
    limited = {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}
    service = {"metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    kept = []
    for path, made in ((levels, {"metadata": {"name": "a"}, "spec": limited}), (f"{SERVICES}", service)):
        assert (await api.call("POST", path, made))[0] == 201
        patch = {"metadata": {"labels": {"x": "y"}}, "status": {"conditions": [CONDITION]}}
        status, changed = await api.call("PATCH", f"{path}/a/status", patch, "application/merge-patch+json")
        assert status == 200
        [entry] = [one for one in changed["metadata"]["managedFields"] if one.get("subresource") == "status"]
        kept.append((changed["metadata"].get("labels"), "f:metadata" in entry["fieldsV1"]))
    assert kept == [(None, False), ({"x": "y"}, True)]


async def test_deprecated_kinds_say_what_replaces_them(api: Caller) -> None:
    response = await api.raw("GET", "/api/v1/endpoints")
    assert response.headers["warning"] == (
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    )


async def test_an_update_from_a_stale_revision_conflicts(api: Caller) -> None:
    _, made = await api.call("POST", MAPS, config_map("a", k="1"))
    await api.call("PUT", f"{MAPS}/a", config_map("a", k="2"))
    made["data"]["k"] = "3"
    status, answer = await api.call("PUT", f"{MAPS}/a", made)
    assert (status, answer["reason"]) == (409, "Conflict")


async def test_an_update_that_changes_nothing_is_not_written(api: Caller) -> None:
    _, made = await api.call("POST", MAPS, config_map("a", k="1"))
    _, again = await api.call("PUT", f"{MAPS}/a", config_map("a", k="1"))
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_merge_json_and_strategic_patches_apply(api: Caller) -> None:
    await api.call("POST", MAPS, config_map("a", k="1", z="9"))
    path = f"{MAPS}/a"
    _, one = await api.call("PATCH", path, {"data": {"z": None, "n": "2"}}, "application/merge-patch+json")
    assert one["data"] == {"k": "1", "n": "2"}
    operations = [{"op": "replace", "path": "/data/k", "value": "3"}]
    _, two = await api.call("PATCH", path, operations, "application/json-patch+json")
    assert two["data"] == {"k": "3", "n": "2"}
    _, three = await api.call("PATCH", path, {"data": {"s": "4"}}, "application/strategic-merge-patch+json")
    assert three["data"] == {"k": "3", "n": "2", "s": "4"}


@pytest.mark.parametrize(("kind", "code"), [("strategic-merge", 200), ("merge", 422)])
async def test_a_strategic_patch_may_call_itself_what_it_likes(api: Caller, kind: str, code: int) -> None:
    # A Scale is patched by a body that names the Deployment it belongs to: so does Ansible's k8s_scale.
    path = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await api.call("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3}}
    status, answer = await api.call("PATCH", f"{path}/web/scale", patch, f"application/{kind}-patch+json")
    assert status == code
    assert answer["kind"] == ("Scale" if status == 200 else "Status")
    assert answer.get("spec") == ({"replicas": 3} if status == 200 else None)


async def test_an_apply_that_names_an_object_which_is_gone_does_not_create_another(api: Caller) -> None:
    body = {**config_map("a"), "metadata": {"name": "a", "uid": "gone"}}
    status, answer = await api.call("PATCH", f"{MAPS}/a?fieldManager=m", body, "application/apply-patch+yaml")
    assert (status, answer["reason"]) == (409, "Conflict")
    assert "uid mismatch: the provided object specified uid gone" in answer["message"]


async def test_an_apply_with_a_repeated_key_is_refused_by_its_line_or_warned_of(api: Caller) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: a\n  k: b\n  l: a\n  l: b\n"
    path, media = f"{MAPS}/a?fieldManager=m", "application/apply-patch+yaml"
    status, answer = await api.call("PATCH", f"{path}&fieldValidation=Strict", body, media)
    lines = ['line 6: key "k" already set in map', 'line 8: key "l" already set in map']
    text = "\n  ".join(["error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:", *lines])
    assert (status, answer["message"]) == (400, text)
    warned = await api.raw("PATCH", path, body, media)
    assert warned.headers["warning"].count("299 - ") == 2


async def test_apply_creates_and_then_conflicts_with_another_manager(api: Caller) -> None:
    path, kind = f"{MAPS}/a", "application/apply-patch+yaml"
    assert (await api.call("PATCH", f"{path}?fieldManager=one", config_map("a", k="1"), kind))[0] == 201
    status, answer = await api.call("PATCH", f"{path}?fieldManager=two", config_map("a", k="2"), kind)
    assert (status, answer["details"]["causes"][0]["field"]) == (409, ".data.k")
    status, forced = await api.call("PATCH", f"{path}?fieldManager=two&force=true", config_map("a", k="2"), kind)
    assert (status, forced["data"]) == (200, {"k": "2"})
    assert {entry["manager"] for entry in forced["metadata"]["managedFields"]} == {"two"}


async def test_a_finalizer_keeps_a_deleted_object_until_it_is_gone(api: Caller) -> None:
    body = config_map("a")
    body["metadata"]["finalizers"] = ["acme.test/hold"]  # type: ignore[index]
    await api.call("POST", MAPS, body)
    _, dying = await api.call("DELETE", f"{MAPS}/a")
    assert dying["metadata"]["deletionTimestamp"]
    assert (await api.call("GET", f"{MAPS}/a"))[0] == 200
    await api.call("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    assert (await api.call("GET", f"{MAPS}/a"))[0] == 404


async def test_a_delete_with_another_uid_is_refused(api: Caller) -> None:
    await api.call("POST", MAPS, config_map("a"))
    status, answer = await api.call("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "other"}})
    assert (status, answer["reason"]) == (409, "Conflict")


async def test_foreground_deletion_waits_for_the_garbage_collector(api: Caller) -> None:
    await api.call("POST", MAPS, config_map("a"))
    _, dying = await api.call("DELETE", f"{MAPS}/a?propagationPolicy=Foreground")
    assert dying["metadata"]["finalizers"] == ["foregroundDeletion"]


async def test_delete_collection_takes_what_the_selector_chooses(api: Caller) -> None:
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        body = config_map(name)
        body["metadata"]["labels"] = {"colour": colour}  # type: ignore[index]
        await api.call("POST", MAPS, body)
    _, gone = await api.call("DELETE", f"{MAPS}?labelSelector=colour=red")
    assert [one["metadata"]["name"] for one in gone["items"]] == ["a", "c"]
    _, left = await api.call("GET", MAPS)
    assert [one["metadata"]["name"] for one in left["items"]] == ["b"]


class _Counting(MemoryStore):
    """Remembers how many objects were being deleted when it was asked to delete one more."""

    def __init__(self) -> None:
        super().__init__()
        self._deleting = 0
        self.together: list[int] = []

    async def delete(self, key: str, *, expect: int | None = None) -> int:
        self._deleting += 1
        self.together.append(self._deleting)
        await asyncio.sleep(0)
        self._deleting -= 1
        return await super().delete(key, expect=expect)


async def test_the_objects_of_a_collection_are_deleted_together_but_not_too_many_at_once() -> None:
    store, clock = _Counting(), VirtualClock()
    api = Caller(Server(store, clock), clock)
    await api.server.start()
    for number in range(DELETED_AT_ONCE + 3):
        await api.call("POST", MAPS, config_map(f"m{number}"))
    status, gone = await api.call("DELETE", MAPS)
    assert (status, len(gone["items"])) == (200, DELETED_AT_ONCE + 3)
    assert store.together == [*range(1, DELETED_AT_ONCE + 1), 1, 2, 3]
    assert (await api.call("GET", MAPS))[1]["items"] == []
    await api.server.close()


async def test_writers_of_one_object_take_turns(api: Caller) -> None:
    await api.call("POST", MAPS, config_map("a"))
    patches = [
        api.call("PATCH", f"{MAPS}/a", {"data": {f"k{n}": "1"}}, "application/merge-patch+json") for n in range(20)
    ]
    assert {status for status, _ in await asyncio.gather(*patches)} == {200}
    _, whole = await api.call("GET", f"{MAPS}/a")
    assert len(whole["data"]) == 20


async def test_scale_changes_the_replicas_alone(api: Caller) -> None:
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await api.call("POST", deployments, {"metadata": {"name": "web"}, "spec": spec})
    patch = {"spec": {"replicas": 4}}
    status, scale = await api.call("PATCH", f"{deployments}/web/scale", patch, "application/merge-patch+json")
    assert (status, scale["kind"], scale["spec"], scale["status"]["selector"]) == (200, "Scale", {"replicas": 4}, "a=b")
    _, web = await api.call("GET", f"{deployments}/web")
    assert (web["spec"]["replicas"], web["metadata"]["generation"]) == (4, 2)


async def test_a_binding_assigns_a_pod_once(api: Caller) -> None:
    pods = "/api/v1/namespaces/default/pods"
    await api.call("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    hoped = {"status": {"nominatedNodeName": "n2"}}
    await api.call("PATCH", f"{pods}/p/status", hoped, "application/merge-patch+json")
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
    assert (await api.call("POST", f"{pods}/p/binding", binding))[0] == 201
    _, pod = await api.call("GET", f"{pods}/p")
    assert pod["spec"]["nodeName"] == "n1"
    assert "nominatedNodeName" not in pod["status"]
    assert [one["type"] for one in pod["status"]["conditions"] if one["status"] == "True"] == ["PodScheduled"]
    assert (await api.call("POST", f"{pods}/p/binding", binding))[0] == 409


async def test_a_bound_pod_tells_the_zone_of_its_node(api: Caller) -> None:
    pods, zone = "/api/v1/namespaces/default/pods", {"topology.kubernetes.io/zone": "east"}
    node = {"metadata": {"name": "n1", "labels": {**zone, "disk": "ssd"}}}
    assert (await api.call("POST", "/api/v1/nodes", node))[0] == 201
    await api.call("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    await api.call("POST", f"{pods}/p/binding", {"target": {"kind": "Node", "name": "n1"}})
    _, pod = await api.call("GET", f"{pods}/p")
    assert pod["metadata"]["labels"] == zone


async def test_evictions_of_older_clients_are_taken(api: Caller) -> None:
    pods = "/api/v1/namespaces/default/pods"
    await api.call("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    about = {"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["All"]}}
    eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", **about}
    assert (await api.call("POST", f"{pods}/p/eviction", eviction))[0] == 201
    packed = envelope.wrapped("policy/v1beta1", "Eviction", envelope.message(about, "policy/v1", "Eviction"))
    assert (await api.raw("POST", f"{pods}/p/eviction", packed, PROTOBUF)).status == 201
    budget = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "g"}}
    code, _ = await api.call("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", budget)
    assert code == 400


async def test_an_eviction_asks_the_disruption_budget(api: Caller) -> None:
    pods, budgets = "/api/v1/namespaces/default/pods", "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    labels = {"app": "web"}
    pod = {"metadata": {"name": "p", "labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await api.call("POST", pods, pod)
    running = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    await api.call("PATCH", f"{pods}/p/status", running, "application/merge-patch+json")
    await api.call(
        "POST", budgets, {"metadata": {"name": "g"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}}
    )
    status = {"status": {"observedGeneration": 1, "disruptionsAllowed": 0, "desiredHealthy": 1, "currentHealthy": 1}}
    await api.call("PATCH", f"{budgets}/g/status", status, "application/merge-patch+json")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    code, refused = await api.call("POST", f"{pods}/p/eviction", eviction)
    assert (code, refused["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
    status["status"]["disruptionsAllowed"] = 1
    await api.call("PATCH", f"{budgets}/g/status", status, "application/merge-patch+json")
    assert (await api.call("POST", f"{pods}/p/eviction", eviction))[0] == 201
    _, budget = await api.call("GET", f"{budgets}/g")
    assert budget["status"]["disruptionsAllowed"] == 0


async def test_a_generation_grows_with_what_its_kind_heeds(api: Caller) -> None:
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    await api.call("POST", slices, {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": []})
    labels, notes = {"metadata": {"labels": {"a": "b"}}}, {"metadata": {"annotations": {"a": "b"}}}
    assert (await api.call("PATCH", f"{slices}/s", notes, MERGE))[1]["metadata"]["generation"] == 1
    assert (await api.call("PATCH", f"{slices}/s", labels, MERGE))[1]["metadata"]["generation"] == 2
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    await api.call("POST", classes, {"metadata": {"name": "p"}, "value": 1})
    assert (await api.call("PATCH", f"{classes}/p", {"description": "x"}, MERGE))[1]["metadata"]["generation"] == 1
    drivers = "/apis/storage.k8s.io/v1/csidrivers"
    assert "generation" not in (await api.call("POST", drivers, {"metadata": {"name": "d"}, "spec": {}}))[1]["metadata"]
    changed = {"spec": {"requiresRepublish": True}}
    assert (await api.call("PATCH", f"{drivers}/d", changed, MERGE))[1]["metadata"]["generation"] == 1


async def test_a_status_update_leaves_the_metadata_of_some_kinds_alone(api: Caller) -> None:
    attachments = "/apis/storage.k8s.io/v1/volumeattachments"
    spec = {"attacher": "d.test", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
    await api.call("POST", attachments, {"metadata": {"name": "a", "labels": {"k": "v"}}, "spec": spec})
    patch = {"metadata": {"labels": {"k": "w"}, "finalizers": ["a.test/b"]}, "status": {"attached": True}}
    _, answer = await api.call("PATCH", f"{attachments}/a/status", patch, MERGE)
    assert (answer["metadata"]["labels"], answer["status"]) == ({"k": "v"}, {"attached": True})
    assert "finalizers" not in answer["metadata"]
    records = [one["fieldsV1"] for one in answer["metadata"]["managedFields"] if one.get("subresource") == "status"]
    assert records == [{"f:status": {"f:attached": {}}}]
