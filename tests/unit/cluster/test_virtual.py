"""A cluster whose time is the test's, and the load that its nodes report."""

from pathlib import Path

import msgspec

from mizzen.api.core.node import NODE
from mizzen.api.views.core import Pod
from mizzen.cluster.stages import Stage
from mizzen.cluster.usage import Meter
from mizzen.cluster.virtual import Shape, VirtualCluster
from mizzen.machinery import times


def test_time_passes_only_when_told_and_everything_due_is_done_by_then(tmp_path: Path) -> None:
    with VirtualCluster(Shape(tmp_path, nodes=2)) as cluster:
        began = cluster.now
        cluster.advance(0)
        assert cluster.now == began
        cluster.advance(3600)
        assert cluster.now == began + 3600
        assert cluster.until(lambda: cluster.now >= began + 3700, within=200, step=30) == 120


def test_a_node_that_falls_silent_is_unknown_and_tainted_until_it_is_back(tmp_path: Path) -> None:
    with VirtualCluster(Shape(tmp_path, nodes=2)) as cluster:

        def state() -> tuple[str, set[str]]:
            node = cluster.plane.server.reader.get(NODE, "", "node-1")
            assert node is not None
            ready = next(one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready")
            return ready, {one["effect"] for one in node["spec"].get("taints") or ()}

        assert state() == ("True", set())
        cluster.lose("node-1", 120)
        assert 30 <= cluster.until(lambda: state() == ("Unknown", {"NoSchedule", "NoExecute"}), within=80) <= 70
        cluster.until(lambda: state() == ("True", set()), within=120)


def test_a_node_adds_up_what_its_pods_use_between_two_readings() -> None:
    meter = Meter((Stage(cpu="250m", memory="1Mi"),))
    body = {
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "startTime": times.format(100)},
    }
    pod = msgspec.convert(body, Pod)
    assert "node_cpu_usage_seconds_total 0.000000" in meter.read([pod], 100)
    text = meter.read([pod], 120)
    assert "node_cpu_usage_seconds_total 5.000000" in text
    assert 'container_cpu_usage_seconds_total{container="c",namespace="d",pod="p"} 5.000000' in text
    assert "node_memory_working_set_bytes 1048576" in text
    assert "node_cpu_usage_seconds_total 5.000000" in meter.read([], 140)
