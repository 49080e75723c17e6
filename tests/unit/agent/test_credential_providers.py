"""Programs of a node that know credentials of registries: what they are asked, how long it counts, and for whom."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from mizzen.agent.images import policy, providerconfig, reference
from mizzen.agent.images.keyring import Credential
from mizzen.agent.images.policy import Present
from mizzen.agent.images.providers import Providers
from mizzen.agent.images.records import PullRecords
from mizzen.agent.images.reference import Reference
from mizzen.api.views.podspec import Pod, PodMeta, PodSpec
from mizzen.base.clock import VirtualClock

V1 = "credentialprovider.kubelet.k8s.io/v1"
IMAGE = reference.parse("one.example.test/team/a:1")
TOKEN = {"serviceAccountTokenAudience": "registry", "cacheType": "ServiceAccount", "requireServiceAccount": True}
PROGRAM = """#!/bin/sh
cat >> {here}/asked; echo "$1 $MODE" >> {here}/called
cat {here}/answer
"""


def provider(**more: Any) -> dict[str, Any]:
    return {"name": "keys", "apiVersion": V1, "matchImages": ["*.example.test"], "defaultCacheDuration": "1m", **more}


def document(*providers: Any) -> dict[str, Any]:
    form = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig"}
    return {**form, "providers": list(providers)}


def pod(account: str = "robot", uid: str = "u") -> Pod:
    return Pod(metadata=PodMeta(name="p", namespace="ns", uid=uid), spec=PodSpec(serviceAccountName=account))


@dataclass
class Api:
    """ServiceAccounts with an annotation each, and tokens for them."""

    clock: VirtualClock
    asked: list[Any] = field(default_factory=list)

    async def get(self, _resource: Any, name: str, namespace: str, view: Any) -> Any:
        return {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "annotations": {"role": name}}}

    async def create(self, _resource: Any, body: Any, namespace: str, *, name: str, subresource: str) -> Any:
        self.asked.append(body["spec"])
        return {"status": {"token": f"token-{len(self.asked)}", "expirationTimestamp": "2099-01-01T00:00:00Z"}}


@dataclass
class World:
    """A program in a directory, and what it was asked."""

    here: Path
    clock: VirtualClock
    api: Api

    def providers(self, **more: Any) -> Providers:
        (self.here / "keys").write_text(PROGRAM.format(here=self.here))
        (self.here / "keys").chmod(0o755)
        found = providerconfig.parse([document(provider(**more))])
        return Providers(self.api, self.clock, found, self.here)  # type: ignore[arg-type]

    def answers(self, **more: Any) -> None:
        auth = {"one.example.test": {"username": "u", "password": "p"}}
        form = {"apiVersion": V1, "kind": "CredentialProviderResponse", "cacheKeyType": "Registry", "auth": auth}
        (self.here / "answer").write_bytes(orjson.dumps({**form, **more}))

    def calls(self) -> list[str]:
        path = self.here / "called"
        return path.read_text().splitlines() if path.exists() else []

    def request(self) -> Any:
        return orjson.loads((self.here / "asked").read_bytes())


@pytest.fixture
def world(tmp_path: Path) -> World:
    clock = VirtualClock()
    made = World(tmp_path, clock, Api(clock))
    made.answers()
    return made


async def test_a_program_is_asked_for_the_image_and_its_answer_is_the_nodes_credential(world: World) -> None:
    found = world.providers(args=["get"], env=[{"name": "MODE", "value": "test"}])
    assert await found.credentials(pod(), IMAGE) == (Credential("one.example.test", "u", "p", of_node=True),)
    request = {"apiVersion": V1, "kind": "CredentialProviderRequest", "image": "one.example.test/team/a"}
    assert world.request() == request and world.calls() == ["get test"]
    assert await found.credentials(pod(), reference.parse("other.test/a:1")) == ()
    assert len(world.calls()) == 1


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("Image", ["one.example.test/team/b", "two.example.test/c"]),
        ("Registry", ["two.example.test/c"]),
        ("Global", []),
    ],
)
async def test_an_answer_counts_for_what_it_says_and_as_long_as_it_says(
    world: World, kind: str, again: list[str]
) -> None:
    world.answers(cacheKeyType=kind, cacheDuration="10s")
    found = world.providers()
    names = ["one.example.test/team/a", "one.example.test/team/b", "two.example.test/c"]
    for name in names:
        await found.credentials(pod(), reference.parse(name))
    assert len(world.calls()) == 1 + len(again)
    await world.clock.advance(11.0)
    await found.credentials(pod(), IMAGE)
    assert len(world.calls()) == 2 + len(again)


async def test_an_answer_that_is_not_to_be_kept_is_asked_for_again(world: World) -> None:
    world.answers(cacheDuration="0s")
    found = world.providers()
    for _ in range(2):
        await found.credentials(pod(), IMAGE)
    assert len(world.calls()) == 2


async def test_a_program_is_told_of_the_pods_account_and_answers_for_it_alone(world: World) -> None:
    found = world.providers(tokenAttributes={**TOKEN, "requiredServiceAccountAnnotationKeys": ["role"]})
    (mine,) = await found.credentials(pod(), IMAGE)
    request = world.request()
    assert (request["serviceAccountToken"], request["serviceAccountAnnotations"]) == ("token-1", {"role": "robot"})
    assert world.api.asked[0]["audiences"] == ["registry"] and world.api.asked[0]["boundObjectRef"]["uid"] == "u"
    assert mine.account == {"uid": "uid-robot", "namespace": "ns", "name": "robot"} and not mine.of_node
    await found.credentials(pod(uid="another"), IMAGE)  # the same account
    assert len(world.calls()) == 1
    await found.credentials(pod("other"), IMAGE)
    assert len(world.calls()) == 2
    assert await found.credentials(pod(""), IMAGE) == ()  # a static pod has none
    assert len(world.calls()) == 2


async def test_credentials_may_be_for_one_token_alone(world: World) -> None:
    found = world.providers(tokenAttributes={**TOKEN, "cacheType": "Token"})
    for uid in ("u", "u", "another"):
        await found.credentials(pod(uid=uid), IMAGE)
    assert len(world.calls()) == 2 and len(world.api.asked) == 2


async def test_an_account_without_what_is_required_is_not_asked_for(world: World) -> None:
    found = world.providers(tokenAttributes={**TOKEN, "requiredServiceAccountAnnotationKeys": ["missing"]})
    assert await found.credentials(pod(), IMAGE) == () and world.calls() == []


@pytest.mark.parametrize(
    "answer", [{"kind": "Other"}, {"apiVersion": "v1"}, {"cacheKeyType": "Pod"}, {"auth": None}, {"auth": {}}]
)
async def test_what_a_program_answers_wrongly_or_not_at_all_gives_nothing(world: World, answer: dict[str, Any]) -> None:
    world.answers(**answer)
    assert await world.providers().credentials(pod(), IMAGE) == ()


async def test_a_program_that_fails_or_is_not_there_gives_nothing(world: World) -> None:
    found = world.providers()
    (world.here / "keys").write_text("#!/bin/sh\necho no >&2\nexit 3\n")
    assert await found.credentials(pod(), IMAGE) == ()
    (world.here / "keys").unlink()
    assert await found.credentials(pod(), IMAGE) == ()


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"name": "a/b"}, "no file name"),
        ({"apiVersion": "v1"}, "apiVersion"),
        ({"matchImages": []}, "matchImages"),
        ({"defaultCacheDuration": None}, "defaultCacheDuration"),
        ({"tokenAttributes": {**TOKEN, "cacheType": ""}}, "cacheType"),
        ({"tokenAttributes": {**TOKEN, "serviceAccountTokenAudience": ""}}, "Audience"),
    ],
)
def test_a_configuration_that_is_wrong_says_where(broken: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        providerconfig.parse([document(provider(**broken))])
    with pytest.raises(ValueError, match="more than once"):
        providerconfig.parse([document(provider()), document(provider())])


class Registry:
    """A source of images that is opened by any credential, and notes which."""

    def __init__(self, root: Path) -> None:
        self.records = PullRecords(root)
        self.present: Present | None = None
        self.pulls = 0

    def find(self, _image: Reference) -> Present | None:
        return self.present

    async def adopt(self, _image: Reference) -> Present | None:
        return None

    async def pull(self, _image: Reference, credentials: Any) -> Present:
        self.pulls += 1
        self.present = Present("sha256:" + "a" * 64, 1)
        return Present(self.present.id, 1, credentials[0])


@pytest.mark.parametrize(("token", "pulls"), [(None, [1, 1, 1]), (TOKEN, [1, 1, 2])])
async def test_an_image_is_for_all_pods_of_the_node_or_of_the_account_that_opened_its_registry(
    world: World, tmp_path: Path, token: Any, pulls: list[int]
) -> None:
    providers = world.providers(tokenAttributes=token)
    source, seen = Registry(tmp_path / "images"), []
    for account in ("robot", "robot", "other"):

        async def further(image: Reference, account: str = account) -> tuple[Credential, ...]:
            return await providers.credentials(pod(account), image)

        await policy.ensure(
            source, str(IMAGE), "IfNotPresent", (), tell=lambda *_: None, clock=world.clock, further=further
        )
        seen.append(source.pulls)
    assert seen == pulls
