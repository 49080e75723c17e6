from ipaddress import IPv4Network
from pathlib import Path

import pytest

from mizzen.agent.network.addresses import Addresses, AddressesExhausted, HostPort, Lease

RANGE = IPv4Network("10.1.0.0/29")  # five addresses for pods: .2 to .6


def test_an_address_that_was_given_back_is_the_last_to_be_handed_out(tmp_path: Path) -> None:
    addresses = Addresses(tmp_path / "a.json", RANGE)
    assert [addresses.lease(uid).ip for uid in ("a", "b")] == ["10.1.0.2", "10.1.0.3"]
    addresses.release("a")
    assert [addresses.lease(uid).ip for uid in ("c", "d", "e", "f")] == ["10.1.0.4", "10.1.0.5", "10.1.0.6", "10.1.0.2"]
    with pytest.raises(AddressesExhausted):
        addresses.lease("g")


def test_a_pod_keeps_its_address_over_a_restart(tmp_path: Path) -> None:
    before = Addresses(tmp_path / "a.json", RANGE)
    before.lease("a")
    held = before.lease("b", (HostPort(80, 8080),))
    before.release("a")
    after = Addresses(tmp_path / "a.json", RANGE)
    assert after.lease("b", (HostPort(80, 8080),)) == held
    assert after.lease("c").ip == "10.1.0.4"


def test_another_range_starts_anew(tmp_path: Path) -> None:
    Addresses(tmp_path / "a.json", RANGE).lease("a")
    assert Addresses(tmp_path / "a.json", IPv4Network("10.2.0.0/24")).lease("a").ip == "10.2.0.2"


def test_a_damaged_file_is_started_anew(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    assert Addresses(tmp_path / "a.json", RANGE).lease("a").ip == "10.1.0.2"


def test_a_pod_at_work_keeps_its_address_though_the_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    addresses = Addresses(tmp_path / "a.json", RANGE)
    addresses.hold("a", "10.1.0.2")
    assert [Addresses(tmp_path / "a.json", RANGE).lease(uid).ip for uid in ("b", "a")] == ["10.1.0.3", "10.1.0.2"]


def test_the_address_that_a_pod_has_outweighs_the_one_in_the_file(tmp_path: Path) -> None:
    addresses = Addresses(tmp_path / "a.json", RANGE)
    held = addresses.lease("a", (HostPort(80, 8080),))
    addresses.hold("a", "10.1.0.5")
    assert addresses.release("a") == Lease("10.1.0.5", held.ports)
    assert [addresses.lease(uid).ip for uid in ("b", "c", "d", "e")] == ["10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]
