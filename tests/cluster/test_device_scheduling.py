"""The scheduler gives devices through the real API server: what it writes into claims, and what it waits for."""

from collections.abc import Callable
from typing import Any

from tests.cluster.test_scheduling import MERGE, PODS, Cluster, cluster

__all__ = ["cluster"]
GROUP = "/apis/resource.k8s.io/v1"
CLAIMS = f"{GROUP}/namespaces/default/resourceclaims"
DRIVER = "gpu.example.com"


async def offered(cluster: Cluster, node: str, *devices: dict[str, Any], **kind: Any) -> None:
    """A node with devices, and the class that they are of."""
    await cluster.node(node)
    meta = {"name": "gpu"}
    await cluster.api.call("POST", f"{GROUP}/deviceclasses", {"metadata": meta, "spec": {"selectors": [], **kind}})
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": DRIVER, "pool": pool, "nodeName": node, "devices": list(devices)}
    await cluster.ok("POST", f"{GROUP}/resourceslices", {"metadata": {"name": node}, "spec": spec})


async def claimed(cluster: Cluster, name: str) -> None:
    """A claim for one device, and a pod that wants it."""
    request = {"name": "r", "exactly": {"deviceClassName": "gpu"}}
    await cluster.ok("POST", CLAIMS, {"metadata": {"name": name}, "spec": {"devices": {"requests": [request]}}})
    await cluster.pod(name, resourceClaims=[{"name": "gpu", "resourceClaimName": name}])


async def claim(cluster: Cluster, name: str, holds: Callable[[Any], Any]) -> Any:
    return await cluster.until_at(f"{CLAIMS}/{name}", holds)


def results(claim: Any) -> Any:
    return ((claim.get("status") or {}).get("allocation") or {}).get("devices", {}).get("results")


async def told(cluster: Cluster, name: str, device: str, kind: str) -> None:
    """A driver tells that a condition of a device has become true."""
    stamp = "2030-01-01T00:00:00Z"
    condition = {"type": kind, "status": "True", "reason": "Done", "message": "", "lastTransitionTime": stamp}
    one = {"driver": DRIVER, "pool": "n1", "device": device, "conditions": [condition]}
    await cluster.ok("PATCH", f"{CLAIMS}/{name}/status", {"status": {"devices": [one]}}, content_type=MERGE)


FABRIC = {"bindsToNode": True, "bindingConditions": ["attached"], "bindingFailureConditions": ["broken"]}


async def test_a_pod_is_bound_once_its_device_is_ready(cluster: Cluster) -> None:
    await offered(cluster, "n1", {"name": "far", **FABRIC})
    await claimed(cluster, "one")
    pod = await cluster.until("one", lambda pod: pod["status"].get("nominatedNodeName"))
    assert pod["status"]["nominatedNodeName"] == "n1"
    given = await claim(cluster, "one", results)
    assert results(given)[0]["bindingConditions"] == ["attached"]
    [term] = given["status"]["allocation"]["nodeSelector"]["nodeSelectorTerms"]
    assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]
    assert not (await cluster.ok("GET", f"{PODS}/one"))["spec"].get("nodeName"), "the device is not there yet"
    await told(cluster, "one", "far", "attached")
    assert await cluster.bound("one") == "n1"


async def test_a_device_that_cannot_be_made_ready_is_given_back(cluster: Cluster) -> None:
    await offered(cluster, "n1", {"name": "far", **FABRIC})
    await claimed(cluster, "one")
    await claim(cluster, "one", results)
    await cluster.ok("DELETE", f"{GROUP}/resourceslices/n1")
    await told(cluster, "one", "far", "broken")
    text = f"claim one binding failed: device {DRIVER}/n1/far has condition broken"
    assert (await cluster.event("one", "FailedScheduling", text))["type"] == "Warning"
    freed = await claim(cluster, "one", lambda claim: not results(claim))
    assert not freed["status"].get("reservedFor")
    assert not freed["status"].get("devices")


async def test_a_device_that_is_ready_at_once_comes_before_one_that_is_not(cluster: Cluster) -> None:
    await offered(cluster, "n1", {"name": "a-far", **FABRIC}, {"name": "b-near"})
    await claimed(cluster, "one")
    assert await cluster.bound("one") == "n1"
    assert results(await claim(cluster, "one", results))[0]["device"] == "b-near"


async def test_a_pod_that_asks_for_a_number_gets_a_claim(cluster: Cluster) -> None:
    await offered(cluster, "n1", {"name": "x"}, {"name": "y"}, extendedResourceName="example.com/gpu")
    for name, resource in (("one", "example.com/gpu"), ("two", "deviceclass.resource.kubernetes.io/gpu")):
        asked = {"requests": {resource: "1"}, "limits": {resource: "1"}}
        body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": asked}]}}
        await cluster.ok("POST", PODS, body)
        assert await cluster.bound(name) == "n1"
        pod = await cluster.ok("GET", f"{PODS}/{name}")
        told = pod["status"]["extendedResourceClaimStatus"]
        request = "container-0-request-0"
        assert told["requestMappings"] == [{"containerName": "c", "resourceName": resource, "requestName": request}]
        made = await cluster.ok("GET", f"{CLAIMS}/{told['resourceClaimName']}")
        assert made["metadata"]["name"].startswith(f"{name}-extended-resources-")
        assert made["metadata"]["annotations"] == {"resource.kubernetes.io/extended-resource-claim": "true"}
        assert made["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
        assert made["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] == "gpu"
        assert results(made)[0]["request"] == request
        assert made["status"]["reservedFor"][0]["name"] == name
    asked = {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}
    body = {"metadata": {"name": "three"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": asked}]}}
    await cluster.ok("POST", PODS, body)
    await cluster.refused("three", "cannot allocate all claims")


async def test_a_pod_is_woken_by_the_class_that_serves_its_resource(cluster: Cluster) -> None:
    await offered(cluster, "n1", {"name": "x"})
    asked = {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}
    body = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": asked}]}}
    await cluster.ok("POST", PODS, body)
    await cluster.refused("one", "Insufficient example.com/gpu")
    kind = {"metadata": {"name": "named"}, "spec": {"extendedResourceName": "example.com/gpu"}}
    await cluster.ok("POST", f"{GROUP}/deviceclasses", kind)
    assert await cluster.bound("one") == "n1"


async def test_an_administrator_reaches_devices_in_use_from_a_marked_namespace(cluster: Cluster) -> None:
    await offered(cluster, "n1", {"name": "x"})
    await claimed(cluster, "one")
    assert await cluster.bound("one") == "n1"
    request = {"name": "r", "exactly": {"deviceClassName": "gpu", "adminAccess": True}}
    body = {"metadata": {"name": "look"}, "spec": {"devices": {"requests": [request]}}}
    status, answer = await cluster.api.call("POST", CLAIMS, body)
    assert (status, answer["reason"]) == (422, "Invalid"), answer
    labels = {"resource.kubernetes.io/admin-access": "true"}
    await cluster.ok("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": labels}}, content_type=MERGE)
    await cluster.ok("POST", CLAIMS, body)
    await cluster.pod("look", resourceClaims=[{"name": "gpu", "resourceClaimName": "look"}])
    assert await cluster.bound("look") == "n1"
    assert results(await claim(cluster, "look", results))[0]["adminAccess"] is True
