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


def test_a_block_may_have_bits_beyond_its_prefix_where_it_need_not_be_canonical() -> None:
    assert found(addresses.block("p", "10.0.0.5/8")) == set()
    assert found(addresses.canonical_block("p", "10.0.0.5/8")) == {("p", "Invalid")}


@pytest.mark.parametrize("text", ["0.0.0.0", "127.0.0.1", "::1", "169.254.1.1", "224.0.0.1", "ff02::1", "nothing"])
def test_addresses_that_no_traffic_may_be_sent_to(text: str) -> None:
    assert found(addresses.reachable("p", text)) == {("p", "Invalid")}
