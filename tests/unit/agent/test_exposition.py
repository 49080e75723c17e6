"""What a node tells Prometheus, and how fast it says that CPU time is used."""

from dataclasses import replace

from mizzen.agent import exposition, revival
from mizzen.agent.diskusage import PodDisk, Used
from mizzen.agent.life import Life
from mizzen.agent.machineinfo import Pressure
from mizzen.agent.network import counters
from mizzen.agent.network.routed import link_name
from mizzen.agent.runtime.base import Usage
from mizzen.agent.stats import Machine, Rates, Readings, only_cpu_and_memory, summary
from mizzen.api.views.podspec import Container, Pod, PodMeta, PodSpec, Resources

MACHINE = Machine(Pressure(1, 2, 3, 4, 5, 6, 7), Usage(cpu_seconds=10.0), 0.0, memory=1 << 30)


def a_life() -> Life:
    asked = Resources(limits={"cpu": "500m", "memory": "1Mi"})
    spec = PodSpec(containers=(Container(name="c", image='i"1', resources=asked),))
    life = revival.begin(Pod(metadata=PodMeta(name="p", namespace="ns", uid="u"), spec=spec), 0.0)
    one = replace(life.containers["c"], phase="running", id="x", image='i"1', started_at=5.0)
    return replace(life, containers={"c": one}, sandbox="open")


USAGE = {"x": Usage(cpu_seconds=1.5, memory_bytes=10, working_set_bytes=7, rss_bytes=5, pids=2), "pod/u": Usage()}


def test_containers_are_shown_as_cadvisor_names_them() -> None:
    text = exposition.container_metrics([a_life()], Readings(USAGE, MACHINE), 4)
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
    lines = exposition.agent_metrics([a_life()], "n", Usage(cpu_seconds=2.0, rss_bytes=9, started_at=1.0)).splitlines()
    wanted = ["kubelet_running_pods 1", 'kubelet_running_containers{container_state="running"} 1']
    wanted += ['kubelet_node_name{node="n"} 1', "process_resident_memory_bytes 9", "process_cpu_seconds_total 2"]
    assert set(wanted) <= set(lines)


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
    lines = exposition.container_metrics([a_life()], Readings(USAGE, WIRED), 4).splitlines()
    labels = '{id="/kubepods/podu",interface="eth0",namespace="ns",pod="p"}'
    assert f"container_network_receive_bytes_total{labels} 400" in lines
    assert f"container_network_transmit_packets_dropped_total{labels} 5" in lines
    assert 'container_network_transmit_bytes_total{id="/",interface="eth0"} 2000' in lines


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
