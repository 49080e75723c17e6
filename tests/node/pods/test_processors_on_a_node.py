"""Processors that a container has for itself, beside those that all others share."""

import os
from dataclasses import replace
from typing import Any

from tests.node.pods.conftest import Node, eventually

from mizzen.agent.cpus.topology import parse

SCRIPT = "grep Cpus_allowed_list /proc/self/status; exec sleep 1000"
WHOLE = {"cpu": "1", "memory": "32Mi"}


async def allowed(node: Node, name: str) -> frozenset[int]:
    """The processors on which a pod's commands run."""
    return parse((await node.run(name, "grep", "Cpus_allowed_list", "/proc/self/status")).split()[-1])


async def test_a_guaranteed_pod_has_processors_that_no_other_pod_runs_on_while_it_lasts(node: Node) -> None:
    here = frozenset(os.sched_getaffinity(0))
    await node.stop()
    node.config = replace(node.config, static_cpus=True, reserved={"cpu": "1"}, reserved_cpus=str(min(here)))
    await node.start()
    await node.create("shares", {"script": SCRIPT})
    await node.running_pod("shares")
    assert await allowed(node, "shares") == here
    own: dict[str, Any] = {"script": SCRIPT, "resources": {"requests": WHOLE, "limits": WHOLE}}
    had = (await node.logged(await node.create("own", own), "\n")).split()[-1]
    assert len(parse(had)) == 1 and parse(had) <= here - {min(here)}

    async def shared(wanted: frozenset[int]) -> bool:
        return await allowed(node, "shares") == wanted

    assert await eventually(lambda: shared(here - parse(had)))
    await node.stop()
    await node.start()
    await node.create("late", {"script": SCRIPT})
    await node.running_pod("late")
    assert (await allowed(node, "own"), await allowed(node, "late")) == (parse(had), here - parse(had))
    await node.delete("own")
    assert await eventually(lambda: shared(here))
