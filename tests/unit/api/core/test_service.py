from typing import Any

import pytest

from mizzen.api.core import service_update, service_validation
from mizzen.api.core.service import SERVICE

from ..written import causes, cells, found, written


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "front"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}}


def allocated(content: dict[str, Any], old: dict[str, Any] | None = None) -> dict[str, Any]:
    """As stored by a server with one address to give."""
    stored = written(SERVICE, content, old)
    spec = stored["spec"]
    if spec["type"] != "ExternalName" and not spec.get("clusterIPs"):
        spec["clusterIP"], spec["clusterIPs"] = "10.96.0.7", ["10.96.0.7"]
    if service_validation.needs_node_ports(spec):
        for i, port in enumerate(spec["ports"]):
            port.setdefault("nodePort", 30001 + i)
    return stored


def test_a_service_gets_protocol_target_port_and_policies() -> None:
    spec = written(SERVICE, service())["spec"]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["type"], spec["sessionAffinity"], spec["internalTrafficPolicy"]) == ("ClusterIP", "None", "Cluster")
    assert "externalTrafficPolicy" not in spec


def test_an_affinity_without_timeout_lasts_three_hours_and_a_timeout_without_affinity_goes() -> None:
    sticky = written(SERVICE, service(sessionAffinity="ClientIP"))["spec"]
    assert sticky["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    loose = written(SERVICE, service(sessionAffinityConfig={"clientIP": {"timeoutSeconds": 5}}))["spec"]
    assert "sessionAffinityConfig" not in loose


def test_the_status_of_a_new_service_is_dropped() -> None:
    content = service() | {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}
    assert written(SERVICE, content)["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"ports": []}, ("spec.ports", "Required")),
        ({"ports": [{"port": 80}, {"port": 81, "name": "b"}]}, ("spec.ports[0].name", "Required")),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}, ("spec.ports[1].name", "Duplicate")),
        ({"type": "NodePort", "clusterIP": "None"}, ("spec.clusterIPs[0]", "Invalid")),
        ({"type": "LoadBalancer", "ports": [{"port": 10250}]}, ("spec.ports[0]", "Invalid")),
        ({"externalTrafficPolicy": "Local"}, ("spec.externalTrafficPolicy", "Invalid")),
        ({"healthCheckNodePort": 30000}, ("spec.healthCheckNodePort", "Invalid")),
        ({"internalTrafficPolicy": "Near"}, ("spec.internalTrafficPolicy", "NotSupported")),
        ({"trafficDistribution": "Random"}, ("spec.trafficDistribution", "NotSupported")),
        ({"externalIPs": ["127.0.0.1"]}, ("spec.externalIPs[0]", "Invalid")),
        ({"externalIPs": ["nowhere"]}, ("spec.externalIPs[0]", "Invalid")),
        ({"sessionAffinity": "Cookie"}, ("spec.sessionAffinity", "NotSupported")),
        ({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.2"]}, ("spec.clusterIPs", "Invalid")),
        ({"clusterIPs": ["None", "10.96.0.1"], "clusterIP": "None"}, ("spec.clusterIPs", "Invalid")),
        ({"clusterIP": "somewhere"}, ("spec.clusterIPs[0]", "Invalid")),
        ({"clusterIP": "10.96.0.1", "ipFamilies": ["IPv6"]}, ("spec.clusterIPs[0]", "Invalid")),
    ],
)
def test_what_a_service_may_not_say(spec: dict[str, Any], cause: tuple[str, str]) -> None:
    assert cause in causes(SERVICE, service(**spec))


@pytest.mark.parametrize("distribution", ["PreferClose", "PreferSameZone", "PreferSameNode"])
def test_traffic_may_be_kept_near(distribution: str) -> None:
    assert causes(SERVICE, service(trafficDistribution=distribution)) == set()


def test_a_change_of_type_gives_back_what_the_new_type_does_not_use() -> None:
    balanced = allocated(service(type="LoadBalancer", loadBalancerClass="acme.test/lb"))
    on_nodes = allocated(balanced | {"spec": balanced["spec"] | {"type": "NodePort"}}, balanced)
    assert on_nodes["spec"]["ports"][0]["nodePort"] == 30001
    assert not {"allocateLoadBalancerNodePorts", "loadBalancerClass"} & on_nodes["spec"].keys()
    plain = allocated(on_nodes | {"spec": on_nodes["spec"] | {"type": "ClusterIP"}}, on_nodes)
    assert "nodePort" not in plain["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in plain["spec"]
    named = {"type": "ExternalName", "externalName": "far.test"}
    outside = allocated(plain | {"spec": plain["spec"] | named}, plain)
    assert not {"clusterIP", "clusterIPs", "internalTrafficPolicy"} & outside["spec"].keys()
    assert found(service_validation.validate(outside, plain)) == set()


def test_a_put_without_addresses_and_node_ports_keeps_them() -> None:
    old = allocated(service(type="NodePort", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}]))
    new = written(
        SERVICE, service(type="NodePort", ports=[{"name": "b", "port": 8081}, {"name": "a", "port": 80}]), old
    )
    assert new["spec"]["clusterIP"] == "10.96.0.7"
    assert [port["nodePort"] for port in new["spec"]["ports"]] == [30002, 30001]


