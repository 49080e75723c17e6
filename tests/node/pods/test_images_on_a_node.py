"""Images from a real registry: by tag and digest, over an index of platforms, several gzipped layers, and failures."""

from tests.node.pods import images
from tests.node.pods.conftest import Node, container, phase, waiting


def pulled(image: str, script: str = "true", policy: str = "IfNotPresent") -> dict[str, object]:
    return {"name": "c", "image": image, "imagePullPolicy": policy, "command": ["sh", "-c", script]}


async def test_an_image_is_pulled_by_tag_and_by_digest(node: Node, registry: str, busybox: bytes) -> None:
    upper = images.layer({"www/.wh.index.html": b"", "greeting": b"from the second layer\n"})
    digest = images.push(registry, "team/app", "2", [busybox, upper], Env=["PATH=/bin"])
    script = "cat /greeting; ls /www"
    await node.create("tagged", pulled(f"{registry}/team/app:2", script), restartPolicy="Never")
    pod = await node.until("tagged", phase("Succeeded"))
    assert node.log(pod) == "from the second layer\n"
    assert container(pod)["imageID"] == f"{registry}/team/app@{digest}"
    reasons = [reason for reason, _ in await node.events("tagged")]
    assert reasons == ["Pulling", "Pulled", "Created", "Started"]
    await node.create("digested", pulled(f"{registry}/team/app@{digest}", script), restartPolicy="Never")
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


async def test_an_image_is_mounted_as_a_volume(crun_node: Node) -> None:
    node = crun_node
    mounts = [{"name": "picture", "mountPath": "/picture"}]
    volumes = [{"name": "picture", "image": {"reference": "local/busybox:1", "pullPolicy": "Never"}}]
    script = "cat /picture/www/index.html; touch /picture/x 2> /dev/null || echo read-only"
    await node.create("gallery", {"script": script, "volumeMounts": mounts}, volumes=volumes, restartPolicy="Never")
    pod = await node.until("gallery", phase("Succeeded"))
    assert node.log(pod).splitlines() == ["hello", "read-only"]
