from random import Random

import pytest
from tests.fakes.reader import FakeReader, FakeWriter, made

from mizzen.api.core.service import SERVICE, default
from mizzen.api.networking.ipaddress import IP_ADDRESS
from mizzen.api.networking.servicecidr import SERVICE_CIDR
from mizzen.machinery.errors import ApiError, Object
from mizzen.server.allocators.ipaddresses import IpAddresses
from mizzen.server.allocators.pools import Exhausted, Pool, Taken
from mizzen.server.allocators.services import Services


def _service(name: str = "web", **spec: object) -> Object:
    service = made(name, "shop", spec={"ports": [{"port": 80}], "selector": {"app": "web"}, **spec})
    default(service)
    return service


def _world(cidr: str = "10.96.0.0/24") -> tuple[FakeReader, Services]:
    reader = FakeReader()
    return reader, Services(reader, (cidr,), Random(1), (30000, 30020))


def test_a_service_gets_an_address_of_the_dynamic_band() -> None:
    _, services = _world()
    service = _service()
    services.allocate(service, None)
    spec = service["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert int(spec["clusterIP"].rpartition(".")[2]) > 16


def test_no_two_services_share_an_address_until_the_range_is_full() -> None:
    _, services = _world("10.96.0.0/28")
    given = []
    for number in range(14):
        service = _service(f"s{number}")
        services.allocate(service, None)
        given.append(service["spec"]["clusterIP"])
    assert len(set(given)) == 14
    with pytest.raises(ApiError, match="range is full"):
        services.allocate(_service("one-more"), None)


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("10.96.0.9", "failed to allocate IP 10.96.0.9: provided IP is already allocated"),
        (
            "192.168.7.7",
            "failed to allocate IP 192.168.7.7: the provided IP (192.168.7.7) is not in the valid range. "
            "The range of valid IPs is 10.96.0.0/24",
        ),
    ],
)
def test_an_address_that_cannot_be_had_is_told_in_the_originals_words(address: str, detail: str) -> None:
    _, services = _world()
    services.allocate(_service("first", clusterIP="10.96.0.9"), None)
    with pytest.raises(ApiError) as caught:
        services.allocate(_service("second", clusterIP=address), None)
    assert caught.value.message == (
        f'Service "second" is invalid: spec.clusterIPs: Invalid value: []string{{"{address}"}}: {detail}'
    )


def test_what_was_not_stored_is_given_back() -> None:
    _, services = _world()
    undo = services.allocate(_service("first", clusterIP="10.96.0.9"), None)
    undo()
    services.allocate(_service("second", clusterIP="10.96.0.9"), None)


