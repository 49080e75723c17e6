from tests.unit.dns.objects import endpoints, headless, service

from mizzen.dns.zone import Answer, Zone, service_names
from mizzen.wire import dns

DOMAIN = "cluster.local"
WEB = "web.default.svc.cluster.local"
DB = "db.default.svc.cluster.local"


def zone(*parts: tuple[object, tuple[object, ...]]) -> Zone:
    made = Zone(DOMAIN)
    for seen, slices in parts:
        made.replace((seen.metadata.namespace, seen.metadata.name), service_names(seen, slices, DOMAIN))  # type: ignore[attr-defined, arg-type]
    return made


def data(answer: Answer) -> set[bytes]:
    return {record.data for record in answer.answers}


def test_a_service_has_its_cluster_ip() -> None:
    assert data(zone((service("web", "10.96.0.5"), ())).answer(WEB, dns.A)) == {dns.a_data("10.96.0.5")}


def test_a_dual_stack_service_answers_each_family() -> None:
    made = zone((service("web", "10.96.0.5", clusterIPs=["10.96.0.5", "fd00::5"]), ()))
    assert data(made.answer(WEB, dns.A)) == {dns.a_data("10.96.0.5")}
    assert data(made.answer(WEB, dns.AAAA)) == {dns.aaaa_data("fd00::5")}


def test_a_name_without_records_of_the_asked_type_exists_all_the_same() -> None:
    made = zone((service("web", "10.96.0.5"), ()))
    assert made.answer(WEB, dns.AAAA) == Answer(dns.NOERROR)
    assert made.answer("default.svc.cluster.local", dns.A) == Answer(dns.NOERROR)
    assert made.answer("no.default.svc.cluster.local", dns.A) == Answer(dns.NXDOMAIN)


def test_a_search_path_miss_is_a_clean_nxdomain() -> None:
    made = zone((service("web", "10.96.0.5"), ()))
    assert made.answer("web.default.svc.cluster.local.default.svc.cluster.local", dns.A).code == dns.NXDOMAIN
    assert made.answer("example.com.default.svc.cluster.local", dns.A).code == dns.NXDOMAIN


def test_named_ports_have_srv_records_with_the_address_beside() -> None:
    answer = zone((service("web", "10.96.0.5"), ())).answer(f"_http._tcp.{WEB}", dns.SRV)
    assert data(answer) == {dns.srv_data(0, 100, 80, WEB)}
    assert {record.data for record in answer.additional} == {dns.a_data("10.96.0.5")}


def test_the_srv_records_of_a_service_itself_are_those_of_all_its_ports() -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"name": "b", "port": 53, "protocol": "UDP"}]
    answer = zone((service("web", "10.96.0.5", ports=ports), ())).answer(WEB, dns.SRV)
    assert data(answer) == {dns.srv_data(0, 100, 80, WEB), dns.srv_data(0, 100, 53, WEB)}
    assert {record.data for record in answer.additional} == {dns.a_data("10.96.0.5")}
    peers = ({"addresses": ["10.1.0.2"], "hostname": "db-0"}, {"addresses": ["10.1.0.3"], "hostname": "db-1"})
    unnamed = ({"name": "", "port": 6379, "protocol": "TCP"},)
    made = zone((headless("db"), (endpoints("db", *peers, ports=unnamed),)))
    assert data(made.answer(DB, dns.SRV)) == {dns.srv_data(0, 100, 6379, f"db-{number}.{DB}") for number in (0, 1)}


def test_a_cluster_ip_leads_back_to_its_name() -> None:
    answer = zone((service("web", "10.96.0.5"), ())).answer("5.0.96.10.in-addr.arpa", dns.PTR)
    assert data(answer) == {dns.encode_name(WEB)}


