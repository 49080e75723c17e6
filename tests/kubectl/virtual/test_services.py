"""What stands behind Services, and the addresses they are given."""

from pathlib import Path

import yaml
from tests.kubectl.conftest import Kubectl
from tests.kubectl.virtual.conftest import Console
from tests.kubectl.virtual.manifests import workload

from mizzen.cluster.virtual import Shape, VirtualCluster


def service(name: str, **spec: object) -> str:
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    return yaml.safe_dump({**body, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}, **spec}})


def addresses(console: Console, name: str) -> list[str]:
    return console.field(".status.loadBalancer.ingress[*].ip", "service", name).split()


def test_load_balancers_share_a_pool_and_say_when_it_is_used_up(tmp_path: Path) -> None:
    with VirtualCluster(Shape(tmp_path, load_balancer_pool="192.0.2.16/30")) as cluster:
        console = Console(Kubectl(cluster.kubeconfig), cluster)
        for name in ("a", "b", "c"):
            console.apply(service(name, type="LoadBalancer"))
            cluster.advance(1)
        assert [addresses(console, name) for name in "abc"] == [["192.0.2.17"], ["192.0.2.18"], []]
        assert "<pending>" in console("get", "service", "c")
        refused = "Error syncing load balancer: failed to ensure load balancer: no address of the pool is free"
        assert ("SyncLoadBalancerFailed", refused) in console.events("c")
        assert ("EnsuredLoadBalancer", "Ensured load balancer") in console.events("a")
        console("patch", "service", "a", "-p", '{"spec":{"type":"ClusterIP"}}')
        cluster.advance(1)
        assert (addresses(console, "a"), addresses(console, "c")) == ([], ["192.0.2.17"])
        console("delete", "service", "b")
        console.apply(service("picky", type="LoadBalancer", loadBalancerIP="192.0.2.18"))
        cluster.advance(1)
        assert addresses(console, "picky") == ["192.0.2.18"]


def test_without_a_pool_a_load_balancer_has_the_addresses_of_ready_nodes(console: Console) -> None:
    console.apply(service("web", type="LoadBalancer"))
    console.cluster.advance(1)
    assert addresses(console, "web") == ["127.0.0.1"], "simulated nodes share one"
    assert "127.0.0.1" in console("get", "service", "web")


def test_slices_follow_the_pods_of_a_service_and_mirror_hand_written_endpoints(console: Console) -> None:
    console.apply(workload("Deployment", replicas=2))
    console.apply(service("web"))
    console.apply(service("outside", selector=None))
    subsets = [{"addresses": [{"ip": "192.0.2.77"}], "ports": [{"port": 80}]}]
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "outside"}, "subsets": subsets}
    console.apply(yaml.safe_dump(endpoints))
    console.cluster.advance(5)
    ips = console("get", "pods", "-o", "jsonpath={.items[*].status.podIP}").split()
    [found] = console.json("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
    assert sorted(one["addresses"][0] for one in found["endpoints"]) == sorted(ips)
    assert {one["zone"] for one in found["endpoints"]} <= {"zone-1", "zone-2", "zone-3"}
    [mirrored] = console.json("endpointslices", "-l", "kubernetes.io/service-name=outside")["items"]
    assert mirrored["endpoints"][0]["addresses"] == ["192.0.2.77"]
    assert mirrored["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"].startswith("endpointslicemirroring")
    described = console("describe", "service", "web")
    assert all(f"{ip}:80" in described for ip in ips)
    console("scale", "deploy/web", "--replicas=0")
    console.cluster.advance(10)
    [found] = console.json("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
    assert not found["endpoints"]