def test_stored_services_keep_their_addresses_over_a_restart() -> None:
    stored = _service("old", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"], ipFamilies=["IPv4"])
    services = Services(FakeReader((SERVICE, stored)), ("10.96.0.0/24",), Random(1))
    with pytest.raises(ApiError, match="already allocated"):
        services.allocate(_service("new", clusterIP="10.96.0.9"), None)


def test_a_deleted_service_frees_its_address_and_ports() -> None:
    reader, services = _world()
    service = _service("a", type="NodePort", clusterIP="10.96.0.9", ports=[{"port": 80, "nodePort": 30005}])
    services.allocate(service, None)
    reader.put(SERVICE, service)
    services.release(service)
    again = _service("b", type="NodePort", clusterIP="10.96.0.9", ports=[{"port": 80, "nodePort": 30005}])
    services.allocate(again, None)


def test_a_change_to_external_name_frees_the_address() -> None:
    reader, services = _world()
    service = _service("a", clusterIP="10.96.0.9")
    services.allocate(service, None)
    reader.put(SERVICE, service)
    external = made("a", "shop", spec={"type": "ExternalName", "externalName": "db.example"})
    services.allocate(external, service)
    reader.put(SERVICE, external)
    services.allocate(_service("b", clusterIP="10.96.0.9"), None)


def test_a_headless_service_gets_no_address() -> None:
    service = _service(clusterIP="None")
    _world()[1].allocate(service, None)
    assert service["spec"]["clusterIPs"] == ["None"]


def test_node_ports_are_given_and_refused() -> None:
    _, services = _world()
    service = _service("a", type="NodePort", ports=[{"port": 80}, {"port": 443, "nodePort": 30003}])
    services.allocate(service, None)
    assert 30000 <= service["spec"]["ports"][0]["nodePort"] <= 30020
    for port, detail in (
        (30003, "provided port is already allocated"),
        (80, "provided port is not in the valid range. The range of valid ports is 30000-30020"),
    ):
        with pytest.raises(ApiError) as caught:
            services.allocate(_service("b", type="NodePort", ports=[{"port": 80, "nodePort": port}]), None)
        assert f"spec.ports[0].nodePort: Invalid value: {port}: {detail}" in caught.value.message


def test_the_same_port_under_two_protocols_shares_a_node_port() -> None:
    service = _service("dns", type="NodePort", ports=[{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}])
    _world()[1].allocate(service, None)
    tcp, udp = service["spec"]["ports"]
    assert tcp["nodePort"] == udp["nodePort"]


def test_a_load_balancer_may_do_without_node_ports_but_not_without_its_health_port() -> None:
    service = _service("lb", type="LoadBalancer", allocateLoadBalancerNodePorts=False, externalTrafficPolicy="Local")
    _world()[1].allocate(service, None)
    assert "nodePort" not in service["spec"]["ports"][0]
    assert 30000 <= service["spec"]["healthCheckNodePort"] <= 30020


def test_a_pool_draws_from_its_reserved_part_last() -> None:
    pool = Pool(1, 10, 4, Random(2))
    assert sorted(pool.draw("x") for _ in range(6)) == [5, 6, 7, 8, 9, 10]
    assert sorted(pool.draw("x") for _ in range(4)) == [1, 2, 3, 4]
    with pytest.raises(Exhausted):
        pool.draw("x")
    with pytest.raises(Taken):
        pool.take(3, "y")
    pool.free(3, "y")
    assert pool.owner(3) == "x"


def _claim(address: str, **parent: str) -> Object:
    return made(address, "", spec={"parentRef": parent})


def test_an_address_that_an_object_of_somebody_else_names_is_theirs() -> None:
    reader, services = _world("10.96.0.0/28")
    gateway = {"group": "gateway.networking.k8s.io", "resource": "gateways", "namespace": "edge", "name": "g"}
    reader.put(IP_ADDRESS, _claim("10.96.0.9", **gateway))
    with pytest.raises(ApiError, match="already allocated"):
        services.allocate(_service("web", clusterIP="10.96.0.9"), None)
    given = [_service(f"s{number}") for number in range(13)]
    for service in given:
        services.allocate(service, None)
    assert "10.96.0.9" not in {service["spec"]["clusterIP"] for service in given}
    reader.drop(IP_ADDRESS, "", "10.96.0.9")
    services.allocate(_service("web", clusterIP="10.96.0.9"), None)


@pytest.mark.parametrize("parent", [{"resource": "services", "namespace": "shop", "name": "new"}, {"resource": "x"}])
def test_the_end_of_an_object_frees_nothing_that_a_service_has(parent: dict[str, str]) -> None:
    reader, services = _world()
    reader.put(IP_ADDRESS, _claim("10.96.0.9", **parent))
    reader.put(SERVICE, _service("new", clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"], ipFamilies=["IPv4"]))
    reader.drop(IP_ADDRESS, "", "10.96.0.9")
    with pytest.raises(ApiError, match="already allocated"):
        services.allocate(_service("web", clusterIP="10.96.0.9"), None)


def test_a_range_that_overlaps_another_gives_no_address_twice() -> None:
    reader, services = _world("10.96.0.0/28")
    given = [_service(f"s{number}") for number in range(14)]
    for service in given:
        services.allocate(service, None)
        reader.put(SERVICE, service)
    reader.put(SERVICE_CIDR, made("wide", "", spec={"cidrs": ["10.96.0.0/27"]}))
    more = [_service(f"m{number}") for number in range(16)]
    for service in more:
        services.allocate(service, None)
    assert len({service["spec"]["clusterIP"] for service in (*given, *more)}) == 30
    with pytest.raises(ApiError, match="range is full"):
        services.allocate(_service("one-more"), None)


async def test_objects_of_others_are_left_alone_and_lost_ones_made_again() -> None:
    import asyncio

    reader = FakeReader((SERVICE, _service("a", clusterIPs=["10.96.0.8"])))
    theirs = _claim("10.96.0.9", group="g.example.com", resource="gateways", namespace="edge", name="g")
    reader.put(IP_ADDRESS, theirs)
    task = asyncio.create_task(IpAddresses(reader, FakeWriter(reader)).run())

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    await settle()
    reader.put(SERVICE, _service("b", clusterIPs=["10.96.0.9"]))
    reader.drop(IP_ADDRESS, "", "10.96.0.8")
    await settle()
    assert reader.get(IP_ADDRESS, "", "10.96.0.8")["spec"]["parentRef"]["name"] == "a"
    assert reader.get(IP_ADDRESS, "", "10.96.0.9") == theirs
    reader.drop(SERVICE, "shop", "b")
    await settle()
    assert reader.get(IP_ADDRESS, "", "10.96.0.9") == theirs
    task.cancel()


async def test_every_address_has_an_object_as_long_as_its_service() -> None:
    import asyncio

    reader = FakeReader((SERVICE, _service("a", clusterIPs=["10.96.0.9"])))
    writer = FakeWriter(reader)
    task = asyncio.create_task(IpAddresses(reader, writer).run())
    for _ in range(5):
        await asyncio.sleep(0)
    parent = {"resource": "services", "namespace": "shop", "name": "a"}
    assert reader.get(IP_ADDRESS, "", "10.96.0.9")["spec"] == {"parentRef": parent}
    reader.drop(SERVICE, "shop", "a")
    for _ in range(5):
        await asyncio.sleep(0)
    assert reader.get(IP_ADDRESS, "", "10.96.0.9") is None
    task.cancel()
