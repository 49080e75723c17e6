"""The CRI runtime's steps against a runtime whose answers are written down here."""

from pathlib import Path
from typing import Any

import pytest

from mizzen.agent import embedded
from mizzen.agent.config import AgentConfig
from mizzen.agent.images.cri import CriImages
from mizzen.agent.images.policy import ImageRefused, ensure
from mizzen.agent.images.reference import parse
from mizzen.agent.runtime.base import RuntimeFailure, Used
from mizzen.agent.runtime.cgroups import Cgroups
from mizzen.agent.runtime.cri import CriRuntime
from mizzen.agent.runtime.crirpc import CallFailed, CriChannel
from mizzen.base.clock import Clock, SystemClock, VirtualClock
from mizzen.wire import cri

_SANDBOX = {"id": "s1", "metadata": {"uid": "u1", "attempt": 0}, "state": cri.SANDBOX_READY, "created_at": 0}


class Losing(CriChannel):
    """A runtime that lists a sandbox and no longer has it when it is asked to stop or to remove it."""

    def __init__(self, lost_at: str) -> None:
        super().__init__("/nowhere.sock")
        self.lost_at = lost_at
        self.asked: list[str] = []
        self.request: dict[str, Any] = {}

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = 0) -> Any:
        self.asked.append(name)
        self.request = request or {}
        if name == self.lost_at:
            raise CallFailed("NOT_FOUND", "sandbox not found")
        return {"items": [_SANDBOX]} if name == "ListPodSandbox" else {}


@pytest.mark.parametrize("lost_at", ["StopPodSandbox", "RemovePodSandbox"])
async def test_a_sandbox_that_is_gone_before_it_is_closed_is_closed(tmp_path: Path, lost_at: str) -> None:
    channel = Losing(lost_at)
    runtime = CriRuntime(channel, Cgroups({"": tmp_path}, "test", unified=True), ("containerd", "1"), None)
    await runtime.close_sandbox("u1")
    assert channel.asked.count(lost_at) == 1


class Told(CriChannel):
    """A runtime whose answers are these."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("/nowhere.sock")
        self.answers = {"Version": {"runtime_name": "other"}, "ListContainers": {"containers": []}, **answers}

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = 0) -> Any:
        return cri.decode(f"{name}Response", cri.encode(f"{name}Response", self.answers[name]))


async def looked_at(channel: CriChannel, machine: Path, clock: Clock | None = None) -> CriImages:
    own = embedded.images_of(AgentConfig("n", machine / "node", machine, ("127.0.0.1",)))
    images = CriImages(channel, own, clock or SystemClock())
    await images.start()
    images.close()
    return images


async def test_what_containers_and_sandboxes_are_made_of_is_never_removed(tmp_path: Path) -> None:
    listed = [{"id": name, "repo_tags": [f"x.io/{name}:1"], "size": 1} for name in ("pause", "used", "idle", "pin")]
    listed[-1]["pinned"] = True
    channel = Told(
        ListImages={"images": listed},
        ListContainers={"containers": [{"id": "c", "image_ref": "used"}]},
        Status={"info": {"config": '{"sandboxImage": "x.io/pause:1"}'}},
        ImageFsInfo={"image_filesystems": []},
    )
    images = await looked_at(channel, tmp_path)
    assert [one.id for one in images.unused()] == ["idle"]


async def test_images_of_a_runtime_are_unused_since_they_came_were_asked_for_or_their_last_container_went(
    tmp_path: Path,
) -> None:
    clock = VirtualClock()
    channel = Told(
        ListImages={"images": [{"id": name, "repo_tags": [f"x.io/{name}:1"]} for name in ("asked", "held", "idle")]},
        ListContainers={"containers": [{"id": "c", "image_ref": "held"}]},
        Status={"info": {}},
        ImageFsInfo={"image_filesystems": []},
    )
    images = await looked_at(channel, tmp_path, clock)
    began = clock.now()
    await clock.advance(60.0)
    assert images.find(parse("x.io/asked:1")) is not None
    await clock.advance(60.0)
    await images._look()
    channel.answers["ListContainers"] = {"containers": []}
    await clock.advance(60.0)
    await images._look()
    seen = [(one.id, one.unused_since - began) for one in images.unused()]
    assert seen == [("idle", 0.0), ("asked", 60.0), ("held", 120.0)]


async def test_the_runtime_says_where_its_images_are_and_what_they_take(tmp_path: Path) -> None:
    told = {"fs_id": {"mountpoint": "/images"}, "used_bytes": {"value": 700}, "inodes_used": {"value": 7}}
    channel = Told(ListImages={"images": []}, Status={"info": {}}, ImageFsInfo={"image_filesystems": [told]})
    images = await looked_at(channel, tmp_path)
    assert (images.disk(), images.taken()) == (Path("/images"), Used(700, 7))


async def test_writable_layers_are_as_big_as_the_runtime_says(tmp_path: Path) -> None:
    taken = {"used_bytes": {"value": 4096}, "inodes_used": {"value": 3}}
    stats = [{"attributes": {"id": "a"}, "writable_layer": taken}, {"attributes": {"id": "b"}, "writable_layer": taken}]
    channel = Told(ListContainerStats={"stats": [*stats, {"attributes": {"id": "new"}}]})
    runtime = CriRuntime(channel, Cgroups({"": tmp_path}, "test", unified=True), ("containerd", "1"), None)
    assert await runtime.layers(["a", "new", "gone"]) == {"a": Used(4096, 3), "new": Used()}


async def test_a_checkpoint_is_asked_of_the_runtime_and_its_refusal_told(tmp_path: Path) -> None:
    channel = Losing("CheckpointContainer")
    runtime = CriRuntime(channel, Cgroups({"": tmp_path}, "test", unified=True), ("containerd", "2"), None)
    with pytest.raises(RuntimeFailure, match="sandbox not found"):
        await runtime.checkpoint("c1", tmp_path / "one.tar", 0)
    channel.lost_at = ""
    await runtime.checkpoint("c1", tmp_path / "one.tar", 30.0)
    asked = cri.decode("CheckpointContainerRequest", cri.encode("CheckpointContainerRequest", channel.request))
    assert asked == {"container_id": "c1", "location": str(tmp_path / "one.tar"), "timeout": 30}


class Refusing(Told):
    """A runtime that does not pull."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(ListImages={"images": []}, Status={"info": {}}, ImageFsInfo={"image_filesystems": []})
        self.error = CallFailed(code, message)

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = 0) -> Any:
        if name == "PullImage":
            raise self.error
        return await super().call(name, request)


