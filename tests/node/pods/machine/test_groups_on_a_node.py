"""Control groups of version 2, and huge pages, of a kernel that has both."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.node.pods.conftest import Node, container, phase

from mizzen.agent import machineinfo
from mizzen.agent.thresholds import Thresholds
from mizzen.client.resources import NODES

IN_A_CONTAINER = """
import os, sys
from pathlib import Path
from mizzen.agent.runtime import cgroups, syscalls
from mizzen.agent.runtime.base import Limits

top = Path("/sys/fs/cgroup")
(top / "cgroup.subtree_control").write_text("+cpu +memory +pids")
(top / "box").mkdir()
(top / "box" / "cgroup.procs").write_text(str(os.getpid()))
syscalls.unshare(syscalls.CLONE_NEWCGROUP | syscalls.CLONE_NEWNS)
syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
syscalls.unmount("/sys/fs/cgroup")
syscalls.mount("cgroup", "/sys/fs/cgroup", "cgroup2")
groups = cgroups.find("/mizzen/node-1")
groups.make(groups.pod("Guaranteed", "u"), Limits(memory=1 << 25))
sys.stdout.write((top / "mizzen/node-1/podu/memory.max").read_text())
"""


def group_file(uid: str, name: str) -> Path:
    """A file of a pod's control group."""
    (found,) = Path("/sys/fs/cgroup").glob(f"**/*{uid}/{name}")
    return found


def of_pod(uid: str, name: str) -> str:
    return group_file(uid, name).read_text()


async def test_limits_are_those_of_the_one_hierarchy(node: Node) -> None:
    limits = {"cpu": "500m", "memory": "32Mi"}
    script = "cd /sys/fs/cgroup; cat cpu.max memory.max memory.oom.group; exec sleep 1000"
    one = await node.create("bounded", {"script": script, "resources": {"limits": limits}})
    assert await node.logged(one, f"{32 << 20}\n1\n") == f"50000 100000\n{32 << 20}\n1\n"
    assert of_pod(one["metadata"]["uid"], "memory.max") == f"{32 << 20}\n"


async def test_a_container_out_of_memory_is_told_so(node: Node) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1; echo survived"
    one = {"script": script, "resources": {"limits": {"memory": "16Mi"}}}
    await node.create("greedy", one, restartPolicy="Never")
    ended = container(await node.until("greedy", phase("Failed")))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_huge_pages_are_counted_limited_and_had_as_a_volume(node: Node) -> None:
    here = await node.client.get(NODES, "node-1", view=dict)
    assert here["status"]["capacity"]["hugepages-2Mi"] == here["status"]["allocatable"]["hugepages-2Mi"] == "128Mi"
    script = """
        grep -c ' /pages hugetlbfs ' /proc/mounts
        busybox fallocate -l 4194304 /pages/enough && echo had
        busybox fallocate -l 8388608 /pages/more || echo refused
    """
    one = {
        "script": script,
        "resources": {"limits": {"hugepages-2Mi": "4Mi", "memory": "32Mi", "cpu": "1"}},
        "volumeMounts": [{"name": "p", "mountPath": "/pages"}],
    }
    volumes = [{"name": "p", "emptyDir": {"medium": "HugePages"}}]
    await node.create("pages", one, volumes=volumes, restartPolicy="Never")
    seen = node.log(await node.until("pages", phase("Succeeded")))
    assert [line for line in seen.splitlines() if line in {"1", "had", "refused"}] == ["1", "had", "refused"]
    await node.create("none", {"script": "exec sleep 1000"})
    none = await node.running_pod("none")
    assert of_pod(none["metadata"]["uid"], "hugetlb.2MB.max") == "0\n", "whoever asks for none gets none"


@pytest.fixture
def swap(tmp_path: Path) -> Iterator[int]:
    """Swap space of this machine; its bytes."""
    file, size = tmp_path / "swap", 128 << 20
    file.touch(0o600)
    with file.open("r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, size)
    subprocess.run(["mkswap", file], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", file], check=True)
    yield machineinfo.swap()[0]
    subprocess.run(["swapoff", file], check=True)


async def test_burstable_pods_swap_their_share_where_that_is_configured(swap: int, node: Node) -> None:
    await node.stop()
    node.config = replace(node.config, limited_swap=True, capacity={"memory": "256Mi"}, thresholds=Thresholds({}))
    await node.start()
    here = await node.client.get(NODES, "node-1", view=dict)
    assert here["status"]["nodeInfo"]["swap"] == {"capacity": swap}
    script = "dd if=/dev/zero of=/dev/shm/held bs=20M count=1 && echo held; exec sleep 1000"
    resources = {"requests": {"memory": "32Mi"}, "limits": {"memory": "40Mi"}}
    one = await node.create("swapping", {"script": script, "resources": resources})
    await node.logged(one, "held\n")
    uid = one["metadata"]["uid"]
    assert abs(int(of_pod(uid, "memory.swap.max")) - swap // 8) <= 4096
    # The kernel is asked for the memory rather than pressed for it: a slow disk under pressure ends the container.
    with contextlib.suppress(BlockingIOError):
        group_file(uid, "memory.reclaim").write_text("8M")
    assert int(of_pod(uid, "memory.swap.current")) > 0


def test_groups_are_made_where_this_machine_is_a_container_whose_top_group_holds_processes() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_CONTAINER], check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == f"{1 << 25}\n"
