"""The official Python client: typed, dynamic, watching, applying, paging."""

from functools import partial
from queue import Queue
from typing import Any

import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.informer import SharedInformer
from tests.cluster.clients.harness import Server


@pytest.fixture(scope="module")
def api(server: Server) -> client.ApiClient:
    return config.new_client_from_config(str(server.kubeconfig))


@pytest.fixture(scope="module")
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


def configmap(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"app": "web"}), data=data)


def deployment(name: str) -> client.V1Deployment:
    labels = {"app": name}
    container = client.V1Container(name="c", image="example/c", ports=[client.V1ContainerPort(container_port=80)])
    pod = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels), template=pod)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=spec)


def test_typed_objects_round_trip(api: client.ApiClient, core: client.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, configmap("a", x="1"))
    made.data["y"] = "2"
    changed = core.replace_namespaced_config_map("a", namespace, made)
    assert changed.data == {"x": "1", "y": "2"}
    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map("a", namespace, made)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    assert core.patch_namespaced_config_map("a", namespace, {"data": {"x": None}}).data == {"y": "2"}
    apps = client.AppsV1Api(api)
    web = apps.create_namespaced_deployment(namespace, deployment("web"))
    assert web.spec.strategy.rolling_update.max_surge == "25%"
    assert apps.read_namespaced_deployment_scale("web", namespace).spec.replicas == 1
    assert apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}}).spec.replicas == 3
    assert apps.read_namespaced_deployment("web", namespace).metadata.generation == 2
    assert core.delete_namespaced_config_map("a", namespace)["status"] == "Success"
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_config_map("a", namespace)
    assert caught.value.status == 404


def test_every_group_of_the_typed_client_lists(api: client.ApiClient) -> None:
    """Each call decodes into models that refuse what they do not know."""
    calls: list[Any] = [
        client.CoreV1Api(api).list_namespace,
        client.CoreV1Api(api).list_service_for_all_namespaces,
        client.CoreV1Api(api).list_event_for_all_namespaces,
        client.RbacAuthorizationV1Api(api).list_cluster_role,
        client.DiscoveryV1Api(api).list_endpoint_slice_for_all_namespaces,
        client.EventsV1Api(api).list_event_for_all_namespaces,
        client.FlowcontrolApiserverV1Api(api).list_flow_schema,
        client.FlowcontrolApiserverV1Api(api).list_priority_level_configuration,
        client.SchedulingV1Api(api).list_priority_class,
        client.NetworkingV1Api(api).list_service_cidr,
        client.StorageV1Api(api).list_storage_class,
        client.CoordinationV1Api(api).list_lease_for_all_namespaces,
        client.ApiextensionsV1Api(api).list_custom_resource_definition,
        client.AutoscalingV2Api(api).list_horizontal_pod_autoscaler_for_all_namespaces,
    ]
    for call in calls:
        assert call().metadata.resource_version
    assert client.VersionApi(api).get_code().minor == "37"
    assert {"apps", "batch"} <= {one.name for one in client.ApisApi(api).get_api_versions().groups}


def test_validation_errors_carry_causes(core: client.CoreV1Api, namespace: str) -> None:
    with pytest.raises(ApiException) as caught:
        core.create_namespaced_service(
            namespace,
            client.V1Service(
                metadata=client.V1ObjectMeta(name="UPPER"),
                spec=client.V1ServiceSpec(ports=[client.V1ServicePort(port=99999)]),
            ),
        )
    assert caught.value.status == 422
    assert '"field":"metadata.name"' in caught.value.body
    assert '"field":"spec.ports[0].port"' in caught.value.body
    assert caught.value.headers["Content-Type"] == "application/json"


def test_lists_come_in_pages(core: client.CoreV1Api, namespace: str) -> None:
    for number in range(5):
        core.create_namespaced_config_map(namespace, configmap(f"c{number}"))
    names, token, rounds = [], None, 0
    while token != "":
        page = core.list_namespaced_config_map(namespace, limit=2, _continue=token, label_selector="app=web")
        names += [one.metadata.name for one in page.items]
        token, rounds = page.metadata._continue or "", rounds + 1
    assert (names, rounds) == ([f"c{number}" for number in range(5)], 3)
    core.delete_collection_namespaced_config_map(namespace, label_selector="app=web")
    assert core.list_namespaced_config_map(namespace, label_selector="app=web").items == []


def test_a_watch_goes_on_from_a_list_once_its_version_expired(restarted: tuple[Server, str]) -> None:
    server, version = restarted
    core = client.CoreV1Api(config.new_client_from_config(str(server.kubeconfig)))
    follow = partial(core.list_namespaced_config_map, "default", label_selector="app=web")
    with pytest.raises(ApiException) as caught:
        list(watch.Watch().stream(follow, resource_version=version, timeout_seconds=20))
    assert (caught.value.status, caught.value.reason.partition(":")[0]) == (410, "Expired")
    version = follow().metadata.resource_version
    core.create_namespaced_config_map("default", configmap("c"))
    seen = []
    watching = watch.Watch()
    for event in watching.stream(follow, resource_version=version, timeout_seconds=20):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            watching.stop()
        else:
            core.delete_namespaced_config_map("c", "default")
    assert seen == [("ADDED", "c"), ("DELETED", "c")]


