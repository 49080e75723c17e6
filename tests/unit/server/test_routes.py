"""Paths, discovery, schema documents and health."""

import asyncio
import gzip
from uuid import UUID

import orjson
import pytest
from tests.unit.server.conftest import Caller

from mizzen.base.clock import VirtualClock
from mizzen.machinery.schema import definitions
from mizzen.server import openapi_defaults, openapi_enums, requestinfo
from mizzen.server.health import HOOKS
from mizzen.server.pipeline import deadline
from mizzen.server.routes import version_priority
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore
from mizzen.wire.message import Request


async def test_unknown_paths_and_resources_answer_as_kubernetes_does(api: Caller) -> None:
    assert await api.call("GET", "/apis/nope.test/v1/things") == (404, "404 page not found\n")
    status, answer = await api.call("GET", "/apis/apps/v9/deployments")
    assert (status, answer["message"]) == (404, "the server could not find the requested resource")
    assert (await api.call("PUT", "/api/v1/namespaces/default/pods", {}))[0] == 405
    assert (await api.call("GET", "/api/v1/namespaces/default/pods/"))[0] == 200


async def test_discovery_lists_groups_kinds_and_subresources(api: Caller) -> None:
    _, groups = await api.call("GET", "/apis")
    assert {"apps", "batch", "rbac.authorization.k8s.io"} <= {group["name"] for group in groups["groups"]}
    _, apps = await api.call("GET", "/apis/apps/v1")
    found = {resource["name"]: resource for resource in apps["resources"]}
    assert found["deployments/scale"]["group"] == "autoscaling"
    assert found["deployments"]["shortNames"] == ["deploy"]


async def test_aggregated_discovery_has_everything_in_one_document(api: Caller) -> None:
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    response = await api.raw("GET", "/apis", accept=accept)
    assert "as=APIGroupDiscoveryList" in response.headers["content-type"]
    assert isinstance(response.body, bytes)
    document = orjson.loads(response.body)
    apps = next(group for group in document["items"] if group["metadata"]["name"] == "apps")
    assert {"deployments", "statefulsets"} <= {one["resource"] for one in apps["versions"][0]["resources"]}
    again = await api.raw("GET", "/apis", accept=accept, if_none_match=response.headers["etag"])
    assert again.status == 304


async def test_a_timeout_must_be_a_duration(api: Caller) -> None:
    status, answer = await api.call("GET", "/api/v1/pods?timeout=invalid")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert answer["message"].startswith("invalid timeout specified in the request URL")
    for timeout in ("1m", "0s", "70h", "-1s"):
        assert (await api.call("GET", f"/api/v1/pods?timeout={timeout}"))[0] == 200
    assert (await api.raw("GET", "/api/v1/pods?watch=1&timeout=invalid")).status == 200


async def test_health_is_told_whole_verbose_and_by_check(api: Caller) -> None:
    assert await api.call("GET", "/readyz") == (200, "ok")
    assert (await api.call("GET", "/livez?verbose"))[1].endswith("livez check passed\n")
    assert await api.call("GET", "/healthz/ping") == (200, "ok")
    assert (await api.call("GET", "/healthz/nothing"))[0] == 404
    assert await api.call("GET", "/readyz/etcd") == (200, "ok")
    ready = (await api.call("GET", "/readyz?verbose"))[1]
    assert "[+]etcd ok\n[+]informer-sync ok\n[+]poststarthook/" in ready
    assert ready.endswith("[+]shutdown ok\nreadyz check passed\n")
    for path in ("healthz", "livez", "readyz"):
        told = (await api.call("GET", f"/{path}?verbose"))[1].split("\n")
        assert {f"[+]{name} ok" for name in HOOKS} <= set(told)
    assert (await api.call("GET", "/healthz/poststarthook/rbac/bootstrap-roles"))[0] == 200
    _, excluded = await api.call("GET", "/livez?verbose&exclude=etcd&exclude=nope")
    assert "[+]log ok\n[+]etcd excluded: ok\n" in excluded
    assert '\nwarn: some health checks cannot be excluded: no matches for "nope"\nlivez check' in excluded
    assert 'kubernetes_healthcheck{name="etcd",type="livez"} 1' in (await api.call("GET", "/metrics/slis"))[1]


