"""Leases: how holders are chosen."""

from typing import Any

import pytest

from mizzen.api.coordination.lease import LEASE

from ..written import causes


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"strategy": "OldestEmulationVersion", "preferredHolder": "b"}, set()),
        ({"strategy": "acme.test/fair"}, set()),
        ({"strategy": "Fair"}, {("spec.strategy.strategy", "NotSupported")}),
        ({"strategy": "acme.test/f a"}, {("spec.strategy.strategy", "Invalid")}),
        ({"preferredHolder": "b"}, {("spec.preferredHolder", "Forbidden")}),
    ],
)
def test_how_a_holder_is_chosen_is_known_or_has_a_domain(spec: dict[str, Any], wanted: set[tuple[str, str]]) -> None:
    assert causes(LEASE, {"spec": spec}) == wanted
