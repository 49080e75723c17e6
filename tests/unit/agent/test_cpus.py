"""Processors that containers have for themselves: which ones, and who is refused."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.agent.admission import resize_bar
from mizzen.agent.config import AgentConfig
from mizzen.agent.cpus import checkpoint, shell
from mizzen.agent.cpus.assignment import FULL_CORES, STRICT, Assignments, CpusRefused, Machine, assign, shared, take
from mizzen.agent.cpus.shell import machine_of
from mizzen.agent.cpus.topology import Cpu, Topology, parse, read, shown
from mizzen.agent.equipment import Equipment
from mizzen.agent.resources import Size
from mizzen.agent.runtime import criconfig, oci_config
from mizzen.agent.runtime.base import ContainerSpec, Limits, SandboxSpec
from mizzen.agent.runtime.cgroups import Cgroups
from mizzen.api.views.meta import ObjectMeta
from mizzen.api.views.podspec import Container, Pod, PodSpec, Resources

HYPERTHREADED = Topology(tuple(Cpu(cpu, cpu % 8, cpu % 8 // 4, cpu % 8 // 4) for cpu in range(16)))
"""Two sockets of four cores of two threads: the siblings are 0 and 8, 1 and 9, …; the first socket is 0-3 and 8-11."""
PLAIN = Topology(tuple(Cpu(cpu, cpu) for cpu in range(4)))


def asking(cpu: str, name: str = "c", **more: Any) -> Container:
    return Container(name=name, image="i", resources=Resources(limits={"cpu": cpu, "memory": "1Gi"}), **more)


def pod(uid: str, *containers: Container, **spec: Any) -> Pod:
    return Pod(metadata=ObjectMeta(uid=uid), spec=PodSpec(containers=containers, **spec))


def test_sets_are_written_as_the_kernel_writes_them() -> None:
    assert parse("0-2,5\n") == {0, 1, 2, 5} and parse("") == frozenset()
    assert shown({5, 1, 0, 2}) == "0-2,5" and shown(()) == ""


@given(st.frozensets(st.integers(0, 300)))
def test_a_set_that_was_written_reads_the_same(cpus: frozenset[int]) -> None:
    assert parse(shown(cpus)) == cpus


def test_the_topology_is_the_kernels(tmp_path: Path) -> None:
    for cpu in range(4):
        at = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        at.mkdir(parents=True)
        (at / "physical_package_id").write_text(f"{cpu % 2}\n")
        (at / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    node = tmp_path / "devices/system/node/node1"
    node.mkdir(parents=True)
    (node / "cpulist").write_text("1,3\n")
    seen = read(tmp_path, {0, 1, 3})
    assert seen == Topology((Cpu(0, 0), Cpu(1, 1, 1, 1), Cpu(3, 1, 1, 1)))
    assert Topology((Cpu(0, 0), Cpu(1, 1), Cpu(2, 0), Cpu(3, 1))).threads == 2 and PLAIN.threads == 1


@pytest.mark.parametrize(
    ("free", "count", "chosen"),
    [
        ("0-15", 1, "0"),
        ("0-15", 2, "0,8"),
        ("0-15", 8, "0-3,8-11"),
        ("0-15", 10, "0-4,8-12"),
        ("1-15", 1, "8"),
        ("1-15", 2, "1,9"),
        ("1-15", 8, "4-7,12-15"),
        ("2-7,10-15", 2, "2,10"),
        ("0,3-5,8,11", 3, "0,3,8"),
        ("1,4", 2, "1,4"),
    ],
)
def test_what_is_left_over_stays_as_whole_as_it_can_be(free: str, count: int, chosen: str) -> None:
    assert shown(take(HYPERTHREADED, parse(free), count)) == chosen


@given(st.frozensets(st.integers(0, 15)), st.integers(0, 16))
def test_as_many_as_are_asked_for_are_taken_of_those_that_are_free(free: frozenset[int], count: int) -> None:
    if count > len(free):
        with pytest.raises(CpusRefused):
            take(HYPERTHREADED, free, count)
    else:
        chosen = take(HYPERTHREADED, free, count)
        assert len(chosen) == count and chosen <= free


def test_guaranteed_pods_have_whole_processors_for_themselves_and_all_others_share_the_rest() -> None:
    machine = Machine(PLAIN, frozenset({0}))
    none = Assignments()
    assert assign(pod("half", asking("500m")), none, machine) == none
    burstable = Container(name="c", resources=Resources(requests={"cpu": "1"}))
    assert assign(pod("burstable", burstable), none, machine) == none
    whole = Resources(limits={"cpu": "2", "memory": "2Gi"})
    mixed = assign(pod("mixed", asking("1", "a"), Container(name="b"), resources=whole), none, machine)
    assert mixed.entries == {"mixed": {"a": frozenset({1})}}, "of a pod that is guaranteed as a whole"
    given = assign(pod("u", asking("2", "a"), asking("1500m", "b")), none, machine)
    assert given.entries == {"u": {"a": frozenset({1, 2})}} and shared(given, machine) == {0, 3}
    assert shared(given, Machine(PLAIN, frozenset({0}), frozenset({STRICT}))) == {3}
    assert shared(given.without({"u"}), machine) == {0, 1, 2, 3}


def test_containers_have_what_their_init_containers_had() -> None:
    machine = Machine(PLAIN, frozenset({0}))
    sidecar = asking("1", "side", restartPolicy="Always")
    given = assign(pod("u", asking("1"), initContainers=(asking("1", "init"), sidecar)), Assignments(), machine)
    assert given.entries["u"] == {"init": frozenset({1}), "side": frozenset({1}), "c": frozenset({2})}


def test_a_pod_that_asks_for_more_than_is_free_is_refused() -> None:
    machine = Machine(PLAIN, frozenset({0}))
    before = assign(pod("u", asking("2")), Assignments(), machine)
    with pytest.raises(CpusRefused, match=r"not enough cpus .*: requested=2, available=1,") as short:
        assign(pod("v", asking("2")), before, machine)
    assert short.value.reason == "UnexpectedAdmissionError"


def test_whole_cores_are_given_or_nothing_where_that_is_asked_for() -> None:
    machine = Machine(HYPERTHREADED, frozenset({0, 8}), frozenset({FULL_CORES}))
    with pytest.raises(CpusRefused, match="requested 3 cpus not multiple cpus per core = 2") as odd:
        assign(pod("u", asking("3")), Assignments(), machine)
    assert odd.value.reason == "SMTAlignmentError"
    split = Machine(HYPERTHREADED, frozenset({0, *range(1, 8)}), frozenset({FULL_CORES}))
    with pytest.raises(CpusRefused, match="available physical CPUs = 0, requested CPUs = 2, CPUs per core = 2"):
        assign(pod("u", asking("2")), Assignments(), split)
    assert assign(pod("u", asking("2")), Assignments(), machine).entries == {"u": {"c": frozenset({1, 9})}}


def test_processors_lie_in_few_memory_nodes_as_far_as_the_policy_insists() -> None:
    def homes(alignment: str, free: str, *counts: str, scope: str = "container") -> list[str]:
        machine = Machine(HYPERTHREADED, HYPERTHREADED.ids - parse(free), frozenset(), alignment, scope)
        containers = (asking(count, f"c{number}") for number, count in enumerate(counts))
        given = assign(pod("u", *containers), Assignments(), machine)
        return [shown(cpus) for cpus in given.entries["u"].values()]

    split = "0-2,4-6,8-10"  # six of the first socket, three of the second
    assert homes("none", split, "5", "3") == ["0-2,8-9", "4-5,10"]
    assert homes("single-numa-node", split, "5", "3") == ["0-2,8-9", "4-6"]
    assert homes("best-effort", split, "8") == ["0-2,4-5,8-10"]
    for alignment, count in (("single-numa-node", "8"), ("restricted", "8"), ("single-numa-node", "9")):
        with pytest.raises(CpusRefused, match="cannot be allocated with Topology locality") as refused:
            homes(alignment, split, count)
        assert refused.value.reason == "TopologyAffinityError"
    assert homes("restricted", split, "9") == [split], "no node of the machine could hold so many"
    assert homes("restricted", split, "3", "3", scope="pod") == ["0-1,8", "2,9-10"]
    with pytest.raises(CpusRefused):
        homes("restricted", split, "5", "3", scope="pod")


def config(**fields: Any) -> AgentConfig:
    return AgentConfig("n", Path("/r"), Path("/i"), (), static_cpus=True, **fields)


def test_what_is_reserved_is_what_was_named_or_else_the_first_processors() -> None:
    assert machine_of(config(reserved_cpus="3", reserved={"cpu": "1"}), PLAIN).reserved == {3}
    assert machine_of(config(reserved={"cpu": "1100m"}), HYPERTHREADED).reserved == {0, 8}
    with pytest.raises(ValueError, match="needs CPUs that are reserved"):
        machine_of(config(), PLAIN)


def test_assignments_outlive_the_agent_but_not_another_policy_or_machine(tmp_path: Path) -> None:
    machine = Machine(PLAIN, frozenset({0}))
    assert checkpoint.read(tmp_path, "static", machine) == Assignments()
    given = assign(pod("u", asking("2")), Assignments(), machine)
    checkpoint.write(tmp_path, "static", given, machine)
    assert checkpoint.read(tmp_path, "static", machine) == given
    written = (tmp_path / "cpu_manager_state").read_text()
    assert written == '{"policyName":"static","defaultCpuSet":"0,3","entries":{"u":{"c":"1-2"}}}'
    with pytest.raises(ValueError, match="none follows static"):
        checkpoint.read(tmp_path, "none", machine)
    with pytest.raises(ValueError, match="are not those of before"):
        checkpoint.read(tmp_path, "static", Machine(HYPERTHREADED, frozenset({0})))
    (tmp_path / "cpu_manager_state").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint.read(tmp_path, "static", machine)


def test_a_node_gives_its_processors_once_and_takes_them_back_from_pods_that_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "read", lambda *_: PLAIN)
    node = replace(config(reserved={"cpu": "1"}), root=tmp_path)
    ended: list[str] = []
    told: list[int] = []
    cpus = shell.Cpus(node, lambda: ended, lambda: told.append(1))
    assert cpus.admit(pod("half", asking("500m"))) is None and not cpus.holders()
    assert cpus.admit(pod("u", asking("2"))) is None
    assert (cpus.given("u", asking("2")), cpus.given("half", asking("500m"))) == ("1-2", "0,3")
    refused = cpus.admit(pod("v", asking("2")))
    assert refused is not None and refused[1].startswith("Pod was rejected: Allocate failed due to not enough cpus")
    assert shell.Cpus(node, tuple, lambda: None).own("u", "c") == {1, 2}, "after a restart"
    ended.append("u")
    assert cpus.admit(pod("v", asking("2"))) is None and cpus.holders() == {"v"}
    cpus.release("v")
    assert (cpus.given("half", asking("500m")), len(told)) == ("0-3", 2)
    (tmp_path / "kubelet" / ".cpu_manager_state.tmp").mkdir()
    failed = cpus.admit(pod("w", asking("1")))
    assert failed is not None and failed[0] == "UnexpectedAdmissionError" and not cpus.holders()


def test_processors_of_its_own_or_the_nodes_settings_bound_a_container_without_a_quota() -> None:
    def quotas(own: frozenset[int], quotas: bool) -> tuple[int, int]:
        cpus = SimpleNamespace(own=lambda *_: own, given=lambda *_: shown(own))
        node: Any = SimpleNamespace(
            config=config(quotas=quotas), resources=SimpleNamespace(size=Size()), devices=SimpleNamespace(cpus=cpus)
        )
        one = pod("u", asking("1"))
        return (
            Equipment.container_limits(node, one, one.spec.containers[0]).cpu_quota,
            Equipment.pod_limits(node, one).cpu_quota,
        )

    assert quotas(frozenset(), quotas=True) == (100_000, 100_000)
    assert quotas(frozenset({1}), quotas=True) == quotas(frozenset(), quotas=False) == (0, 0)


def test_guaranteed_pods_are_not_resized_where_processors_are_given() -> None:
    refused = "Resize is infeasible for Guaranteed Pods alongside CPU Manager static policy"
    assert resize_bar(pod("u", asking("2")), {}, Size(), "static") == ("Infeasible", refused)
    assert resize_bar(pod("u", asking("2")), {}, Size(), "none") == ("", "")


def test_every_runtime_and_both_versions_of_groups_are_told_the_processors(tmp_path: Path) -> None:
    limits = Limits(cpus="1-2")
    assert criconfig.resources(limits)["cpuset_cpus"] == "1-2"
    spec = ContainerSpec("u", "ns", "p", "c", 0, "i", "sha256:1", "/log", limits=limits)
    place = oci_config.Place("/g", {}, "", -1000, {}, frozenset(), {})
    made = oci_config.config(spec, SandboxSpec("u", "ns", "p"), {}, user=oci_config.User(), place=place)
    assert made["linux"]["resources"]["cpu"]["cpus"] == "1-2"
    (tmp_path / "new").mkdir()
    Cgroups({"": tmp_path / "new"}, "/", unified=True).make("/g", limits)
    assert (tmp_path / "new/g/cpuset.cpus").read_text() == "1-2"
    mounts = {name: tmp_path / name for name in ("cpu", "cpuset", "memory", "pids")}
    for mount in mounts.values():
        mount.mkdir()
    Cgroups(mounts, "/", unified=False).make("/g", limits)
    assert (tmp_path / "cpuset/g/cpuset.cpus").read_text() == "1-2"