async def test_a_server_that_ends_lives_but_is_not_ready() -> None:
    store = MemoryStore()
    api = Caller(Server(store, VirtualClock()), VirtualClock())
    assert (await api.call("GET", "/livez/poststarthook/start-apiextensions-controllers"))[0] == 500
    await api.server.start()
    assert (await api.call("GET", "/livez/poststarthook/start-apiextensions-controllers"))[0] == 200
    api.server.nonresource.health.leaving = True
    assert (await api.call("GET", "/livez"))[0] == 200
    status, text = await api.call("GET", "/readyz")
    assert (status, "[-]shutdown failed: reason withheld" in text) == (500, True)
    await api.server.close()
    assert (await api.call("GET", "/livez/etcd"))[0] == 500
    await store.close()


async def test_openapi_v3_describes_a_group_and_keeps_its_tag(api: Caller) -> None:
    _, index = await api.call("GET", "/openapi/v3")
    link = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    response = await api.raw("GET", link)
    document = orjson.loads(response.body)  # type: ignore[arg-type]
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    pod_spec = document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]
    assert pod_spec["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert (await api.raw("GET", link, if_none_match=response.headers["etag"])).status == 304
    assert (await api.raw("GET", link, accept="text/html")).status == 406
    assert (await api.raw("GET", link, accept="text/html, application/json;q=0.5")).status == 200
    limits = document["components"]["schemas"]["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]
    assert limits["additionalProperties"] == {
        "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"
    }
    packed = await api.raw("GET", link, accept_encoding="gzip")
    assert orjson.loads(gzip.decompress(packed.body)) == document  # type: ignore[arg-type]


async def test_every_reference_of_every_openapi_document_leads_somewhere(api: Caller) -> None:
    _, index = await api.call("GET", "/openapi/v3")
    for path in index["paths"]:
        _, document = await api.call("GET", f"/openapi/v3/{path}")
        text = orjson.dumps(document["components"]["schemas"]).decode()
        for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
            assert name in document["components"]["schemas"], (path, name)


@pytest.mark.parametrize(("definition", "field"), openapi_enums.named())
def test_every_field_with_words_is_a_text_or_a_list_of_texts(definition: str, field: str) -> None:
    node = definitions()[definition]["properties"][field]
    assert "string" in {node["type"], node.get("items", {}).get("type")}


async def test_both_versions_of_openapi_tell_the_words_of_fields(api: Caller) -> None:
    _, second = await api.call("GET", "/openapi/v2")
    _, third = await api.call("GET", "/openapi/v3/api/v1")
    for schemas in (second["definitions"], third["components"]["schemas"]):
        policy = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["restartPolicy"]
        assert policy["enum"] == ["Always", "Never", "OnFailure"]
        assert policy["description"].endswith('Possible enum values:\n - `"Always"`\n - `"Never"`\n - `"OnFailure"`')
        modes = schemas["io.k8s.api.core.v1.PersistentVolumeSpec"]["properties"]["accessModes"]
        assert modes["items"]["enum"][0] == "ReadOnlyMany"


async def test_openapi_tells_of_parameters_what_kubectls_own_tests_look_for(api: Caller) -> None:
    _, second = await api.call("GET", "/openapi/v2")
    listing = second["paths"]["/api/v1/namespaces/{namespace}/pods"]["get"]["parameters"]
    about = {one["name"]: one["description"] for one in listing}
    assert "list of returned" in about["labelSelector"]
    assert "Watch for changes to the described resources" in about["watch"]


@pytest.mark.parametrize(("definition", "field"), openapi_defaults.named())
def test_every_field_with_a_default_is_there(definition: str, field: str) -> None:
    assert field in definitions()[definition]["properties"]


async def test_the_third_version_of_openapi_tells_defaults_and_the_second_does_not(api: Caller) -> None:
    _, second = await api.call("GET", "/openapi/v2")
    _, third = await api.call("GET", "/openapi/v3/api/v1")
    schemas = third["components"]["schemas"]
    port = schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]
    assert (port["protocol"]["default"], port["containerPort"]["default"]) == ("TCP", 0)
    assert "default" not in port["hostPort"]
    container = schemas["io.k8s.api.core.v1.Container"]["properties"]
    assert (container["name"]["default"], container["args"]["items"]["default"]) == ("", "")
    assert schemas["io.k8s.api.core.v1.ConfigMap"]["properties"]["data"]["additionalProperties"]["default"] == ""
    assert b'"default":' not in orjson.dumps(second["definitions"]["io.k8s.api.core.v1.ContainerPort"])


async def test_metrics_tell_dry_runs_apart(api: Caller) -> None:
    await api.call("POST", "/api/v1/namespaces?dryRun=All", {"metadata": {"name": "n"}})
    _, text = await api.call("GET", "/metrics")
    labels = 'verb="POST",group="",version="v1",resource="namespaces",subresource="",scope="cluster"'
    assert f'apiserver_request_total{{{labels},component="apiserver",dry_run="All",code="201"}} 1' in text


async def test_every_answer_has_an_id_of_its_own_or_the_one_it_was_asked_with(api: Caller) -> None:
    ids = [(await api.raw("GET", path)).headers["audit-id"] for path in ("/api/v1/pods", "/version", "/api/v1/no")]
    assert len(set(map(UUID, ids))) == 3
    assert (await api.raw("GET", "/version", audit_id="mine")).headers["audit-id"] == "mine"


def test_a_request_that_does_not_last_is_given_a_minute_at_most() -> None:
    def seconds(path: str, *query: tuple[str, str]) -> float | None:
        request = Request("GET", path, query)
        return deadline(request, requestinfo.parse(request))

    pods = "/api/v1/namespaces/n/pods"
    assert seconds(pods) == seconds(pods, ("timeout", "0s")) == seconds(pods, ("timeout", "5m")) == 60
    assert seconds(pods, ("timeout", "5s")) == 5
    assert seconds(pods, ("watch", "1")) is seconds(f"{pods}/p/log") is seconds(f"{pods}/p/exec") is None


async def test_metrics_count_requests(api: Caller) -> None:
    await api.call("GET", "/api/v1/pods")
    _, text = await api.call("GET", "/metrics")
    labels = 'verb="LIST",group="",version="v1",resource="pods",subresource="",scope="cluster",component="apiserver"'
    assert f'apiserver_request_total{{{labels},dry_run="",code="200"}} 1' in text
    for name in ("apiserver_request_duration_seconds", "apiserver_request_sli_duration_seconds"):
        assert f'{name}_bucket{{{labels},le="+Inf"}} 1' in text
    assert 'apiserver_current_inflight_requests{request_kind="mutating"} 0' in text


async def test_metrics_tell_how_much_is_stored_and_who_watches_it(api: Caller) -> None:
    made = {"metadata": {"name": "a"}}
    assert (await api.call("POST", "/api/v1/namespaces/default/configmaps", made))[0] == 201
    revision = api.server.cacher.revision
    watching = await api.raw("GET", f"/api/v1/configmaps?watch=1&resourceVersion={revision}")
    assert watching.stream is not None
    following = asyncio.create_task(anext(watching.stream))  # type: ignore[call-overload]
    for _ in range(5):
        await asyncio.sleep(0)
    _, text = await api.call("GET", "/metrics")
    following.cancel()
    assert 'apiserver_storage_objects{resource="configmaps"} 1' in text
    assert 'apiserver_longrunning_requests{verb="WATCH",group="",resource="configmaps"} 1' in text


def test_stable_versions_come_before_beta_and_alpha() -> None:
    versions = ["v1alpha1", "v2", "foo", "v1beta2", "v10", "v1"]
    assert sorted(versions, key=version_priority) == ["v10", "v2", "v1", "v1beta2", "v1alpha1", "foo"]


async def test_the_whole_of_openapi_v2_comes_in_protobuf_too(api: Caller) -> None:
    accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    response = await api.raw("GET", "/openapi/v2", accept=accept)
    assert response.headers["content-type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    assert isinstance(response.body, bytes)
    assert response.body.startswith(b"\x0a\x032.0")
    assert b"\x22\x0ffieldValidation" in response.body
    assert b'{"group":"apps","version":"v1","kind":"Deployment"}' in response.body
    assert b"#/definitions/io.k8s.api.core.v1.PodSpec" in response.body
