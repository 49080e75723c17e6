"""What a node tells Prometheus, and how fast it says that CPU time is used."""

from dataclasses import replace

import msgspec

from mizzen.agent import exposition, measures, revival
from mizzen.agent.diskusage import PodDisk
from mizzen.agent.life import (
    Life,
    MountVolumes,
    OpenSandbox,
    SandboxOpened,
    SetupFailed,
    Start,
    Started,
    StartFailed,
    VolumesMounted,
)
from mizzen.agent.machineinfo import Pressure
from mizzen.agent.measures import Measures
from mizzen.agent.network import counters
from mizzen.agent.network.routed import link_name
from mizzen.agent.runtime.base import Share, Stall, Transfers, Usage, Used
from mizzen.agent.stats import Machine, Rates, Readings, only_cpu_and_memory, summary
from mizzen.api.views.podspec import Container, EmptyDir, Pod, PodMeta, PodSpec, Resources, Volume

MACHINE = Machine(Pressure(1, 2, 3, 4, 5, 6, 7), Usage(cpu_seconds=10.0), 0.0, memory=1 << 30)


def a_life() -> Life:
    asked = Resources(limits={"cpu": "500m", "memory": "1Mi"})
    spec = PodSpec(containers=(Container(name="c", image='i"1', resources=asked),))
    life = revival.begin(Pod(metadata=PodMeta(name="p", namespace="ns", uid="u"), spec=spec), 0.0)
    one = replace(life.containers["c"], phase="running", id="x", image='i"1', started_at=5.0)
    return replace(life, containers={"c": one}, sandbox="open")


USAGE = {"x": Usage(cpu_seconds=1.5, memory_bytes=10, working_set_bytes=7, rss_bytes=5, pids=2), "pod/u": Usage()}


def test_containers_are_shown_as_cadvisor_names_them() -> None:
    text = exposition.container_metrics([a_life()], Readings(USAGE, MACHINE), 4, 99.0)
    labels = r'{container="c",cpu="total",id="/kubepods/podu/x",image="i\"1",name="x",namespace="ns",pod="p"}'
    bare = labels.replace('cpu="total",', "")
    lines = text.splitlines()
    assert f"container_cpu_usage_seconds_total{labels} 1.5" in lines
    assert f"container_memory_working_set_bytes{bare} 7" in lines
    assert f"container_spec_cpu_quota{bare} 50000" in lines
    assert f"container_spec_memory_limit_bytes{bare} {1 << 20}" in lines
    assert 'container_cpu_usage_seconds_total{cpu="total",id="/"} 10' in lines
    assert "machine_cpu_cores 4" in lines and f"machine_memory_bytes {1 << 30}" in lines


def test_the_agent_counts_its_pods_and_what_it_takes_itself() -> None:
    process = Usage(cpu_seconds=2.0, rss_bytes=9, started_at=1.0)
    lines = exposition.agent_metrics([a_life()], "n", "v1.37.0", process).splitlines()
    wanted = ["kubelet_running_pods 1", 'kubelet_running_containers{container_state="running"} 1']
    wanted += ['kubelet_node_name{node="n"} 1', "process_resident_memory_bytes 9", "process_cpu_seconds_total 2"]
    wanted += ['kubernetes_build_info{git_version="v1.37.0",major="1",minor="37"} 1']
    assert set(wanted) <= set(lines)


BUSY = Usage(
    cpu_user_seconds=1.0, periods=4, throttled_periods=3, throttled_seconds=0.25, cache_bytes=8, swap_bytes=2,
    oom_kills=1, transfers={"/dev/vda": Transfers(1, 2, 30, 40)},
    stalls={"cpu": Stall(Share(0.5, 1.0, 2.0, 3.0), Share(0.25))},
)  # fmt: skip


def test_what_dashboards_ask_of_a_busy_container_is_there() -> None:
    lines = exposition.container_metrics([a_life()], Readings({"x": BUSY}, MACHINE), 4, 99.0).splitlines()
    bare = r'{container="c",id="/kubepods/podu/x",image="i\"1",name="x",namespace="ns",pod="p"}'
    device = bare.replace('container="c",', 'container="c",device="/dev/vda",')
    for name, value in {
        "cpu_cfs_periods_total": "4", "cpu_cfs_throttled_periods_total": "3", "cpu_cfs_throttled_seconds_total": "0.25",
        "cpu_user_seconds_total": "1", "memory_cache": "8", "memory_swap": "2", "oom_events_total": "1",
        "last_seen": "99", "pressure_cpu_waiting_seconds_total": "0.5", "pressure_cpu_stalled_seconds_total": "0.25",
    }.items():  # fmt: skip
        assert f"container_{name}{bare} {value}" in lines
    passed = {"reads_total": 1, "writes_total": 2, "reads_bytes_total": 30, "writes_bytes_total": 40}
    assert {f"container_fs_{name}{device} {value}" for name, value in passed.items()} <= set(lines)


