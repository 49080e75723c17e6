"""Control groups: what is handed down to pods, how they are bounded together, and containers in them."""

from dataclasses import replace
from pathlib import Path

from mizzen.agent.resources import Size, container_limits, pod_limits, tier_limits
from mizzen.agent.runtime import oci_config
from mizzen.agent.runtime.base import ContainerSpec, Limits, SandboxSpec
from mizzen.agent.runtime.cgroups import Cgroups, bound
from mizzen.api.views.podspec import Container, Pod, PodSpec, Quantity, Resources


def test_every_controller_that_the_machine_offers_is_handed_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
    groups = Cgroups({"": tmp_path}, "/mizzen", unified=True)
    groups.make("/mizzen/podu", Limits(cpu_quota=50_000, memory=1 << 20, pids=100))
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +cpuset +hugetlb +io +memory +pids"
    at = tmp_path / "mizzen" / "podu"
    written = {name: (at / name).read_text() for name in ("cpu.max", "memory.max", "memory.swap.max", "pids.max")}
    bounds = {"cpu.max": "50000 100000", "memory.max": str(1 << 20), "memory.swap.max": "0", "pids.max": "100"}
    assert written == bounds


def test_a_container_out_of_memory_ends_as_a_whole() -> None:
    spec = ContainerSpec("u", "ns", "p", "c", 0, "i", "sha256:1", "/log", limits=Limits(memory=1 << 20))
    old = oci_config.Place("/g", {}, "", -1000, {}, frozenset(), {})

    def resources(place: oci_config.Place) -> dict[str, object]:
        made = oci_config.config(spec, SandboxSpec("u", "ns", "p"), {}, user=oci_config.User(), place=place)
        found: dict[str, object] = made["linux"]["resources"]
        return found

    assert "unified" not in resources(old)
    assert resources(replace(old, is_unified=True))["unified"] == {"memory.oom.group": "1"}
    spec = replace(spec, limits=replace(spec.limits, ends_whole=False))
    assert resources(replace(old, is_unified=True))["unified"] == {"memory.oom.group": "0"}


def test_huge_pages_are_for_those_who_ask_for_them(tmp_path: Path) -> None:
    asked = Resources(limits={"hugepages-2Mi": "4Mi", "memory": "1Mi"})
    container = Container(name="c", image="i", resources=asked)
    pod = Pod(spec=PodSpec(containers=(container, container)))
    limits = container_limits(pod, container, Size())
    spec = ContainerSpec("u", "ns", "p", "c", 0, "i", "sha256:1", "/log", limits=limits)
    place = oci_config.Place("/g", {}, "", -1000, {}, frozenset(), {}, has_hugetlb=True)
    made = oci_config.config(spec, SandboxSpec("u", "ns", "p"), {}, user=oci_config.User(), place=place)
    assert made["linux"]["resources"]["hugepageLimits"] == [{"pageSize": "2MB", "limit": 4 << 20}]
    for name in ("hugetlb", "cpu", "memory", "pids"):
        (tmp_path / name).mkdir()
    Cgroups({"": tmp_path}, "/", unified=True).make("/new", pod_limits(pod, 0, Size()))
    assert (tmp_path / "new" / "hugetlb.2MB.max").read_text() == str(8 << 20)
    old = Cgroups({name: tmp_path / name for name in ("hugetlb", "cpu", "memory", "pids")}, "/", unified=False)
    old.make("/old", pod_limits(pod, 0, Size()))
    assert (tmp_path / "hugetlb" / "old" / "hugetlb.2MB.limit_in_bytes").read_text() == str(8 << 20)


def test_pods_are_bounded_together_and_by_class_in_both_versions(tmp_path: Path) -> None:
    whole, tiers = (
        Limits(cpu_shares=2048, memory=1 << 30),
        {"burstable": Limits(cpu_shares=512), "besteffort": Limits()},
    )
    (tmp_path / "new").mkdir()
    bound(Cgroups({"": tmp_path / "new"}, "/mizzen", unified=True), whole, tiers)
    at = tmp_path / "new" / "mizzen"
    assert ((at / "memory.max").read_text(), (at / "cpu.weight").read_text()) == (str(1 << 30), "79")
    assert (at / "burstable" / "cpu.weight").read_text() == "20"
    assert (at / "besteffort" / "cpu.weight").read_text() == "1"
    mounts = {name: tmp_path / name for name in ("cpu", "memory", "pids")}
    for mount in mounts.values():
        mount.mkdir()
    groups = Cgroups(mounts, "/mizzen", unified=False)
    bound(groups, whole, tiers)
    assert (groups.path("/mizzen", "memory") / "memory.limit_in_bytes").read_text() == str(1 << 30)
    shares = {name: (groups.path(f"/mizzen/{name}", "cpu") / "cpu.shares").read_text() for name in ("", *tiers)}
    assert shares == {"": "2048", "burstable": "512", "besteffort": "2"}


def test_burstable_pods_have_the_shares_they_ask_for_together() -> None:
    def pod(limits: dict[str, Quantity] | None, requests: dict[str, Quantity] | None = None) -> Pod:
        asked = Resources(limits=limits, requests=requests)
        return Pod(spec=PodSpec(containers=(Container(name="c", image="i", resources=asked),)))

    pods = [pod(None, {"cpu": "250m"}), pod(None, {"cpu": "250m"}), pod({"cpu": "1", "memory": "1Gi"}), pod(None)]
    assert tier_limits(pods) == {"burstable": Limits(cpu_shares=512), "besteffort": Limits()}
    assert tier_limits([]) == {"burstable": Limits(), "besteffort": Limits()}
