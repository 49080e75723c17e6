"""Who may use images that are here already."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from mizzen.agent.config import AgentConfig
from mizzen.agent.images import policy, reference
from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.policy import ImageRefused, Present
from mizzen.agent.images.records import Policy, PullRecords
from mizzen.agent.images.reference import Reference
from mizzen.agent.images.registry import PullFailure
from mizzen.agent.kubeletconfig import configured
from mizzen.base.clock import VirtualClock

ID = "sha256:" + "a" * 64
IMAGE = reference.parse("example.test/team/a:1")
NOW = "2026-11-29T12:00:00Z"


def credential(name: str, password: str = "swordfish", **more: str) -> Credential:
    return Credential("example.test", "robot", password, secret={"uid": name, "namespace": "x", "name": name}, **more)


def test_what_was_pulled_with_a_secret_is_for_pods_that_have_it(tmp_path: Path) -> None:
    records = PullRecords(tmp_path)
    assert records.admits(ID, IMAGE, ())  # nobody has pulled it: the machine's owner has put it here
    records.record(ID, IMAGE, credential("key"), NOW)
    assert not records.admits(ID, IMAGE, ())
    assert records.admits(ID, IMAGE, [credential("key")])
    assert records.admits(ID, IMAGE, [credential("copy")])
    assert not records.admits(ID, IMAGE, [credential("key", "changed")])
    elsewhere = Credential("other.test", "robot", "swordfish")
    assert not records.admits(ID, IMAGE, [elsewhere])
    assert not records.admits(ID, reference.parse("example.test/team/b:1"), [credential("key")])


def test_what_was_pulled_without_a_secret_is_for_all(tmp_path: Path) -> None:
    records = PullRecords(tmp_path)
    records.record(ID, IMAGE, credential("key"), NOW)
    records.record(ID, IMAGE, None, NOW)
    records.record(ID, IMAGE, credential("key"), NOW)
    assert PullRecords(tmp_path).admits(ID, IMAGE, ())


def test_a_secret_that_was_changed_takes_the_place_of_what_it_was(tmp_path: Path) -> None:
    records = PullRecords(tmp_path)
    records.record(ID, IMAGE, credential("key"), NOW)
    records.record(ID, IMAGE, credential("other", "second"), NOW)
    records.record(ID, IMAGE, credential("key", "changed"), NOW)
    assert not records.admits(ID, IMAGE, [credential("key")])
    assert records.admits(ID, IMAGE, [credential("key", "changed")])
    assert records.admits(ID, IMAGE, [credential("other", "second")])


def test_a_record_has_the_documented_form(tmp_path: Path) -> None:
    PullRecords(tmp_path).record(ID, IMAGE, credential("key"), NOW)
    (path,) = (tmp_path / "pulled").iterdir()
    written = orjson.loads(path.read_bytes())
    (entry,) = written["credentialMapping"].pop("example.test/team/a")["kubernetesSecrets"]
    assert len(entry.pop("credentialHash")) == 64
    assert entry == {"uid": "key", "namespace": "x", "name": "key"}
    assert written == {
        "kind": "ImagePulledRecord", "apiVersion": "kubelet.config.k8s.io/v1beta1", "imageRef": ID,
        "credentialMapping": {}, "lastUpdatedTime": NOW,
    }  # fmt: skip
    assert path.stat().st_mode & 0o077 == 0


def test_a_damaged_record_admits_nobody(tmp_path: Path) -> None:
    records = PullRecords(tmp_path)
    records.record(ID, IMAGE, None, NOW)
    next((tmp_path / "pulled").iterdir()).write_bytes(b"{")
    assert not records.admits(ID, IMAGE, ())


def test_an_image_whose_pull_was_broken_off_by_the_agents_end_is_not_taken_for_preloaded(tmp_path: Path) -> None:
    def pull(error: BaseException) -> None:
        with PullRecords(tmp_path).pulling(IMAGE):
            raise error

    with pytest.raises(PullFailure):
        pull(PullFailure("no"))
    assert PullRecords(tmp_path).admits(ID, IMAGE, ())
    with pytest.raises(KeyboardInterrupt):
        pull(KeyboardInterrupt())
    assert not PullRecords(tmp_path).admits(ID, IMAGE, ())


@pytest.mark.parametrize(
    ("verify", "preloaded", "pulled"),
    [
        ("NeverVerify", True, True),
        ("NeverVerifyPreloadedImages", True, False),
        ("NeverVerifyAllowlistedImages", False, False),
        ("AlwaysVerify", False, False),
    ],
)
def test_the_node_says_which_images_are_verified(tmp_path: Path, verify: Policy, preloaded: bool, pulled: bool) -> None:
    records = PullRecords(tmp_path, verify, ["example.test/other"])
    assert records.admits(ID, IMAGE, ()) is preloaded
    records.record(ID, IMAGE, credential("key"), NOW)
    assert records.admits(ID, IMAGE, ()) is pulled


@pytest.mark.parametrize("pattern", ["example.test/team/a", "example.test/team/*", "example.test/*"])
def test_preloaded_images_of_a_list_are_for_all(tmp_path: Path, pattern: str) -> None:
    records = PullRecords(tmp_path, "NeverVerifyAllowlistedImages", [pattern])
    assert records.admits(ID, IMAGE, ())
    assert not records.admits(ID, reference.parse("example.test:5000/team/a"), ())


def test_the_settings_come_from_a_kubelet_configuration(tmp_path: Path) -> None:
    def read(**settings: Any) -> AgentConfig:
        body = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **settings}
        return configured(AgentConfig("n", tmp_path, tmp_path, ()), body)[0]

    seen = read(
        imagePullCredentialsVerificationPolicy="NeverVerifyAllowlistedImages",
        preloadedImagesVerificationAllowlist=["busybox", "team/*", "example.test:5000/*"],
    )
    assert seen.image_verification == "NeverVerifyAllowlistedImages"
    assert seen.unverified_images == ("docker.io/library/busybox", "docker.io/team/*", "example.test:5000/*")
    with pytest.raises(ValueError, match="imagePullCredentialsVerificationPolicy: 'Sometimes' is none of"):
        read(imagePullCredentialsVerificationPolicy="Sometimes")
    for bad in ("busybox:1", "a*b", f"busybox@sha256:{'0' * 64}"):
        with pytest.raises(ValueError, match="preloadedImagesVerificationAllowlist"):
            read(preloadedImagesVerificationAllowlist=[bad])


class Registry:
    """A source whose image is here, and for which one password opens the registry."""

    def __init__(self, records: PullRecords) -> None:
        self.records = records
        self.pulls = 0

    def find(self, image: Reference) -> Present | None:
        return Present(ID, 1)

    async def adopt(self, image: Reference) -> Present | None:
        return None

    async def pull(self, image: Reference, credentials: list[Credential]) -> Present:
        self.pulls += 1
        for one in credentials:
            if one.password == "swordfish":
                return Present(ID, 1, one)
        raise PullFailure("pull access denied")


async def ask(source: Registry, wanted: str, *credentials: Credential) -> list[str]:
    told: list[str] = []
    await policy.ensure(
        source, str(IMAGE), wanted, credentials, tell=lambda *said: told.append(said[1]), clock=VirtualClock()
    )
    return told


async def test_a_pod_without_the_secret_has_to_ask_the_registry_itself(tmp_path: Path) -> None:
    source = Registry(PullRecords(tmp_path))
    assert await ask(source, "Always", credential("key")) == ["Pulling", "Pulled"]
    assert await ask(source, "IfNotPresent", credential("key")) == ["Pulled"]
    assert await ask(source, "Never", credential("key")) == ["Pulled"]
    with pytest.raises(ImageRefused, match="pull access denied"):
        await ask(source, "IfNotPresent")
    text = "is present with pull policy of Never but does not have the proper credentials to access the image"
    with pytest.raises(ImageRefused, match=text) as refused:
        await ask(source, "Never")
    assert refused.value.reason == "ErrImageNeverPull"
    assert source.pulls == 2
