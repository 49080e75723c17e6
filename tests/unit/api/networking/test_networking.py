from typing import Any

import pytest

from mizzen.api.networking.ingress import INGRESS, validate_status
from mizzen.api.networking.ingressclass import INGRESS_CLASS
from mizzen.api.networking.ipaddress import IP_ADDRESS, check_name
from mizzen.api.networking.networkpolicy import NETWORK_POLICY
from mizzen.api.networking.servicecidr import SERVICE_CIDR

from ..written import causes, cells, found, written

BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


def ingress(*paths: dict[str, Any], host: str = "shop.test", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "door"}, "spec": {"rules": [{"host": host, "http": {"paths": list(paths)}}], **spec}}


def entry(**given: Any) -> dict[str, Any]:
    return {"path": "/", "pathType": "Prefix", "backend": BACKEND} | given


PATH = "spec.rules[0].http.paths[0]"


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (entry(path="/a/../b"), (f"{PATH}.path", "Invalid")),
        (entry(path="/a/.."), (f"{PATH}.path", "Invalid")),
        (entry(path="/a%2fb"), (f"{PATH}.path", "Invalid")),
        (entry(pathType="Regex"), (f"{PATH}.pathType", "NotSupported")),
        (entry(pathType="ImplementationSpecific", path="a"), (f"{PATH}.path", "Invalid")),
        (entry(backend={"resource": {"name": "b"}}), (f"{PATH}.backend.resource.kind", "Required")),
        (
            entry(backend={"service": {"name": "1.web", "port": {"number": 1}}}),
            (f"{PATH}.backend.service.name", "Invalid"),
        ),
    ],
)
def test_what_a_path_may_not_say(given: dict[str, Any], cause: tuple[str, str]) -> None:
    assert cause in causes(INGRESS, ingress(given))


def test_a_rule_needs_paths_and_a_name_for_a_host() -> None:
    assert causes(INGRESS, ingress()) == {("spec.rules[0].http.paths", "Required")}
    assert ("spec.rules[0].host", "Invalid") in causes(INGRESS, ingress(entry(), host="10.0.0.1"))
    assert causes(INGRESS, ingress(entry(), host="*.shop.test")) == set()


def test_a_new_ingress_has_an_empty_status_and_status_takes_addresses_alone() -> None:
    stored = written(INGRESS, ingress(entry()) | {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}})
    assert stored["status"] == {"loadBalancer": {}}
    stored["status"] = {"loadBalancer": {"ingress": [{"ip": "x", "hostname": "10.0.0.1"}]}}
    path = "status.loadBalancer.ingress[0]"
    assert found(validate_status(stored, None)) == {(f"{path}.ip", "Invalid"), (f"{path}.hostname", "Invalid")}


def test_columns_of_an_ingress() -> None:
    content = ingress(entry(), ingressClassName="c", tls=[{}]) | {
        "status": {"loadBalancer": {"ingress": [{"hostname": "lb.test"}, {"ip": "203.0.113.4"}]}}
    }
    row = cells(INGRESS, content)
    assert (row["Class"], row["Hosts"], row["Ports"]) == ("c", "shop.test", "80, 443")
    assert row["Address"] == "203.0.113.4,lb.test"


def test_parameters_of_a_class_are_of_the_cluster_unless_a_namespace_is_named() -> None:
    content: dict[str, Any] = {"spec": {"controller": "acme.test/ctl", "parameters": {"kind": "P", "name": "p"}}}
    assert written(INGRESS_CLASS, content)["spec"]["parameters"]["scope"] == "Cluster"
    content["spec"]["parameters"]["namespace"] = "n"
    assert causes(INGRESS_CLASS, content) == {("spec.parameters.namespace", "Forbidden")}
    assert causes(INGRESS_CLASS, {"spec": {"controller": "acme"}}) == {("spec.controller", "Invalid")}


def test_the_controller_of_a_class_may_not_change() -> None:
    old = written(INGRESS_CLASS, {"spec": {"controller": "acme.test/ctl"}})
    assert causes(INGRESS_CLASS, {"spec": {"controller": "acme.test/other"}}, old) == {("spec.controller", "Invalid")}


def test_egress_rules_make_a_policy_of_both_types() -> None:
    spec = written(NETWORK_POLICY, {"spec": {"egress": [{"ports": [{"port": 53}]}]}})["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"][0]["ports"] == [{"port": 53, "protocol": "TCP"}]
    assert spec["podSelector"] == {}


