"""Images from a real registry: by tag and digest, over an index of platforms, several gzipped layers, and failures."""

import asyncio
import base64
from dataclasses import replace
from pathlib import Path

import orjson
import zstandard
from tests.node.pods import images
from tests.node.pods.conftest import IMAGE, Node, container, eventually, phase, waiting

from mizzen.agent import embedded
from mizzen.agent.eviction import Guard
from mizzen.agent.images.archive import import_path
from mizzen.agent.images.providerconfig import Provider
from mizzen.agent.thresholds import Thresholds
from mizzen.agent.volumes.kinds import ImageVolumes
from mizzen.api.views.podspec import Pod
from mizzen.client.resources import SECRETS


def pulled(image: str, script: str = "true", policy: str = "IfNotPresent") -> dict[str, object]:
    return {"name": "c", "image": image, "imagePullPolicy": policy, "command": ["sh", "-c", script]}


async def test_an_image_is_pulled_by_tag_and_by_digest(node: Node, registry: str, busybox: bytes) -> None:
    upper = images.layer({"www/.wh.index.html": b"", "greeting": b"from the second layer\n"})
    name = f"team/app-{node.config.runtime}"
    digest = images.push(registry, name, "2", [busybox, upper], Env=["PATH=/bin"])
    script = "cat /greeting; ls /www"
    await node.create("tagged", pulled(f"{registry}/{name}:2", script), restartPolicy="Never")
    pod = await node.until("tagged", phase("Succeeded"))
    assert node.log(pod) == "from the second layer\n"
    assert container(pod)["imageID"] == f"{registry}/{name}@{digest}"
    reasons = [reason for reason, _ in await node.events("tagged")]
    assert reasons == ["Pulling", "Pulled", "Created", "Started"]
    await node.create("digested", pulled(f"{registry}/{name}@{digest}", script), restartPolicy="Never")
    await node.until("digested", phase("Succeeded"))
    assert "already present" in (await node.events("digested"))[0][1]


async def test_an_image_that_does_not_exist_is_tried_again_later(node: Node, registry: str) -> None:
    await node.create("absent", pulled(f"{registry}/team/none:1"))
    first = await node.until("absent", waiting("ErrImagePull"))
    assert "not found" in container(first)["state"]["waiting"]["message"]
    later = await node.until("absent", waiting("ImagePullBackOff"))
    message = container(later)["state"]["waiting"]["message"]
    assert message.startswith(f'Back-off pulling image "{registry}/team/none:1": ErrImagePull: ')
    assert phase("Pending")(later)


async def test_names_and_policies_that_forbid_pulling_say_so(node: Node) -> None:
    await node.create("never", pulled("local/nothing:1", policy="Never"))
    await node.create("invalid", pulled("Not A Name"))
    never = await node.until("never", waiting("ErrImageNeverPull"))
    text = 'Container image "local/nothing:1" is not present with pull policy of Never'
    assert container(never)["state"]["waiting"]["message"] == text
    invalid = await node.until("invalid", waiting("InvalidImageName"))
    assert "invalid reference format" in container(invalid)["state"]["waiting"]["message"]


async def told_of(node: Node, name: str, count: int) -> list[tuple[str, str]]:
    """The events about a pod, once there are so many."""
    events = await node.events(name)
    return events if len(events) >= count else []


