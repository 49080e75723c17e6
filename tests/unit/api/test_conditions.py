"""Conditions in the common form, as typed clients read them."""

from typing import Any

import pytest

from mizzen.api.kinds import KINDS

KIND = {kind.plural: kind for kind in KINDS}
WHOLE = {"type": "Seen", "status": "True", "reason": "", "message": "", "lastTransitionTime": None}


def shown(plural: str, status: dict[str, Any]) -> dict[str, Any]:
    obj: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {}, "status": status}
    default = KIND[plural].default
    assert default is not None
    default(obj)
    return obj["status"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "plural",
    [
        *("services", "poddisruptionbudgets", "servicecidrs", "validatingadmissionpolicies"),
        *("podcertificaterequests", "storageversionmigrations", "devicetaintrules"),
    ],
)
def test_a_condition_shows_every_field_that_typed_clients_require(plural: str) -> None:
    assert shown(plural, {"conditions": [{"type": "Seen", "status": "True"}]})["conditions"] == [WHOLE]


def test_so_do_the_conditions_of_a_claims_devices() -> None:
    device = {"driver": "d", "conditions": [{"type": "Seen", "status": "True"}]}
    assert shown("resourceclaims", {"devices": [device]})["devices"][0]["conditions"] == [WHOLE]