def test_an_address_may_not_change_once_set() -> None:
    old = allocated(service())
    changed = {("spec.clusterIPs[0]", "Invalid")}
    assert causes(SERVICE, service(clusterIP="10.96.0.8", clusterIPs=["10.96.0.8"]), old) == changed
    assert causes(SERVICE, service(clusterIP="10.96.0.8"), old) == changed
    assert causes(SERVICE, service(clusterIP="None"), old) == changed


def test_a_headless_service_without_selector_claims_both_families() -> None:
    spec = written(SERVICE, {"spec": {"clusterIP": "None"}})["spec"]
    assert list(service_update.complete_families(spec, None, ("IPv4",))) == []
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")


@pytest.mark.parametrize(
    ("given", "offered", "families", "policy"),
    [
        ({}, ("IPv4",), ["IPv4"], "SingleStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ("IPv4",), ["IPv4"], "PreferDualStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ("IPv4", "IPv6"), ["IPv4", "IPv6"], "PreferDualStack"),
        (
            {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"},
            ("IPv4", "IPv6"),
            ["IPv6", "IPv4"],
            "RequireDualStack",
        ),
        ({"clusterIP": "fd00::1"}, ("IPv4", "IPv6"), ["IPv6"], "SingleStack"),
    ],
)
def test_families_come_from_the_cluster(
    given: dict[str, Any], offered: tuple[str, ...], families: list[str], policy: str
) -> None:
    spec = written(SERVICE, service(**given))["spec"]
    assert list(service_update.complete_families(spec, None, offered)) == []
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (families, policy)


def test_families_that_the_cluster_lacks_are_refused() -> None:
    spec = written(SERVICE, service(ipFamilies=["IPv6"]))["spec"]
    assert found(service_update.complete_families(spec, None, ("IPv4",))) == {("spec.ipFamilies[0]", "Invalid")}


def test_ingress_addresses_are_addresses_and_have_a_mode() -> None:
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "nonsense", "ipMode": "VIP"}, {"ipMode": "VIP"}]}}}
    path = "status.loadBalancer.ingress"
    assert found(service_validation.validate_status(service() | status, None)) == {
        (f"{path}[0].ip", "Invalid"),
        (f"{path}[1].ipMode", "Forbidden"),
    }


def test_columns_tell_addresses_ports_and_selector() -> None:
    balanced = service(
        type="LoadBalancer", clusterIPs=["10.96.0.7"], clusterIP="10.96.0.7", ports=[{"port": 80, "nodePort": 30080}]
    ) | {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}}
    assert cells(SERVICE, balanced) == {
        "Name": "front",
        "Type": "LoadBalancer",
        "Cluster-IP": "10.96.0.7",
        "External-IP": "203.0.113.9",
        "Port(s)": "80:30080/TCP",
        "Age": "5m",
        "Selector": "app=web",
    }
    assert cells(SERVICE, service(type="LoadBalancer"))["External-IP"] == "<pending>"
    assert cells(SERVICE, service(type="ExternalName", externalName="far.test"))["External-IP"] == "far.test"
    assert cells(SERVICE, service(clusterIP="None", ports=[], selector={}))["Port(s)"] == "<none>"


def test_a_name_may_begin_with_a_digit_but_have_no_dot() -> None:
    assert SERVICE.check_name is not None
    assert list(SERVICE.check_name("1front")) == []
    assert list(SERVICE.check_name("front.1")) != []


def test_addresses_and_ranges_of_a_service_are_written_clearly() -> None:
    given = service(
        type="LoadBalancer", externalIPs=["::ffff:1.2.3.4", "010.0.0.1"], loadBalancerSourceRanges=["10.0.0.1/8"]
    )
    assert causes(SERVICE, given) >= {
        ("spec.externalIPs[0]", "Invalid"),
        ("spec.externalIPs[1]", "Invalid"),
        ("spec.LoadBalancerSourceRanges[0]", "Invalid"),
    }
