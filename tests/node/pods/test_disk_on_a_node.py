"""What pods and images take of the node's disk, told and acted upon, by each runtime."""

from pathlib import Path

import orjson
from tests.node.pods.conftest import IMAGE, Node, container, eventually, phase, running_node
from tests.node.pods.test_served_by_a_node import ask

from mizzen.agent.images.collection import make_room
from mizzen.agent.images.cri import CriImages
from mizzen.agent.images.reference import parse
from mizzen.agent.runtime import cripause

_BIG = 3 << 20


async def test_what_a_container_writes_is_counted_and_its_limit_ends_it(node: Node) -> None:
    assert node.running is not None
    limits = {"resources": {"limits": {"ephemeral-storage": "1Mi"}}}
    script = "head -c 3145728 /dev/urandom > /big; for i in 1 2 3 4 5; do touch /f$i; done; exec sleep 1000"
    await node.create("writer", {"script": script, **limits})
    id = container(await node.running_pod("writer"))["containerID"].partition("://")[2]
    runtime = node.running.tools.runtime

    async def counted() -> bool:
        taken = (await runtime.layers([id])).get(id)
        return taken is not None and taken.bytes >= _BIG and taken.inodes > 5

    await eventually(counted, 40)  # a containerd looks every ten seconds
    summary = orjson.loads((await ask(node, "/stats/summary"))[1])
    pod = next(one for one in summary["pods"] if one["podRef"]["name"] == "writer")
    assert pod["containers"][0]["rootfs"]["usedBytes"] >= _BIG and pod["containers"][0]["rootfs"]["inodesUsed"] > 5
    assert pod["ephemeral-storage"]["usedBytes"] >= _BIG
    seen = await node.until("writer", phase("Failed"), 40)
    assert seen["status"]["reason"] == "Evicted"
    assert seen["status"]["message"] == "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "


async def test_images_are_counted_and_those_that_nobody_needs_go_but_not_what_sandboxes_are_made_of(
    image_root: Path, tmp_path: Path, containerd: str
) -> None:
    async with running_node(image_root, tmp_path, containerd) as node:
        assert node.running is not None
        tools = node.running.tools
        assert isinstance(tools.images, CriImages)
        await node.create("first", {"script": "exec sleep 1000"})
        await node.running_pod("first")
        summary = orjson.loads((await ask(node, "/stats/summary"))[1])
        shown = summary["node"]["runtime"]["imageFs"]
        assert 0 < shown["usedBytes"] < shown["capacityBytes"] and shown["inodesUsed"] > 0
        assert tools.images.disk().is_relative_to(Path(containerd).parent)
        await node.delete("first", grace=0)
        tools.images._used = set()
        tools.images._needed = dict.fromkeys(tools.images._needed, float("-inf"))
        await make_room(tools)
        assert tools.images.find(parse(IMAGE)) is None and tools.images.find(parse(cripause.NAME)) is not None
        await node.create("second", {"script": "exec sleep 1000"})
        await node.running_pod("second")
