"""What a cluster may be made of."""

from pathlib import Path

import pytest

from mizzen.cluster.config import ClusterConfig, ConfigError, check_pool


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