def test_the_summary_says_how_long_tasks_had_to_wait() -> None:
    body = summary("n", [a_life()], Readings({"x": BUSY}, MACHINE), Rates(), 100.0)
    (container,) = body["pods"][0]["containers"]
    some = {"total": 500_000_000, "avg10": 1.0, "avg60": 2.0, "avg300": 3.0}
    full = {"total": 250_000_000, "avg10": 0.0, "avg60": 0.0, "avg300": 0.0}
    assert container["cpu"]["psi"] == {"full": full, "some": some}
    assert "psi" not in container["memory"] and "io" not in container and "psi" not in body["node"]["cpu"]


def test_volumes_of_claims_say_how_full_they_are_once() -> None:
    one = {"name": "d", "pvcRef": {"name": "data", "namespace": "ns"}, "capacityBytes": 10, "inodesFree": 3}
    lines = exposition.volume_metrics([one, {**one, "name": "again"}]).splitlines()
    labels = '{namespace="ns",persistentvolumeclaim="data"}'
    assert [line for line in lines if line[0] != "#"] == [
        f"kubelet_volume_stats_capacity_bytes{labels} 10", f"kubelet_volume_stats_inodes_free{labels} 3",
    ]  # fmt: skip


def test_the_agent_counts_what_it_does() -> None:
    life = a_life()
    (container,) = life.pod.spec.containers
    seen = Measures()
    seen.carried_out(life, OpenSandbox(), SandboxOpened("s", ()), 0.02)
    seen.carried_out(life, OpenSandbox(), SetupFailed("sandbox", "FailedCreatePodSandBox", "no"), 0.02)
    seen.carried_out(life, MountVolumes(), VolumesMounted(), 0.02)
    seen.carried_out(life, Start(container, 0, "i"), Started("c", 0, "x", 5.0), 0.02)
    seen.carried_out(life, Start(container, 1, "i"), StartFailed("c", 1, "CreateContainerError", "no"), 0.02)
    seen.pod_ran(1.5)
    seen.evicted("memory.available")
    wanted = [
        'kubelet_runtime_operations_total{operation_type="run_podsandbox"} 2',
        'kubelet_runtime_operations_errors_total{operation_type="run_podsandbox"} 1',
        'kubelet_runtime_operations_duration_seconds_count{operation_type="start_container"} 2',
        'storage_operation_duration_seconds_count{migrated="false",operation_name="volume_mount",status="success"} 1',
        'kubelet_pod_start_duration_seconds_bucket{le="2.0"} 1', 'kubelet_started_pods_total 1',
        'kubelet_started_pods_errors_total 1', 'kubelet_started_containers_total{container_type="container"} 1',
        'kubelet_started_containers_errors_total{code="CreateContainerError",container_type="container"} 1',
        'kubelet_evictions{eviction_signal="memory.available"} 1',
    ]  # fmt: skip
    assert set(wanted) <= set(seen.lines())


def test_volumes_are_counted_by_kind() -> None:
    life = a_life()
    with_volume = msgspec.structs.replace(life.pod.spec, volumes=(Volume(name="d", emptyDir=EmptyDir()),))
    life = replace(life, pod=msgspec.structs.replace(life.pod, spec=with_volume), volumes="mounted")
    labels = 'plugin_name="kubernetes.io/empty-dir",state='
    assert [line for line in measures.volumes([life, a_life()]) if line[0] != "#"] == [
        f'volume_manager_total_volumes{{{labels}"actual_state_of_world"}} 1',
        f'volume_manager_total_volumes{{{labels}"desired_state_of_world"}} 1',
    ]


def test_probes_are_counted_by_result() -> None:
    text = exposition.probe_metrics([a_life()], {(("u", "c", "liveness"), "failed"): 3, (("gone", "c", "x"), "y"): 1})
    labels = 'container="c",namespace="ns",pod="p",pod_uid="u",probe_type="Liveness",result="failed"'
    assert text.splitlines()[2:] == [f"prober_probe_total{{{labels}}} 3"]


