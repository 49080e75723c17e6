"""kubernetes_asyncio, lightkube and kr8s against the same server."""

import kr8s.asyncio
import pytest
from kubernetes_asyncio import client as aio
from kubernetes_asyncio import config as aio_config
from kubernetes_asyncio import watch as aio_watch
from lightkube import AsyncClient, Client, KubeConfig, generic_resource
from lightkube.core.exceptions import ApiError
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import PatchType
from tests.cluster.clients.harness import Server

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "lamps.light.example"},
    "spec": {
        "group": "light.example",
        "scope": "Namespaced",
        "names": {"plural": "lamps", "singular": "lamp", "kind": "Lamp"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


async def test_kubernetes_asyncio_writes_and_watches(server: Server, namespace: str) -> None:
    await aio_config.load_kube_config(str(server.kubeconfig))
    async with aio.ApiClient() as api:
        core = aio.CoreV1Api(api)
        body = aio.V1ConfigMap(metadata=aio.V1ObjectMeta(name="a", labels={"app": "web"}), data={"x": "1"})
        made = await core.create_namespaced_config_map(namespace, body)
        seen = []
        watching = aio_watch.Watch()
        async with watching.stream(
            core.list_namespaced_config_map, namespace, label_selector="app=web", timeout_seconds=20
        ) as stream:
            async for event in stream:
                seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == 1:
                    await core.patch_namespaced_config_map("a", namespace, {"data": {"y": "2"}})
                elif len(seen) == 2:
                    await core.delete_namespaced_config_map("a", namespace)
                else:
                    break
        assert made.metadata.uid
        assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


@pytest.fixture
def light(server: Server, namespace: str) -> Client:
    return Client(config=KubeConfig.from_file(server.kubeconfig), namespace=namespace, field_manager="lightkube-tests")


def web(replicas: int) -> Deployment:
    labels = {"app": "web"}
    pod = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=[Container(name="c", image="example/c")])
    )
    return Deployment(
        apiVersion="apps/v1",
        kind="Deployment",
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(matchLabels=labels), template=pod),
    )


def test_lightkube_applies_patches_lists_and_scales(light: Client) -> None:
    assert light.apply(web(1)).spec.replicas == 1
    assert light.apply(web(2)).metadata.generation == 2
    assert light.patch(Deployment, "web", {"spec": {"replicas": 0}}, patch_type=PatchType.MERGE).spec.replicas == 0
    assert light.patch(Deployment.Scale, "web", {"spec": {"replicas": 3}}).spec.replicas == 3
    assert light.get(Deployment, "web").spec.replicas == 3
    assert [one.metadata.name for one in light.list(Deployment, labels={"app": "none"})] == []
    assert "default" in {one.metadata.name for one in light.list(Namespace, chunk_size=2)}
    with pytest.raises(ApiError) as caught:
        light.get(Pod, "none")
    assert (caught.value.status.code, caught.value.status.reason) == (404, "NotFound")
    light.delete(Deployment, "web")


def test_lightkube_watches_configmaps(light: Client) -> None:
    light.create(ConfigMap(metadata=ObjectMeta(name="a", labels={"app": "web"}), data={"x": "1"}))
    for kind, one in light.watch(ConfigMap, labels={"app": "web"}, server_timeout=15):
        assert (kind, one.metadata.name) == ("ADDED", "a")
        break


async def test_lightkube_uses_custom_resources_generically(server: Server, namespace: str) -> None:
    Lamp = generic_resource.create_namespaced_resource("light.example", "v1", "Lamp", "lamps")
    light = AsyncClient(config=KubeConfig.from_file(server.kubeconfig), namespace=namespace, field_manager="tests")
    await light.create(CustomResourceDefinition.from_dict(DEFINITION))
    try:
        await light.wait(CustomResourceDefinition, "lamps.light.example", for_conditions=["Established"])
        lamp = Lamp(metadata={"name": "a"}, spec={"on": True})
        assert (
            await light.apply(
                Lamp(apiVersion="light.example/v1", kind="Lamp", metadata=ObjectMeta(name="a"), spec={"on": True})
            )
        ).spec == {"on": True}
        patched = await light.patch(Lamp.Status, "a", {"status": {"seen": True}}, patch_type=PatchType.MERGE)
        assert patched.status == {"seen": True}
        assert [one.metadata.name async for one in light.list(Lamp)] == ["a"]
        assert lamp.metadata.name == "a"
    finally:
        await light.delete(CustomResourceDefinition, "lamps.light.example")
        await light.close()


@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported")  # kr8s knows 1.35 at most
async def test_kr8s_finds_creates_scales_and_waits(server: Server, namespace: str) -> None:
    api = await kr8s.asyncio.api(kubeconfig=str(server.kubeconfig), namespace=namespace)
    assert (await api.version())["minor"] == "37"
    config = await kr8s.asyncio.objects.ConfigMap(
        {"metadata": {"name": "a", "namespace": namespace}, "data": {"x": "1"}}, api=api
    )
    await config.create()
    await config.label(app="web")
    assert [one.name async for one in api.get("configmaps", namespace=namespace, label_selector={"app": "web"})] == [
        "a"
    ]
    await config.patch({"data": {"y": "2"}})
    assert config.data == {"x": "1", "y": "2"}
    deployment = await kr8s.asyncio.objects.Deployment(
        {**web(1).to_dict(), "metadata": {"name": "web", "namespace": namespace}}, api=api
    )
    await deployment.create()
    await deployment.scale(0)
    assert deployment.replicas == 0
    assert "deployments" in {one["name"] for one in await api.api_resources()}
    await deployment.delete()
    await deployment.wait("delete", timeout=10)
    assert await api.whoami() == "kubernetes-admin"
