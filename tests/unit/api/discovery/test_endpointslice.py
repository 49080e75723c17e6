from typing import Any

import pytest

from mizzen.api.core.endpoints import ENDPOINTS
from mizzen.api.discovery.endpointslice import ENDPOINT_SLICE

from ..written import causes, cells, written


def slice_of(*endpoints: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": list(endpoints)} | given


def test_a_slice_without_anything_says_null() -> None:
    stored = written(ENDPOINT_SLICE, slice_of())
    assert (stored["endpoints"], stored["ports"]) == (None, None)


def test_ports_get_a_name_and_a_protocol_and_endpoints_conditions() -> None:
    stored = written(ENDPOINT_SLICE, slice_of({"addresses": ["10.1.1.1"]}, ports=[{"port": 80}]))
    assert stored["ports"] == [{"port": 80, "name": "", "protocol": "TCP"}]
    assert stored["endpoints"][0]["conditions"] == {}


@pytest.mark.parametrize(
    ("endpoint", "cause"),
    [
        ({"addresses": ["127.0.0.1"]}, ("endpoints[0].addresses[0]", "Invalid")),
        ({"addresses": ["10.1.1.1"], "nodeName": "No_Good"}, ("endpoints[0].nodeName", "Invalid")),
        (
            {"addresses": ["10.1.1.1"], "hints": {"forZones": [{"name": "a"}, {"name": "a"}]}},
            ("endpoints[0].hints.forZones[1].name", "Duplicate"),
        ),
        (
            {"addresses": ["10.1.1.1"], "hints": {"forZones": [{"name": str(i)} for i in range(9)]}},
            ("endpoints[0].hints.forZones", "TooMany"),
        ),
    ],
)
def test_what_an_endpoint_may_not_say(endpoint: dict[str, Any], cause: tuple[str, str]) -> None:
    assert causes(ENDPOINT_SLICE, slice_of(endpoint)) == {cause}


def test_a_name_as_address_has_two_parts_or_more() -> None:
    assert causes(ENDPOINT_SLICE, slice_of({"addresses": ["db"]}, addressType="FQDN")) == {
        ("endpoints[0].addresses[0]", "Invalid")
    }
    assert causes(ENDPOINT_SLICE, slice_of({"addresses": ["db.test."]}, addressType="FQDN")) == set()


def test_columns_cut_long_lists() -> None:
    many = slice_of({"addresses": ["10.0.0.1", "10.0.0.2"]}, {"addresses": ["10.0.0.3", "10.0.0.4"]}, ports=[{}])
    row = cells(ENDPOINT_SLICE, many)
    assert (row["Ports"], row["Endpoints"]) == ("<unset>", "10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...")


def test_endpoints_show_addresses_with_ports() -> None:
    subset = {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"port": 80}, {"port": 81}]}
    assert cells(ENDPOINTS, {"subsets": [subset]})["Endpoints"] == "10.0.0.1:80,10.0.0.2:80,10.0.0.1:81 + 1 more..."
    assert cells(ENDPOINTS, {"subsets": [{"notReadyAddresses": [{"ip": "10.0.0.1"}]}]})["Endpoints"] == ""
    assert cells(ENDPOINTS, {})["Endpoints"] == "<none>"
    assert written(ENDPOINTS, {"subsets": [subset]})["subsets"][0]["ports"][0]["protocol"] == "TCP"