def test_pods_of_a_stateful_set_have_names_of_their_own() -> None:
    slices = endpoints(
        "db", {"addresses": ["10.1.0.2"], "hostname": "db-0"}, {"addresses": ["10.1.0.3"], "hostname": "db-1"}
    )
    made = zone((headless("db"), (slices,)))
    assert data(made.answer(DB, dns.A)) == {dns.a_data("10.1.0.2"), dns.a_data("10.1.0.3")}
    assert data(made.answer(f"db-1.{DB}", dns.A)) == {dns.a_data("10.1.0.3")}
    assert data(made.answer(f"_http._tcp.{DB}", dns.SRV)) == {
        dns.srv_data(0, 100, 8080, f"db-0.{DB}"),
        dns.srv_data(0, 100, 8080, f"db-1.{DB}"),
    }
    assert data(made.answer("3.0.1.10.in-addr.arpa", dns.PTR)) == {dns.encode_name(f"db-1.{DB}")}


def test_an_endpoint_without_a_hostname_is_named_by_its_address() -> None:
    made = zone((headless("db"), (endpoints("db", {"addresses": ["10.1.0.2"]}),)))
    assert data(made.answer(f"10-1-0-2.{DB}", dns.A)) == {dns.a_data("10.1.0.2")}


def test_endpoints_that_are_not_ready_are_published_only_when_asked_for() -> None:
    slices = (endpoints("db", {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}),)
    assert zone((headless("db"), slices)).answer(DB, dns.A) == Answer(dns.NOERROR)
    published = zone((headless("db", publishNotReadyAddresses=True), slices))
    assert data(published.answer(DB, dns.A)) == {dns.a_data("10.1.0.2")}


def test_an_external_name_is_an_alias_that_others_resolve() -> None:
    made = zone((service("out", "", type="ExternalName", externalName="db.example.org"), ()))
    answer = made.answer("out.default.svc.cluster.local", dns.A)
    assert (data(answer), answer.external) == ({dns.encode_name("db.example.org")}, "db.example.org")


def test_an_external_name_of_this_cluster_is_followed_here() -> None:
    made = zone((service("web", "10.96.0.5"), ()), (service("out", "", type="ExternalName", externalName=WEB), ()))
    answer = made.answer("out.default.svc.cluster.local", dns.A)
    assert data(answer) == {dns.encode_name(WEB), dns.a_data("10.96.0.5")}
    assert answer.external == ""


def test_aliases_in_a_circle_end() -> None:
    made = zone(
        (service("a", "", type="ExternalName", externalName="b.default.svc.cluster.local"), ()),
        (service("b", "", type="ExternalName", externalName="a.default.svc.cluster.local"), ()),
    )
    assert made.answer("a.default.svc.cluster.local", dns.A).external == ""


def test_a_pods_address_is_in_its_name() -> None:
    made = zone()
    assert data(made.answer("10-1-2-3.default.pod.cluster.local", dns.A)) == {dns.a_data("10.1.2.3")}
    assert made.answer("nonsense.default.pod.cluster.local", dns.A).code == dns.NXDOMAIN


def test_the_zone_tells_its_version() -> None:
    assert data(zone().answer("dns-version.cluster.local", dns.TXT)) == {dns.txt_data("1.1.0")}


def test_a_replaced_service_leaves_no_name_behind() -> None:
    made = zone((service("web", "10.96.0.5"), ()))
    made.replace(("default", "web"), {})
    assert made.answer(WEB, dns.A).code == dns.NXDOMAIN
    assert made.answer("default.svc.cluster.local", dns.A).code == dns.NXDOMAIN
    assert not made.holds("5.0.96.10.in-addr.arpa")


def test_two_headless_services_share_a_pods_reverse_name() -> None:
    def slices(name: str) -> tuple[object, ...]:
        return (endpoints(name, {"addresses": ["10.1.0.2"], "hostname": "db-0"}),)

    made = zone((headless("db"), slices("db")), (headless("alt"), slices("alt")))
    made.replace(("default", "alt"), {})
    assert data(made.answer("2.0.1.10.in-addr.arpa", dns.PTR)) == {dns.encode_name(f"db-0.{DB}")}