async def test_an_image_is_mounted_as_a_volume(node: Node) -> None:
    mounts = [{"name": "picture", "mountPath": "/picture"}]
    volumes = [{"name": "picture", "image": {"reference": "local/busybox:1", "pullPolicy": "Never"}}]
    script = "cat /picture/www/index.html; touch /picture/x 2> /dev/null || echo read-only"
    await node.create("gallery", {"script": script, "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    pod = await node.until("gallery", phase("Succeeded"))
    assert node.log(pod).splitlines() == ["hello", "read-only"]
    told = [text for reason, text in await node.events("gallery") if reason == "Pulled"]
    assert told == ['Container image "local/busybox:1" already present on machine and can be accessed by the pod'] * 2
    wrong = [{"name": "picture", "image": {"reference": "local/none:1", "pullPolicy": "Never"}}]
    await node.create("empty", {"script": script, "volumeMounts": mounts}, volumes=wrong)
    refused = await node.until("empty", waiting("ErrImageNeverPull"))
    text = 'Container image "local/none:1" is not present with pull policy of Never'
    assert container(refused)["state"]["waiting"]["message"] == text
    reasons = [reason for reason, _ in await eventually(lambda: told_of(node, "empty", 3))]
    assert reasons[:3] == ["Pulled", "ErrImageNeverPull", "Failed"]


async def test_only_the_containers_that_mount_an_image_wait_for_it(node: Node, registry: str, busybox: bytes) -> None:
    name = f"team/late-{node.config.runtime}"
    volumes = [{"name": "picture", "image": {"reference": f"{registry}/{name}:1"}}]
    wants = {
        "name": "wants",
        "volumeMounts": [{"name": "picture", "mountPath": "/p"}],
        "script": "cat /p/www/index.html",
    }
    await node.create("mixed", {"script": "exec sleep 1000"}, wants, volumes=volumes, restartPolicy="OnFailure")
    seen = await node.until("mixed", waiting("ErrImagePull", "wants"))
    assert "not found" in container(seen, "wants")["state"]["waiting"]["message"]
    seen = await node.until("mixed", waiting("ImagePullBackOff", "wants"))
    text = f'Back-off pulling image "{registry}/{name}:1": ErrImagePull: '
    assert container(seen, "wants")["state"]["waiting"]["message"].startswith(text)
    assert "running" in container(await node.until("mixed", lambda pod: container(pod).get("ready")))["state"]
    images.push(registry, name, "1", [busybox])
    seen = await node.until("mixed", lambda pod: "terminated" in container(pod, "wants").get("state", {}), 30)
    assert node.log(seen, "wants") == "hello\n"


class Slow:
    """Images for volumes that come when they are let."""

    def __init__(self, images: ImageVolumes) -> None:
        self._images = images
        self.asked, self.may_come = asyncio.Event(), asyncio.Event()

    async def layers_of(self, pod: Pod, reference: str, policy_name: str) -> tuple[str, ...]:
        self.asked.set()
        await self.may_come.wait()
        return await self._images.layers_of(pod, reference, policy_name)

    def let_go(self, uid: str) -> None:
        self._images.let_go(uid)


async def test_an_image_that_comes_when_its_pod_has_gone_is_not_mounted(crun_node: Node) -> None:
    node = crun_node
    assert node.running is not None
    tools = node.running.tools
    slow = tools.volumes._images = Slow(tools.volumes._images)
    volumes = [{"name": "picture", "image": {"reference": IMAGE, "pullPolicy": "Never"}}]
    mounts = [{"name": "picture", "mountPath": "/p"}]
    pod = await node.create("brief", {"script": "exec sleep 1000", "volumeMounts": mounts}, volumes=volumes)
    await slow.asked.wait()
    uid = pod["metadata"]["uid"]
    lock = tools.volumes._pulling[uid, "picture"]
    await node.delete("brief", grace=0)

    async def is_forgotten() -> bool:
        return not tools.pod_home(uid).exists()

    await eventually(is_forgotten)
    slow.may_come.set()
    async with lock:
        assert await is_forgotten()


async def test_a_pull_secret_opens_a_registry_and_zstd_layers_unpack(
    node: Node, guarded_registry: str, busybox: bytes
) -> None:
    own = images.layer({"greeting": b"behind the door\n"})
    name = f"team/closed-{node.config.runtime}"
    images.push(
        f"robot:swordfish@{guarded_registry}", name, "1", [busybox, own],
        packed=zstandard.ZstdCompressor().compress, Env=["PATH=/bin"],
    )  # fmt: skip
    image = f"{guarded_registry}/{name}:1"
    await node.create("outside", pulled(image))
    refused = await node.until("outside", waiting("ErrImagePull"))
    assert container(refused)["state"]["waiting"]["message"]
    auth = {"auths": {guarded_registry: {"auth": base64.b64encode(b"robot:swordfish").decode()}}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "key"},
        "data": {".dockerconfigjson": base64.b64encode(orjson.dumps(auth)).decode()},
    }
    await node.client.create(SECRETS, secret, "default")
    one = pulled(image, "cat /greeting")
    await node.create("inside", one, imagePullSecrets=[{"name": "key"}], restartPolicy="Never")
    assert node.log(await node.until("inside", phase("Succeeded"))) == "behind the door\n"
    # The image is here now, and still only for pods that could fetch it themselves.
    present = {**one, "imagePullPolicy": "Never"}
    await node.create("again", present, imagePullSecrets=[{"name": "key"}], restartPolicy="Never")
    await node.until("again", phase("Succeeded"))
    await node.create("stranger", {**one, "imagePullPolicy": "IfNotPresent"})
    await node.until("stranger", waiting("ErrImagePull"))
    await node.create("idle", present)
    waits = container(await node.until("idle", waiting("ErrImageNeverPull")))["state"]["waiting"]
    assert waits["message"].endswith("does not have the proper credentials to access the image")


async def test_a_program_of_the_node_knows_the_credentials_of_a_registry(
    node: Node, guarded_registry: str, busybox: bytes, tmp_path: Path
) -> None:
    name = f"team/known-{node.config.runtime}"
    own = images.layer({"greeting": b"from a known place\n"})
    images.push(f"robot:swordfish@{guarded_registry}", name, "1", [busybox, own], Env=["PATH=/bin"])
    programs = tmp_path / "programs"
    programs.mkdir()
    answer = {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Registry",
        "auth": {guarded_registry: {"username": "robot", "password": "swordfish"}},
    }
    (programs / "keys").write_text(f"#!/bin/sh\ncat >&2\necho '{orjson.dumps(answer).decode()}'\n")
    (programs / "keys").chmod(0o755)
    provider = Provider("keys", "credentialprovider.kubelet.k8s.io/v1", (guarded_registry,), 60.0)
    await node.stop()
    node.config = replace(node.config, credential_providers=(provider,), credential_programs=programs)
    await node.start()
    image = f"{guarded_registry}/{name}:1"
    await node.create("first", pulled(image, "cat /greeting"), restartPolicy="Never")
    assert node.log(await node.until("first", phase("Succeeded"))) == "from a known place\n"
    await node.create("second", {**pulled(image, "true"), "imagePullPolicy": "Never"}, restartPolicy="Never")
    await node.until("second", phase("Succeeded"))  # what the node itself can open is for all of its pods


async def test_unused_images_go_when_the_disk_of_images_is_full(crun_node: Node, registry: str, busybox: bytes) -> None:
    node = crun_node
    images.push(registry, "team/old", "1", [busybox, images.layer({"old": b"old"})], Env=["PATH=/bin"])
    images.push(registry, "team/used", "1", [busybox, images.layer({"used": b"used"})], Env=["PATH=/bin"])
    await node.create("old", pulled(f"{registry}/team/old:1"), restartPolicy="Never")
    await node.until("old", phase("Succeeded"))
    await node.delete("old")
    await node.create("used", pulled(f"{registry}/team/used:1", "exec sleep 1000"))
    await node.running_pod("used")
    assert node.running is not None
    tools = node.running.tools
    thresholds = Thresholds({}, image_disk_high=0.0, image_disk_low=0.0)
    patient = replace(tools, config=replace(tools.config, thresholds=thresholds))
    await Guard(patient, node.running.pods).look()
    assert f"{registry}/team/old:1" in {name for one in tools.images.listed() for name in one.names}
    thresholds = replace(thresholds, image_least_age=0.0)
    try:
        await Guard(replace(tools, config=replace(tools.config, thresholds=thresholds)), node.running.pods).look()
        names = {name for one in tools.images.listed() for name in one.names}
    finally:  # the other tests want theirs again
        archive = node.config.images_root.parent / "busybox.tar"
        await import_path(embedded.images_of(node.config).store, archive)
    assert f"{registry}/team/used:1" in names and f"{registry}/team/old:1" not in names
    told = await eventually(lambda: node.events("node-1"))
    assert "FreeDiskSpaceFailed" in {reason for reason, _ in told}
