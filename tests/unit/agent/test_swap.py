"""How much of a pod a node may swap out, and what that means for its groups and its resizes."""

from pathlib import Path
from typing import Any

import pytest

from mizzen.agent.admission import resize_bar
from mizzen.agent.resources import Size, container_limits, pod_limits, swap_share
from mizzen.agent.runtime import criconfig
from mizzen.agent.runtime.base import Limits
from mizzen.agent.runtime.cgroups import Cgroups, bound
from mizzen.api.views.meta import ObjectMeta
from mizzen.api.views.podspec import Container, Pod, PodSpec, Quantity, ResizePolicy, Resources

NODE = Size(memory=8 << 30, swap=4 << 30)


def asking(requests: dict[str, Quantity] | None, limits: dict[str, Quantity] | None = None, **more: Any) -> Container:
    return Container(name="c", image="i", resources=Resources(requests=requests, limits=limits), **more)


def pod(*containers: Container, **spec: Any) -> Pod:
    return Pod(spec=PodSpec(containers=containers, **spec))


@pytest.mark.parametrize(
    ("container", "share"),
    [
        (asking({"memory": "1Gi"}), 512 << 20),
        (asking({"memory": "1Gi"}, {"memory": "2Gi"}), 512 << 20),
        (asking({"memory": "1Gi"}, {"memory": "1Gi"}), 0),
        (asking({"cpu": "1"}), 0),
        (asking(None, {"memory": "1Gi"}), 0),
        (asking({"memory": "1Gi", "cpu": "1"}, {"memory": "1Gi", "cpu": "1"}), 0),
        (asking(None), 0),
    ],
)
def test_a_container_swaps_as_much_of_the_space_as_it_asks_for_of_the_memory(container: Container, share: int) -> None:
    whole = pod(container, asking({"cpu": "100m"}))
    assert swap_share(whole, container, NODE) == share
    assert swap_share(whole, container, Size(NODE.memory)) == 0, "where pods may not swap at all"


def test_critical_pods_never_swap() -> None:
    one = asking({"memory": "1Gi"})
    assert swap_share(pod(one, priority=2_000_000_000), one, NODE) == 0
    meta = ObjectMeta(annotations={"kubernetes.io/config.source": "file"})
    fixed = Pod(metadata=meta, spec=PodSpec(containers=(one,)))
    assert swap_share(fixed, one, NODE) == 0


def test_a_pod_swaps_what_its_containers_may_and_the_groups_above_leave_it_to_pods(tmp_path: Path) -> None:
    two = pod(asking({"memory": "1Gi"}), asking({"memory": "2Gi"}))
    groups = Cgroups({"": tmp_path}, "/node", unified=True)
    bound(groups, Limits(memory=1 << 33), {"burstable": Limits()})
    groups.make(groups.pod("Burstable", "u"), pod_limits(two, 0, NODE))
    groups.make(groups.pod("Burstable", "v"), pod_limits(two, 0, Size(NODE.memory)))
    seen = {str(path.parent.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("memory.swap.max")}
    swapped = str(3 << 29)
    assert seen == {"node": "max", "node/burstable": "max", "node/burstable/podu": swapped, "node/burstable/podv": "0"}


def test_a_runtime_is_told_how_much_of_a_container_may_be_swapped() -> None:
    one = asking({"memory": "1Gi"}, {"memory": "2Gi"})
    told = criconfig.resources(container_limits(pod(one), one, NODE), unified=True)
    assert told["unified"] == {"memory.oom.group": "1", "memory.swap.max": str(512 << 20)}
    assert told["memory_swap_limit_in_bytes"] == (2 << 30) + (512 << 20)
    never = criconfig.resources(container_limits(pod(one), one, Size(NODE.memory)), unified=True)
    assert (never["unified"], never["memory_swap_limit_in_bytes"]) == ({"memory.oom.group": "1"}, 2 << 30)


def test_memory_that_may_be_swapped_is_not_resized_without_a_restart() -> None:
    before = {"c": Resources(requests={"memory": "1Gi", "cpu": "1"})}
    larger = asking({"memory": "2Gi", "cpu": "1"})
    refused = ("Infeasible", "In-place resize of containers with swap is not supported.")
    assert resize_bar(pod(larger), before, NODE, "none") == refused
    assert resize_bar(pod(larger), before, Size(NODE.memory), "none") == ("", "")
    assert resize_bar(pod(asking({"memory": "1Gi", "cpu": "2"})), before, NODE, "none") == ("", "")
    restarted = (ResizePolicy(resourceName="memory", restartPolicy="RestartContainer"),)
    assert resize_bar(pod(asking({"memory": "2Gi"}, resizePolicy=restarted)), before, NODE, "none") == ("", "")
