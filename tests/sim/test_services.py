"""What stands behind Services, under every kind of trouble: slices, Endpoints, mirrors, addresses, ranges."""

from typing import Any

from tests.sim.story import check
from tests.sim.test_replicas import APP, replica_set
from tests.sim.world import Kubelet, World, add_nodes

from mizzen.client.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, REPLICA_SETS, SERVICE_CIDRS, SERVICES
from mizzen.controllers import endpoints, endpointslices, loadbalancers, service_ranges
from mizzen.controllers.config import Config
from mizzen.controllers.replicas import REPLICA_SET
from mizzen.machinery.errors import Object


def service(name: str, **spec: Any) -> Object:
    body = {"ipFamilies": ["IPv4"], "clusterIP": "10.96.0.7", "ports": [{"port": 80, "protocol": "TCP"}], **spec}
    return {"metadata": {"name": name, "namespace": "d"}, "spec": body}


def test_slices_and_endpoints_hold_exactly_the_pods_that_serve(seeds: range) -> None:
    check(seeds, serve)


def serve(seed: int) -> None:
    controllers = (REPLICA_SET, endpointslices.CONTROLLER, endpoints.CONTROLLER)
    world = World(seed, controllers, kubelet=Kubelet())
    add_nodes(world, ("n1", "n2", "n3"))
    world.api.create(("apps", "replicasets"), replica_set(world.rng.randrange(1, 5)))
    world.api.create(("", "services"), service("web", selector=APP))
    foreign = {"metadata": {"name": "web-theirs", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}}}
    world.api.create((ENDPOINT_SLICES.group, ENDPOINT_SLICES.plural), foreign | {"addressType": "IPv4"})
    size = world.rng.randrange(5)
    world.users = (lambda w: w.api.patch(REPLICA_SETS, "d", "web", {"spec": {"replicas": size}}),)
    world.live(150)
    serving = {pod["status"]["podIP"] for pod in world.all(PODS) if pod["metadata"]["labels"] == APP}
    slices = [one for one in world.all(ENDPOINT_SLICES) if one["metadata"]["name"] != "web-theirs"]
    found = [ip for one in slices for end in one["endpoints"] or () for ip in end["addresses"]]
    assert sorted(found) == sorted(serving), f"seed {seed}"
    assert len(serving) == size, f"seed {seed}"
    assert len(slices) == 1, f"seed {seed}: {len(slices)} slices for {size} pods"
    assert all(end["conditions"]["ready"] for one in slices for end in one["endpoints"] or ()), f"seed {seed}"
    [old] = world.all(ENDPOINTS)
    addresses = {one["ip"] for subset in old.get("subsets") or () for one in subset.get("addresses") or ()}
    assert addresses == serving, f"seed {seed}"
    theirs = world.api.get((ENDPOINT_SLICES.group, ENDPOINT_SLICES.plural), "d", "web-theirs")
    assert "endpoints" not in theirs, f"seed {seed}: a slice of somebody else's was touched"
    assert not any(world.plans(endpointslices.CONTROLLER, ["d/web"])), f"seed {seed}"
    assert not any(world.plans(endpoints.CONTROLLER, ["d/web"])), f"seed {seed}"


def test_hand_written_endpoints_are_mirrored(seeds: range) -> None:
    check(seeds, mirror)


def mirror(seed: int) -> None:
    world = World(seed, (endpoints.MIRROR,))
    world.api.create(("", "services"), service("db"))
    subset = {"addresses": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}], "ports": [{"port": 5432, "protocol": "TCP"}]}
    world.api.create(("", "endpoints"), {"metadata": {"name": "db", "namespace": "d"}, "subsets": [subset]})
    later = {"addresses": [{"ip": "192.0.2.2"}], "notReadyAddresses": [{"ip": "192.0.2.3"}], "ports": subset["ports"]}
    notes = {"example.com/owner": "ann", endpoints.APPLIED: "{}"}
    world.users = (
        lambda w: w.api.patch(ENDPOINTS, "d", "db", {"subsets": [later], "metadata": {"annotations": {"old": "1"}}}),
        lambda w: w.api.patch(ENDPOINTS, "d", "db", {"metadata": {"annotations": {**notes, "old": None}}}),
    )
    world.live(60)
    [one] = world.all(ENDPOINT_SLICES)
    found = {end["addresses"][0]: end["conditions"]["ready"] for end in one["endpoints"]}
    assert found == {"192.0.2.2": True, "192.0.2.3": False}, f"seed {seed}"
    assert one["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == endpoints.MANAGER, f"seed {seed}"
    told = {key: value for key, value in one["metadata"]["annotations"].items() if key != endpoints.TRIGGER}
    assert told == {"example.com/owner": "ann"}, f"seed {seed}: {told}"
    world.api.patch(SERVICES, "d", "db", {"spec": {"selector": APP}})
    world.settle()
    assert not world.all(ENDPOINT_SLICES), f"seed {seed}: with a selector, it is not the mirror's any more"


def test_no_address_from_outside_is_given_twice(seeds: range) -> None:
    check(seeds, address)


def address(seed: int) -> None:
    controller = loadbalancers.controller(Config(load_balancer_pool=("192.0.2.10-192.0.2.12",)))
    world = World(seed, (controller,))
    for name in ("a", "b", "c", "e"):
        world.api.create(("", "services"), service(name, type="LoadBalancer"))
    problems: list[str] = []

    def watch(_where: Any, _old: Any, _new: Any) -> None:
        given = [ip for one in world.all(SERVICES) for ip in _given(one)]
        if len(given) != len(set(given)):
            problems.append(str(given))

    world.api.changed = watch
    world.users = (
        lambda w: w.api.delete(("", "services"), "d", "a"),
        lambda w: w.api.patch(SERVICES, "d", "b", {"spec": {"type": "ClusterIP"}}),
    )
    world.live(80)
    assert not problems, f"seed {seed}: {problems}"
    found = {one["metadata"]["name"]: _given(one) for one in world.all(SERVICES)}
    assert not found["b"], f"seed {seed}: it wants none any more"
    assert all(len(found[name]) == 1 for name in ("c", "e")), f"seed {seed}: {found}"


def _given(one: Object) -> list[str]:
    balancer = (one.get("status") or {}).get("loadBalancer") or {}
    return [entry["ip"] for entry in balancer.get("ingress") or ()]


def test_a_range_of_service_addresses_stays_while_an_address_needs_it(seeds: range) -> None:
    check(seeds, shrink)


def shrink(seed: int) -> None:
    world = World(seed, (service_ranges.CONTROLLER,))
    where, addresses = ("networking.k8s.io", "servicecidrs"), ("networking.k8s.io", "ipaddresses")
    for name, cidr in (("first", "10.96.0.0/24"), ("more", "10.97.0.0/24")):
        world.api.create(where, {"metadata": {"name": name}, "spec": {"cidrs": [cidr]}})
    world.settle()
    world.api.create(addresses, {"metadata": {"name": "10.97.0.5"}, "spec": {}})
    world.resume()
    world.users = (lambda w: w.api.delete(where, "", "more"),)
    world.live(50)
    found = world.api.get(where, "", "more")
    assert found["status"]["conditions"][0]["status"] == "False", f"seed {seed}"
    world.api.delete(addresses, "", "10.97.0.5")
    world.settle()
    assert [one["metadata"]["name"] for one in world.all(SERVICE_CIDRS)] == ["first"], f"seed {seed}"
