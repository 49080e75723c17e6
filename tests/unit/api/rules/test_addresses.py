import pytest

from mizzen.api.rules import addresses

from ..written import found


@pytest.mark.parametrize(
    ("text", "family"),
    [("10.0.0.1", "IPv4"), ("fd00::1", "IPv6"), ("::ffff:10.0.0.1", "IPv4"), ("fe80::1%eth0", ""), ("010.0.0.1", "")],
)
def test_the_family_of_an_address(text: str, family: str) -> None:
    assert addresses.family(text) == family


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "x/8", "fe80::%1/64"])
def test_what_is_no_block(text: str) -> None:
    assert found(addresses.block("p", text)) == {("p", "Invalid")}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("010.0.0.1", "must not have leading 0s"),
        ("10.0.00.1", "must not have leading 0s"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
        ("0x10.0.0.1", addresses._ADDRESS),
    ],
)
def test_an_address_is_written_in_a_way_that_nobody_reads_otherwise(text: str, detail: str) -> None:
    assert [error.detail for error in addresses.address("p", text)] == [detail]


@pytest.mark.parametrize("text", ["0.0.0.0", "10.0.0.10", "::", "fd00::0001", "1.20.30.100"])
def test_zeros_that_lead_nothing_are_fine(text: str) -> None:
    assert list(addresses.address("p", text)) == []
    assert list(addresses.block("p", f"{text}/{128 if ':' in text else 32}")) == []


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("10.0.0.5/8", "must not have bits set beyond the prefix length"),
        ("fd00::1/64", "must not have bits set beyond the prefix length"),
        ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
        ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ("10.0.0.0/33", addresses._BLOCK),
    ],
)
def test_a_block_is_written_in_a_way_that_nobody_reads_otherwise(text: str, detail: str) -> None:
    assert [error.detail for error in addresses.block("p", text)] == [detail]


def test_what_is_stored_in_a_form_that_was_allowed_may_stay() -> None:
    errors = [
        *addresses.address("a", "::ffff:1.2.3.4"),
        *addresses.block("b", "10.0.0.5/8"),
        *addresses.address("c", "x"),
    ]
    old = {"spec": {"ips": ["::ffff:1.2.3.4", "x"]}}
    assert [error.path for error in addresses.unless_kept(errors, old)] == ["b", "c"]
    assert [error.path for error in addresses.unless_kept(errors, {})] == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["0.0.0.0", "127.0.0.1", "::1", "169.254.1.1", "224.0.0.1", "ff02::1", "nothing"])
def test_addresses_that_no_traffic_may_be_sent_to(text: str) -> None:
    assert found(addresses.reachable("p", text)) == {("p", "Invalid")}