@pytest.mark.parametrize(
    ("code", "message", "reason", "shown"),
    [
        ("UNKNOWN", "failed to pull and unpack image", "ErrImagePull", "failed to pull and unpack image"),
        ("NOT_FOUND", "failed to pull", "ErrImagePull", "rpc error: code = NotFound desc = failed to pull"),
        ("UNAVAILABLE", "gone", "ErrImagePull", "rpc error: code = Unavailable desc = gone"),
        ("UNKNOWN", "RegistryUnavailable: down", "RegistryUnavailable",
         "image pull failed for x.io/a:1 because the registry is unavailable: down"),
        ("UNKNOWN", "SignatureValidationFailed: no signature", "SignatureValidationFailed",
         "image pull failed for x.io/a:1 because the signature validation failed: no signature"),
    ],
)  # fmt: skip
async def test_why_a_runtime_does_not_pull_is_told_as_it_says(
    tmp_path: Path, code: str, message: str, reason: str, shown: str
) -> None:
    images = await looked_at(Refusing(code, message), tmp_path)
    told: list[tuple[str, str, str]] = []
    with pytest.raises(ImageRefused) as refused:
        await ensure(images, "x.io/a:1", None, (), tell=lambda *said: told.append(said), clock=SystemClock())
    assert (refused.value.reason, refused.value.message) == (reason, shown)
    assert told[1:] == [
        ("Warning", "Failed", f'Failed to pull image "x.io/a:1": {shown}'), ("Warning", "Failed", f"Error: {reason}"),
    ]  # fmt: skip


class Restarting(Told):
    """A runtime that goes while it starts a container, and is there again two calls later."""

    def __init__(self, started_at: int) -> None:
        super().__init__(
            ContainerStatus={"status": {"id": "c", "metadata": {"name": "c"}, "state": 1, "started_at": started_at}}
        )
        self.calls = 0

    async def call(self, name: str, request: dict[str, Any] | None = None, *, patience: float = 0) -> Any:
        self.calls += 1
        if self.calls <= 3:
            raise CallFailed("UNAVAILABLE", "error reading from server: EOF")
        return await super().call(name, request)


async def test_a_container_has_started_if_it_runs_whatever_became_of_the_answer(tmp_path: Path) -> None:
    cgroups = Cgroups({"": tmp_path}, "test", unified=True)
    runtime = CriRuntime(Restarting(1_700_000_000 * 10**9), cgroups, ("containerd", "1"), None)
    await runtime.start("c")
    await runtime.close()


async def test_a_container_that_never_ran_because_its_runtime_went_counts_as_no_crash(tmp_path: Path) -> None:
    cgroups = Cgroups({"": tmp_path}, "test", unified=True)
    runtime = CriRuntime(Restarting(0), cgroups, ("containerd", "1"), None)
    with pytest.raises(RuntimeFailure) as failed:
        await runtime.start("c")
    assert failed.value.reason == "CreateContainerError"
