"""Files of projected volumes, from what was fetched."""

import msgspec
import pytest

from mizzen.agent.env import ConfigFailure, Sources
from mizzen.agent.volumes import projected
from mizzen.agent.volumes.projected import Material, Token
from mizzen.api.views.podspec import Pod, ProjectedVolume, Projection, TrustBundleProjection, Volume

END = "-----END CERTIFICATE-----"


def cert(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n{END}\n"


def bundle(name: str, text: str, signer: str = "", **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"signerName": signer, "trustBundle": text}}


LISTED = [
    bundle("plain", cert("a")),
    bundle("example.com:one", cert("b") + cert("c"), "example.com/ca", tier="live"),
    bundle("example.com:two", cert("c") + cert("d"), "example.com/ca", tier="test"),
]


def test_trust_bundles_are_chosen_by_name_or_by_signer_and_labels() -> None:
    by_name = TrustBundleProjection(path="ca", name="plain")
    assert projected.chosen_bundles(by_name, LISTED) == [cert("a")]
    live = TrustBundleProjection(
        path="ca", signerName="example.com/ca", labelSelector={"matchLabels": {"tier": "live"}}
    )
    assert projected.chosen_bundles(live, LISTED) == [cert("b") + cert("c")]
    everything = TrustBundleProjection(path="ca", signerName="example.com/ca", labelSelector={})
    texts = projected.chosen_bundles(everything, LISTED)
    assert projected.joined(texts) == cert("b") + cert("c") + cert("d")
    nothing = TrustBundleProjection(path="ca", signerName="example.com/ca")
    assert projected.chosen_bundles(nothing, LISTED) == []


def test_a_missing_trust_bundle_fails_unless_it_is_optional() -> None:
    def files(optional: bool) -> dict[str, object] | None:
        wanted = TrustBundleProjection(path="ca.pem", name="gone", optional=optional)
        volume = Volume(name="v", projected=ProjectedVolume(sources=(Projection(clusterTrustBundle=wanted),)))
        found = projected.payload(Pod(), volume, Material(Sources()))
        return None if found is None else {name: file.data for name, file in found.items()}

    assert files(True) == {"ca.pem": b""}
    with pytest.raises(ConfigFailure, match='clustertrustbundle "gone" not found'):
        files(False)


@pytest.mark.parametrize(("age", "wanted"), [(0, False), (0.79, False), (0.81, True)])
def test_a_token_is_replaced_when_four_fifths_of_its_life_are_over(age: float, wanted: bool) -> None:
    assert projected.wants_rotation(Token("t", 1000.0, 4600.0), 1000.0 + 3600 * age) is wanted


def test_a_long_token_is_replaced_every_day() -> None:
    assert projected.wants_rotation(Token("t", 0.0, 1e9), 86_401.0)


def of_users(*users: int | None, **shared: int) -> Pod:
    containers = [{"name": f"c{at}", "securityContext": {"runAsUser": user}} for at, user in enumerate(users)]
    return msgspec.convert({"spec": {"securityContext": shared, "containers": containers}}, Pod)


def test_tokens_belong_to_the_user_that_all_containers_run_as_whatever_group_they_have() -> None:
    assert projected.token_owner(of_users(None, 1000, runAsUser=1000)) == 1000
    assert projected.token_owner(of_users(None, runAsUser=1000, fsGroup=10000)) == 1000
    assert projected.token_owner(of_users(1000, 1001)) is None
    assert projected.token_owner(of_users(1000, None)) is None
    assert projected.token_owner(of_users(None, fsGroup=10000)) is None