def test_the_speed_of_cpu_use_is_known_from_the_second_look_on() -> None:
    rates = Rates()
    first = summary("n", [a_life()], Readings(USAGE, MACHINE), rates, 100.0)
    assert "usageNanoCores" not in first["pods"][0]["containers"][0]["cpu"]
    later = {**USAGE, "x": replace(USAGE["x"], cpu_seconds=2.5)}
    again = summary("n", [a_life()], Readings(later, MACHINE), rates, 102.0)
    assert again["pods"][0]["containers"][0]["cpu"]["usageNanoCores"] == 500_000_000
    assert again["node"]["cpu"]["usageNanoCores"] == 0
    soon = summary("n", [a_life()], Readings(later, MACHINE), rates, 102.5)
    assert soon["pods"][0]["containers"][0]["cpu"]["usageNanoCores"] == 500_000_000


TABLE = f"""Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier ...
    lo:   50  5 0 0 0 0 0 0   50  5 0 0 0 0 0 0
  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0
{link_name("u")}:  300  3 0 5 0 0 0 0  400  4 6 0 0 0 0 0
"""
WIRED = replace(MACHINE, interfaces=counters.parse(TABLE), images={"usedBytes": 11}, swap=(100, 30))


def test_a_pod_receives_what_the_nodes_end_of_its_link_sends() -> None:
    body = summary("n", [a_life()], Readings(USAGE, WIRED), Rates(), 100.0)
    (pod,) = body["pods"]
    shown = {"name": "eth0", "rxBytes": 400, "rxErrors": 6, "txBytes": 300, "txErrors": 0}
    assert pod["network"] == {"time": "1970-01-01T00:01:40Z", **shown, "interfaces": [shown]}
    assert [one["name"] for one in body["node"]["network"]["interfaces"]] == ["eth0"]
    lines = exposition.container_metrics([a_life()], Readings(USAGE, WIRED), 4, 99.0).splitlines()
    labels = '{id="/kubepods/podu",interface="eth0",namespace="ns",pod="p"}'
    assert f"container_network_receive_bytes_total{labels} 400" in lines
    assert f"container_network_transmit_packets_dropped_total{labels} 5" in lines
    assert 'container_network_transmit_bytes_total{id="/",interface="eth0"} 2000' in lines


def test_the_summary_says_how_much_memory_is_left_where_there_is_a_limit() -> None:
    (pod,) = summary("n", [a_life()], Readings(USAGE, MACHINE), Rates(), 100.0)["pods"]
    assert pod["containers"][0]["memory"]["availableBytes"] == (1 << 20) - 7
    assert pod["memory"]["availableBytes"] == 1 << 20
    life = a_life()
    free = PodSpec(containers=(Container(name="c", image="i"),))
    life = replace(life, pod=Pod(metadata=life.pod.metadata, spec=free))
    (pod,) = summary("n", [life], Readings(USAGE, MACHINE), Rates(), 100.0)["pods"]
    assert "availableBytes" not in pod["containers"][0]["memory"] and "availableBytes" not in pod["memory"]


def test_the_summary_says_what_pods_use_of_the_disk() -> None:
    disk = PodDisk({"c": Used(100, 1)}, {"c": Used(20, 2)}, {"scratch": Used(3, 3)})
    body = summary("n", [a_life()], Readings(USAGE, WIRED, {"u": disk}), Rates(), 100.0)
    (pod,) = body["pods"]
    whole = {"time": "1970-01-01T00:01:40Z", "availableBytes": 2, "capacityBytes": 3, "inodesFree": 4, "inodes": 5}
    assert pod["ephemeral-storage"] == {**whole, "usedBytes": 123, "inodesUsed": 6}
    (container,) = pod["containers"]
    assert container["rootfs"] == {**whole, "usedBytes": 100, "inodesUsed": 1}
    assert container["logs"] == {**whole, "usedBytes": 20, "inodesUsed": 2}
    assert pod["volume"] == [{"name": "scratch", **whole, "usedBytes": 3, "inodesUsed": 3}]
    assert body["node"]["runtime"]["imageFs"]["usedBytes"] == 11
    assert body["node"]["swap"]["swapAvailableBytes"] == 70
    assert [one["name"] for one in body["node"]["systemContainers"]] == ["kubelet", "pods"]
    brief = only_cpu_and_memory(body)
    assert set(brief["pods"][0]) == {"podRef", "startTime", "cpu", "memory", "containers"}
    assert set(brief["pods"][0]["containers"][0]) == {"name", "startTime", "cpu", "memory"}
    assert "fs" not in brief["node"] and brief["node"]["memory"] == body["node"]["memory"]
