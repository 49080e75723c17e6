from mizzen.proxy.conntrack import stale
from mizzen.proxy.health import response
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


def test_a_node_without_endpoints_is_unhealthy_to_load_balancers() -> None:
    assert response(Health("d", "web", 2)).startswith(b"HTTP/1.1 200 ")
    assert response(Health("d", "web", 0)).startswith(b"HTTP/1.1 503 ")
    assert b'"localEndpoints":2' in response(Health("d", "web", 2))
