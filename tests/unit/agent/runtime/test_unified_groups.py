"""Control groups of version 2: what is handed down to pods, and how containers are bounded in them."""

from dataclasses import replace
from pathlib import Path

from mizzen.agent.runtime import oci_config
from mizzen.agent.runtime.base import ContainerSpec, Limits, SandboxSpec
from mizzen.agent.runtime.cgroups import Cgroups


def test_every_controller_that_the_machine_offers_is_handed_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    groups = Cgroups({"": tmp_path}, "/mizzen", unified=True)
    groups.make("/mizzen/podu", Limits(cpu_quota=50_000, memory=1 << 20, pids=100))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +hugetlb +io +memory +pids"
    at = tmp_path / "mizzen" / "podu"
    written = {name: (at / name).read_text() for name in ("cpu.max", "memory.max", "pids.max")}
    assert written == {"cpu.max": "50000 100000", "memory.max": str(1 << 20), "pids.max": "100"}


def test_a_container_out_of_memory_ends_as_a_whole() -> None:
    spec = ContainerSpec("u", "ns", "p", "c", 0, "i", "sha256:1", "/log", limits=Limits(memory=1 << 20))
    old = oci_config.Place("/g", {}, "", -1000, {}, frozenset(), {})

    def resources(place: oci_config.Place) -> dict[str, object]:
        made = oci_config.config(spec, SandboxSpec("u", "ns", "p"), {}, user=oci_config.User(), place=place)
        found: dict[str, object] = made["linux"]["resources"]
        return found

    assert "unified" not in resources(old)
    assert resources(replace(old, is_unified=True))["unified"] == {"memory.oom.group": "1"}
