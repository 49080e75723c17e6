from dataclasses import replace

import pytest
from tests.unit.proxy.objects import endpoint, service, slice_of

from mizzen.proxy.rules import Backend, Frontend, Health, NodeInfo, RuleSet, Target, rules

NODE = NodeInfo("n1", "east")
A, B = Target("10.1.0.2", 8080), Target("10.1.1.2", 8080)
PIECE = slice_of(endpoint("10.1.0.2"), endpoint("10.1.1.2", "n2"))
CLUSTER = Frontend("10.96.0.5", "tcp", 80)
NODE_PORT = Frontend("", "tcp", 30080)


def test_a_cluster_ip_leads_to_every_ready_endpoint() -> None:
    seen = rules((service(),), (PIECE,), NODE)
    assert seen == RuleSet({CLUSTER: Backend((A, B), is_cluster_ip=True)}, frozenset({"10.1.0.2"}))


def test_several_slices_are_one_backend_without_repeats() -> None:
    again = slice_of(endpoint("10.1.1.2", "n2"), endpoint("10.1.1.3", "n2"))
    seen = rules((service(),), (PIECE, again), NODE).frontends[CLUSTER]
    assert seen.endpoints == (A, B, Target("10.1.1.3", 8080))


def test_ports_are_found_by_name_so_named_target_ports_may_differ_from_pod_to_pod() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "admin", "port": 81, "targetPort": "admin"}]
    pieces = (
        slice_of(endpoint("10.1.0.2"), ports=[{"name": "admin", "port": 9001}]),
        slice_of(endpoint("10.1.0.3"), ports=[{"name": "admin", "port": 9002}]),
    )
    seen = rules((service(ports=ports),), pieces, NODE).frontends
    assert seen[Frontend("10.96.0.5", "tcp", 81)].endpoints == (Target("10.1.0.2", 9001), Target("10.1.0.3", 9002))
    assert seen[CLUSTER].endpoints == ()


@pytest.mark.parametrize(
    "ignored",
    [
        service(ip="None"),
        service(ip=""),
        service(type="ExternalName", externalName="x.org"),
        service(labels={"service.kubernetes.io/headless": ""}),
        service(labels={"service.kubernetes.io/service-proxy-name": "other"}),
    ],
)
def test_headless_services_external_names_and_other_proxies_services_have_no_rules(ignored: object) -> None:
    assert rules((ignored,), (PIECE,), NODE) == RuleSet()  # type: ignore[arg-type]


def test_endpoints_that_terminate_serve_only_while_none_is_ready() -> None:
    leaving = endpoint("10.1.0.9", ready=False, serving=True, terminating=True)
    broken = endpoint("10.1.0.8", ready=False, serving=False, terminating=True)
    both = rules((service(),), (slice_of(leaving, broken, endpoint("10.1.0.2")),), NODE)
    assert both.frontends[CLUSTER].endpoints == (A,)
    alone = rules((service(),), (slice_of(leaving, broken),), NODE)
    assert alone.frontends[CLUSTER].endpoints == (Target("10.1.0.9", 8080),)


def test_a_node_port_masquerades_and_leads_everywhere() -> None:
    seen = rules((service(type="NodePort"),), (PIECE,), NODE).frontends
    assert seen[NODE_PORT] == Backend((A, B), masquerade=True)


def test_a_node_port_number_on_a_cluster_ip_service_means_nothing() -> None:
    assert NODE_PORT not in rules((service(),), (PIECE,), NODE).frontends


def test_the_external_policy_local_keeps_to_this_node_but_not_for_its_own_clients() -> None:
    seen = rules((service(type="NodePort", externalTrafficPolicy="Local"),), (PIECE,), NODE).frontends
    assert seen[NODE_PORT] == Backend((A,), within=(A, B), drops=True)
    assert seen[CLUSTER].endpoints == (A, B)


def test_the_internal_policy_local_keeps_to_this_node_and_drops_without_an_endpoint_here() -> None:
    local = service(internalTrafficPolicy="Local")
    assert rules((local,), (PIECE,), NODE).frontends[CLUSTER] == Backend((A,), drops=True, is_cluster_ip=True)
    elsewhere = rules((local,), (PIECE,), NodeInfo("n3")).frontends[CLUSTER]
    assert elsewhere == Backend((), drops=True, is_cluster_ip=True)


def test_load_balancer_and_external_addresses_lead_to_the_service() -> None:
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}, {"ip": "198.51.100.2", "ipMode": "Proxy"}]}}
    made = service(
        type="LoadBalancer", status=status, externalIPs=["198.51.100.9"], loadBalancerSourceRanges=["192.0.2.0/24"]
    )
    seen = rules((made,), (PIECE,), NODE).frontends
    plain = Backend((A, B), masquerade=True)
    assert seen[Frontend("198.51.100.9", "tcp", 80)] == plain
    assert seen[Frontend("198.51.100.1", "tcp", 80)] == replace(plain, sources=("192.0.2.0/24",))
    assert Frontend("198.51.100.2", "tcp", 80) not in seen


def test_a_health_check_port_tells_how_many_endpoints_are_here() -> None:
    made = service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31000)
    assert rules((made,), (PIECE,), NODE).health == {31000: Health("d", "web", 1)}
    assert rules((made,), (PIECE,), NodeInfo("n3")).health == {31000: Health("d", "web", 0)}
    leaving = slice_of(endpoint("10.1.0.9", ready=False, serving=True, terminating=True))
    assert rules((made,), (leaving,), NODE).health == {31000: Health("d", "web", 0)}


def test_affinity_lasts_three_hours_unless_told_otherwise() -> None:
    made = rules((service(sessionAffinity="ClientIP"),), (PIECE,), NODE).frontends[CLUSTER]
    assert made.affinity == 10800
    config = {"clientIP": {"timeoutSeconds": 60}}
    told = service(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert rules((told,), (PIECE,), NODE).frontends[CLUSTER].affinity == 60


def test_zone_hints_hold_only_when_every_endpoint_has_them_and_one_is_for_us() -> None:
    east, west = {"forZones": [{"name": "east"}]}, {"forZones": [{"name": "west"}]}
    hinted = slice_of(endpoint("10.1.0.2", hints=east), endpoint("10.1.1.2", "n2", hints=west))
    assert rules((service(),), (hinted,), NODE).frontends[CLUSTER].endpoints == (A,)
    assert rules((service(),), (hinted,), NodeInfo("n1", "north")).frontends[CLUSTER].endpoints == (A, B)
    half = slice_of(endpoint("10.1.0.2", hints=east), endpoint("10.1.1.2", "n2"))
    assert rules((service(),), (half,), NODE).frontends[CLUSTER].endpoints == (A, B)


def test_node_hints_come_before_zone_hints() -> None:
    def hints(node: str) -> dict[str, object]:
        return {"forZones": [{"name": "east"}], "forNodes": [{"name": node}]}

    hinted = slice_of(endpoint("10.1.0.2", hints=hints("n1")), endpoint("10.1.1.2", "n2", hints=hints("n2")))
    assert rules((service(),), (hinted,), NODE).frontends[CLUSTER].endpoints == (A,)
