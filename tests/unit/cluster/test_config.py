"""What a cluster may be made of."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from mizzen.cluster.config import (
    ClusterConfig,
    ConfigError,
    check_networks,
    check_pool,
    choose_networks,
    networks_beside,
    save,
)


@pytest.mark.parametrize(
    ("pool", "why"),
    [("192.0.2.1/28", "host bits"), ("fd00::/120", "CIDR"), ("10.96.7.0/28", "service network"), ("ten", "CIDR")],
)
def test_a_pool_of_addresses_must_be_a_network_of_its_own(pool: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        check_pool(ClusterConfig("lab", Path("/tmp"), load_balancer_pool=pool))


def test_a_pool_that_is_free_is_taken() -> None:
    check_pool(ClusterConfig("lab", Path("/tmp"), load_balancer_pool="192.0.2.16/28"))
    check_pool(ClusterConfig("lab", Path("/tmp")))


def test_networks_that_somebody_else_took_while_the_cluster_was_down_are_not_used() -> None:
    config = ClusterConfig("lab", Path("/tmp"))
    check_networks(config, [IPv4Network("10.89.1.0/24"), IPv4Network("10.0.0.0/8")])
    for taken in (config.node_cidr, "10.244.7.0/24"):
        with pytest.raises(ConfigError, match="end that one first"):
            check_networks(config, [IPv4Network(taken)])


def test_a_new_cluster_leaves_the_networks_of_those_beside_it_alone(tmp_path: Path) -> None:
    save(ClusterConfig("one", tmp_path / "one"))
    save(ClusterConfig("play", tmp_path / "play", runtime="simulated"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cluster.json").write_text("{")
    two = choose_networks(ClusterConfig("two", tmp_path / "two"), networks_beside(tmp_path / "two"))
    assert (two.node_cidr, two.pod_cidr) == ("10.89.1.0/24", "10.200.0.0/16")
    assert networks_beside(tmp_path / "one") == []