def test_an_exception_lies_within_its_block_and_is_smaller() -> None:
    def rule(*exceptions: str) -> dict[str, Any]:
        return {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": list(exceptions)}}]}]}}

    path = "spec.ingress[0].from[0].ipBlock.except"
    assert causes(NETWORK_POLICY, rule("10.1.0.0/16")) == set()
    assert causes(NETWORK_POLICY, rule("10.0.0.0/8", "11.0.0.0/16", "fd00::/64")) == {
        (f"{path}[{i}]", "Invalid") for i in range(3)
    }


def test_a_policy_shows_its_selector() -> None:
    assert (
        cells(NETWORK_POLICY, {"spec": {"podSelector": {"matchLabels": {"b": "2", "a": "1"}}}})["Pod-Selector"]
        == "a=1,b=2"
    )
    assert cells(NETWORK_POLICY, {"spec": {}})["Pod-Selector"] == "<none>"


def test_a_service_range_is_written_in_one_way_and_may_get_a_second_family() -> None:
    old = written(SERVICE_CIDR, {"spec": {"cidrs": ["10.96.0.0/16"]}})
    assert causes(SERVICE_CIDR, {"spec": {"cidrs": ["10.96.0.1/16"]}}) == {("spec.cidrs[0]", "Invalid")}
    assert causes(SERVICE_CIDR, {"spec": {"cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}}) == {("spec.cidrs", "Invalid")}
    assert causes(SERVICE_CIDR, {"spec": {"cidrs": ["10.96.0.0/16", "fd00::/108"]}}, old) == set()
    assert causes(SERVICE_CIDR, {"spec": {"cidrs": ["10.97.0.0/16"]}}, old) == {("spec.cidrs[0]", "Invalid")}
    assert causes(SERVICE_CIDR, {"spec": {"cidrs": []}}, old) == {("spec.cidrs", "Invalid"), ("spec.cidrs", "Required")}
    three = ["10.0.0.0/16", "10.1.0.0/16", "fd00::1/108"]
    assert causes(SERVICE_CIDR, {"spec": {"cidrs": three}}) == {("spec.cidrs", "Invalid")}


def test_every_exception_of_a_block_is_judged() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["x", "10.1.0.0/16", "11.0.0.0/16"]}
    content = {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": block}]}]}}
    where = "spec.ingress[0].from[0].ipBlock"
    assert causes(NETWORK_POLICY, content) == {(f"{where}.except[0]", "Invalid"), (f"{where}.except[2]", "Invalid")}


def test_the_controller_of_a_class_is_a_domain_and_a_path() -> None:
    for controller, wanted in (
        ("acme.test/a/b~(c)", set()),
        ("acme.test/a@b", {("spec.controller", "Invalid")}),
        ("acme.test/ä", {("spec.controller", "Invalid")}),
        ("Acme/a", {("spec.controller", "Invalid")}),
    ):
        assert causes(INGRESS_CLASS, {"spec": {"controller": controller}}) == wanted


def test_the_controller_of_a_class_stays_and_stays_well_formed() -> None:
    old = written(INGRESS_CLASS, {"spec": {"controller": "acme.test/a"}})
    assert causes(INGRESS_CLASS, {"spec": {"controller": "acme.test/b"}}, old) == {("spec.controller", "Invalid")}
    gone = {("spec.controller", "Invalid"), ("spec.controller", "Required")}
    assert causes(INGRESS_CLASS, {"spec": {}}, old) == gone


def test_an_address_is_named_by_itself_and_keeps_its_owner() -> None:
    owner = {"spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "web"}}}
    assert check_name("10.96.0.1") == []
    assert check_name("fd00::0001") != []
    assert causes(IP_ADDRESS, {"spec": {"parentRef": {"name": "web"}}}) == {("spec.parentRef.resource", "Required")}
    assert cells(IP_ADDRESS, owner)["ParentRef"] == "services/n/web"
    other = {"spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "db"}}}
    assert causes(IP_ADDRESS, other, written(IP_ADDRESS, owner)) == {("spec.parentRef", "Invalid")}


def test_hosts_that_are_left_out_are_counted_by_their_rules() -> None:
    rules = [{"host": f"{name}.test"} for name in "abc"]
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    assert cells(INGRESS, {"spec": {"defaultBackend": backend, "rules": rules}})["Hosts"] == "a.test,b.test,c.test"
    more = [*rules, {}, {"host": "d.test"}]
    assert cells(INGRESS, {"spec": {"rules": more}})["Hosts"] == "a.test,b.test,c.test + 2 more..."
    assert cells(INGRESS, {"spec": {"rules": [{}]}})["Hosts"] == "*"


def test_an_end_port_below_its_port_is_told_with_the_port() -> None:
    ports = [{"port": 90, "endPort": 80}]
    policy = {"metadata": {"name": "p"}, "spec": {"podSelector": {}, "ingress": [{"ports": ports}]}}
    assert NETWORK_POLICY.validate is not None
    (error,) = NETWORK_POLICY.validate(written(NETWORK_POLICY, policy), None)
    assert (error.path, error.value) == ("spec.ingress[0].ports[0].endPort", 90)