def test_the_informer_keeps_its_cache_current(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("before"))
    seen: Queue[tuple[str, str]] = Queue()
    followed = SharedInformer(core.list_namespaced_config_map, namespace, label_selector="app=web")
    for event in ("ADDED", "MODIFIED", "DELETED"):
        followed.add_event_handler(event, lambda one, event=event: seen.put((event, one.metadata.name)))
    followed.start()
    try:
        assert seen.get(timeout=20) == ("ADDED", "before")
        core.create_namespaced_config_map(namespace, configmap("a"))
        assert seen.get(timeout=20) == ("ADDED", "a")
        core.patch_namespaced_config_map("a", namespace, {"data": {"x": "1"}})
        assert seen.get(timeout=20) == ("MODIFIED", "a")
        core.patch_namespaced_config_map("before", namespace, {"metadata": {"labels": None}})
        assert seen.get(timeout=20) == ("DELETED", "before")
        assert [(one.metadata.name, one.data) for one in followed.cache.list()] == [("a", {"x": "1"})]
    finally:
        followed.stop()


def test_the_dynamic_client_discovers_applies_and_patches(api: client.ApiClient, namespace: str) -> None:
    everything = dynamic.DynamicClient(api)
    configs = everything.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    applied = everything.server_side_apply(configs, body=body, name="a", namespace=namespace, field_manager="tests")
    assert applied.metadata.managedFields[0].operation == "Apply"
    for content_type, patch in (
        ("application/json-patch+json", [{"op": "add", "path": "/data/y", "value": "2"}]),
        ("application/merge-patch+json", {"data": {"z": "3"}}),
        ("application/strategic-merge-patch+json", {"data": {"x": None}}),
    ):
        patched = configs.patch(name="a", namespace=namespace, body=patch, content_type=content_type)
    assert patched.data.to_dict() == {"y": "2", "z": "3"}
    assert [one.metadata.name for one in configs.get(namespace=namespace, field_selector="metadata.name=a").items] == [
        "a"
    ]
    deployments = everything.resources.get(group="apps", kind="Deployment")
    assert deployments.group_version == "apps/v1"
    events = configs.watch(namespace=namespace, timeout=1)
    assert {event["object"].metadata.name for event in events} == {"a", "kube-root-ca.crt"}


def test_custom_objects_and_their_definition(api: client.ApiClient, namespace: str) -> None:
    schema = client.V1JSONSchemaProps(type="object", x_kubernetes_preserve_unknown_fields=True)
    version = client.V1CustomResourceDefinitionVersion(
        name="v1", served=True, storage=True, schema=client.V1CustomResourceValidation(open_apiv3_schema=schema)
    )
    names = client.V1CustomResourceDefinitionNames(plural="pies", singular="pie", kind="Pie")
    spec = client.V1CustomResourceDefinitionSpec(
        group="py.example", scope="Namespaced", names=names, versions=[version]
    )
    definitions = client.ApiextensionsV1Api(api)
    definitions.create_custom_resource_definition(
        client.V1CustomResourceDefinition(metadata=client.V1ObjectMeta(name="pies.py.example"), spec=spec)
    )
    try:
        custom = client.CustomObjectsApi(api)
        where = ("py.example", "v1", namespace, "pies")
        custom.create_namespaced_custom_object(
            *where, {"apiVersion": "py.example/v1", "kind": "Pie", "metadata": {"name": "a"}, "spec": {"n": 1}}
        )
        assert custom.patch_namespaced_custom_object(*where, "a", {"spec": {"n": 2}})["spec"] == {"n": 2}
        assert [one["metadata"]["name"] for one in custom.list_namespaced_custom_object(*where)["items"]] == ["a"]
        assert custom.delete_namespaced_custom_object(*where, "a")["status"] == "Success"
    finally:
        definitions.delete_custom_resource_definition("pies.py.example")


def test_tokens_and_reviews(api: client.ApiClient, core: client.CoreV1Api, server: Server, namespace: str) -> None:
    core.create_namespaced_service_account(
        namespace, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="robot"))
    )
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    token = core.create_namespaced_service_account_token("robot", namespace, request).status.token
    review = client.AuthenticationV1Api(api).create_token_review(
        client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token))
    )
    assert review.status.authenticated and review.status.user.username == f"system:serviceaccount:{namespace}:robot"
    configuration = client.Configuration(host=server.url)
    configuration.api_key = {"authorization": f"Bearer {token}"}
    configuration.ssl_ca_cert = api.configuration.ssl_ca_cert
    with client.ApiClient(configuration) as robot, pytest.raises(ApiException) as caught:
        client.CoreV1Api(robot).list_namespaced_secret(namespace)
    assert caught.value.status == 403
