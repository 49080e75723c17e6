from pathlib import Path

import pytest

from mizzen.api.views.core import Node, NodeSpec, Taint
from mizzen.api.views.meta import ObjectMeta
from mizzen.base.metrics import Histogram
from mizzen.proxy.conntrack import set_timeouts, stale
from mizzen.proxy.health import LATE_SECONDS, Standing, is_eligible, node_answer, proxy_answer, service_answer
from mizzen.proxy.rules import Backend, Frontend, Health, Target

DNS = Frontend("10.96.0.9", "udp", 53)
A, B = Target("10.1.0.2", 53), Target("10.1.0.3", 53)


def test_flows_to_an_endpoint_that_left_are_forgotten() -> None:
    flows = list(stale({DNS: Backend((A, B))}, {DNS: Backend((B,))}))
    assert flows == [("-p", "udp", "--orig-port-dst", "53", "--orig-dst", "10.96.0.9", "--reply-src", "10.1.0.2")]


def test_all_flows_are_forgotten_when_the_first_endpoint_comes_or_the_last_one_leaves() -> None:
    every = [("-p", "udp", "--orig-port-dst", "53", "--orig-dst", "10.96.0.9")]
    assert list(stale({DNS: Backend((A,))}, {DNS: Backend()})) == every
    assert list(stale({DNS: Backend()}, {DNS: Backend((A,))})) == every
    assert list(stale({DNS: Backend((A,))}, {})) == every


def test_new_endpoints_and_tcp_leave_flows_alone() -> None:
    assert list(stale({DNS: Backend((A,))}, {DNS: Backend((A, B))})) == []
    tcp = Frontend("10.96.0.9", "tcp", 53)
    assert list(stale({tcp: Backend((A, B))}, {tcp: Backend((B,))})) == []


def test_idle_and_half_closed_connections_are_kept_as_long_as_documented(tmp_path: Path) -> None:
    set_timeouts(tmp_path)
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert kept == {
        "nf_conntrack_tcp_timeout_established": "86400",
        "nf_conntrack_tcp_timeout_close_wait": "3600",
    }


def test_a_kernel_that_refuses_timeouts_does_not_stop_the_proxy(tmp_path: Path) -> None:
    set_timeouts(tmp_path / "missing")


def test_a_node_without_endpoints_is_unhealthy_to_load_balancers() -> None:
    assert service_answer(Health("d", "web", 2), "/").startswith(b"HTTP/1.1 200 ")
    assert service_answer(Health("d", "web", 0), "/").startswith(b"HTTP/1.1 503 ")
    assert b'"localEndpoints":2' in service_answer(Health("d", "web", 2), "/")


def _status(standing: Standing, path: str, now: float = 1000.0, *, eligible: bool = True) -> int:
    return int(node_answer(standing, path, now, eligible=eligible).split()[1])


@pytest.mark.parametrize(
    ("standing", "eligible", "healthz", "livez"),
    [
        (Standing(), True, 503, 503),
        (Standing(applied=10.0), True, 200, 200),
        (Standing(applied=10.0, waiting=1000.0 - LATE_SECONDS), True, 200, 200),
        (Standing(applied=10.0, waiting=999.0 - LATE_SECONDS), True, 503, 503),
        (Standing(applied=10.0), False, 503, 200),
    ],
)
def test_the_proxy_is_healthy_while_its_rules_are_current_and_to_load_balancers_while_the_node_stays(
    standing: Standing, eligible: bool, healthz: int, livez: int
) -> None:
    assert _status(standing, "/healthz", eligible=eligible) == healthz
    assert _status(standing, "/livez", eligible=eligible) == livez
    assert _status(standing, "/else") == 404


def test_the_health_of_the_node_tells_when_rules_were_last_current() -> None:
    current = node_answer(Standing(applied=10.0), "/healthz", 60.0, eligible=True)
    assert current.endswith(
        b'{"lastUpdated":"1970-01-01T00:01:00.000000Z","currentTime":"1970-01-01T00:01:00.000000Z","nodeEligible":true}'
    )
    late = node_answer(Standing(applied=10.0, waiting=20.0), "/livez", 100.0, eligible=True)
    assert late.endswith(b'{"lastUpdated":"1970-01-01T00:00:10.000000Z","currentTime":"1970-01-01T00:01:40.000000Z"}')


def test_a_node_that_is_being_deleted_gets_no_new_traffic() -> None:
    assert is_eligible(Node(spec=NodeSpec(taints=(Taint(key="other"),))))
    assert not is_eligible(Node(spec=NodeSpec(taints=(Taint(key="ToBeDeletedByClusterAutoscaler"),))))
    assert not is_eligible(Node(metadata=ObjectMeta(deletionTimestamp="2026-01-01T00:00:00Z")))


def test_the_proxy_tells_those_on_its_node_how_it_works() -> None:
    durations = Histogram((0.1,))
    assert proxy_answer(Standing(), durations, "/proxyMode").endswith(b"\r\n\r\nnftables")
    assert proxy_answer(Standing(), durations, "/healthz").endswith(b"\r\n\r\nok")
    assert proxy_answer(Standing(), durations, "/else").startswith(b"HTTP/1.1 404 ")
    durations.observe(0.05)
    shown = proxy_answer(Standing(applied=12.5), durations, "/metrics")
    assert b"\nkubeproxy_sync_proxy_rules_last_timestamp_seconds 12.5\n" in shown
    assert b"\nkubeproxy_sync_proxy_rules_duration_seconds_count{} 1\n" in shown
