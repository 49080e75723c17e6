from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from tests.node.network.conftest import GATEWAY, PODS, World, get
from tests.node.network.test_services import ask_udp

from mizzen.agent.network import nodes
from mizzen.agent.network.addresses import HostPort
from mizzen.agent.network.netlink import Netlink
from mizzen.agent.network.routed import RoutedNetwork
from mizzen.net.nftables import Ruleset

SERVICES = IPv4Network("10.96.0.0/16")


def test_pods_reach_each_other_on_one_node_and_across_nodes(two_nodes: World) -> None:
    one, two = two_nodes.nodes
    a, b, c = two_nodes.add_pod(one, "a"), two_nodes.add_pod(one, "b"), two_nodes.add_pod(two, "c")
    for pod in (a, b, c):
        pod.serve_tcp(8080)
    assert a.get(b.ip, 8080) == ("b", a.ip)
    assert a.get(c.ip, 8080) == ("c", a.ip)
    assert c.get(a.ip, 8080) == ("a", c.ip)
    assert a.get(a.ip, 8080) == ("a", a.ip)
    assert a.get("127.0.0.1", 8080) == ("a", "127.0.0.1")


def test_node_and_machine_reach_every_pod(two_nodes: World) -> None:
    one, two = two_nodes.nodes
    pod = two_nodes.add_pod(two, "c")
    pod.serve_tcp(8080)
    assert get(two.netns, pod.ip, 8080) == ("c", two.ip)
    assert get(one.netns, pod.ip, 8080) == ("c", one.ip)
    assert get(two_nodes.machine, pod.ip, 8080) == ("c", str(GATEWAY.ip))


def test_attaching_again_keeps_the_address_and_a_new_pod_gets_another(two_nodes: World) -> None:
    node = two_nodes.nodes[0]
    pod = two_nodes.add_pod(node, "a")
    assert two_nodes.attach(node, pod) == pod.ip
    two_nodes.detach(node, pod)
    two_nodes.detach(node, pod)
    replacement = two_nodes.add_pod(node, "a2")
    assert replacement.ip != pod.ip
    with Netlink(node.netns) as net:
        assert sum(link.name.startswith("pod") for link in net.links()) == 1


class Killed(BaseException):
    """The end of the agent, which tidies nothing."""


def test_a_pod_whose_agent_was_killed_while_it_was_attached_is_reached_after_the_next_attempt(
    two_nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = two_nodes.nodes
    client = two_nodes.add_pod(two, "b")
    real, left = Netlink._ask, 0

    def mortal(*arguments: Any) -> list[bytes]:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real(*arguments)

    left = requests = 1000
    with monkeypatch.context() as patched:
        patched.setattr(Netlink, "_ask", mortal)
        two_nodes.add_pod(one, "whole")
    for step in range(requests - left):
        pod, left = two_nodes.namespace(f"a{step}"), step
        with monkeypatch.context() as patched:
            patched.setattr(Netlink, "_ask", mortal)
            with pytest.raises(Killed):
                two_nodes.attach(one, pod)
        pod.ip = two_nodes.attach(one, pod)
        pod.serve_tcp(8080)
        assert client.get(pod.ip, 8080) == (pod.name, client.ip)


def test_a_pod_that_is_gone_is_unreachable_at_once(two_nodes: World) -> None:
    one, two = two_nodes.nodes
    gone, client = two_nodes.add_pod(one, "a"), two_nodes.add_pod(two, "b")
    two_nodes.detach(one, gone)
    for netns in (client.netns, one.netns, two_nodes.machine):
        with pytest.raises(OSError, match="No route to host"):
            get(netns, gone.ip, 80)


def test_addresses_survive_a_restart_of_the_agent(two_nodes: World) -> None:
    node = two_nodes.nodes[0]
    pod = two_nodes.add_pod(node, "a")
    state = two_nodes.scratch / node.name
    node.network = node.run(lambda: RoutedNetwork(state, node.pod_cidr, IPv4Address(node.ip)))
    assert two_nodes.attach(node, pod) == pod.ip
    assert two_nodes.add_pod(node, "b").ip != pod.ip


def test_host_ports_that_somebody_flushes_come_back_with_the_next_and_pods_can_go(two_nodes: World) -> None:
    node = two_nodes.nodes[0]
    pod = two_nodes.add_pod(node, "web", host_ports=(HostPort(8088, 80),))
    pod.serve_tcp(80)
    node.run(lambda: _flushed(Ruleset()))
    other = two_nodes.add_pod(node, "other", host_ports=(HostPort(8089, 80),))
    other.serve_tcp(80)
    assert [get(two_nodes.machine, node.ip, port)[0] for port in (8088, 8089)] == ["web", "other"]
    node.run(lambda: _flushed(Ruleset()))
    two_nodes.detach(node, other)
    assert get(two_nodes.machine, node.ip, 8088)[0] == "web"


def _flushed(ruleset: Ruleset) -> None:
    ruleset.apply("flush ruleset")
    ruleset.close()


def test_a_host_port_leads_to_the_pod_from_outside_from_the_node_and_from_the_pod_itself(two_nodes: World) -> None:
    node, other = two_nodes.nodes
    pod = two_nodes.add_pod(node, "web", host_ports=(HostPort(8088, 80),))
    pod.serve_tcp(80)
    assert get(two_nodes.machine, node.ip, 8088) == ("web", str(GATEWAY.ip))
    assert get(other.netns, node.ip, 8088) == ("web", other.ip)
    assert get(node.netns, node.ip, 8088)[0] == "web"
    assert pod.get(node.ip, 8088)[0] == "web"
    two_nodes.detach(node, pod)
    try:
        get(two_nodes.machine, node.ip, 8088)
    except ConnectionRefusedError:
        return
    raise AssertionError("the host port still answers")


def test_a_udp_client_of_a_host_port_comes_to_the_pod_that_has_it_now(two_nodes: World) -> None:
    node, _ = two_nodes.nodes
    first = two_nodes.add_pod(node, "first", host_ports=(HostPort(8089, 53, "UDP"),))
    first.serve_udp(53)
    assert ask_udp(two_nodes.machine, node.ip, 8089, 5555) == "first"
    two_nodes.detach(node, first)
    second = two_nodes.add_pod(node, "second", host_ports=(HostPort(8089, 53, "UDP"),))
    second.serve_udp(53)
    assert ask_udp(two_nodes.machine, node.ip, 8089, 5555) == "second"


def test_pods_reach_the_outside_behind_the_machines_address(two_nodes: World) -> None:
    outside = two_nodes.namespace("outside")
    with Netlink(two_nodes.machine) as net, Netlink(outside.netns) as far:
        with outside.netns.open() as fd:
            net.add_veth("wan", "eth0", fd.fileno())
        net.add_address(net.need("wan").index, IPv4Interface("192.0.2.1/24"))
        far.add_address(far.need("eth0").index, IPv4Interface("192.0.2.2/24"))
        far.set_up(far.need("eth0").index)
    outside.serve_tcp(80)
    two_nodes.on_machine(lambda: nodes.connect_outside(two_nodes.cluster, (PODS, GATEWAY.network), (SERVICES,)))
    node, other = two_nodes.nodes
    pod, peer = two_nodes.add_pod(node, "a"), two_nodes.add_pod(other, "b")
    peer.serve_tcp(80)
    assert pod.get("192.0.2.2", 80) == ("outside", "192.0.2.1")
    assert get(node.netns, "192.0.2.2", 80) == ("outside", "192.0.2.1")
    assert pod.get(peer.ip, 80) == ("b", pod.ip)


def test_a_virtual_address_that_nobody_serves_is_refused_and_does_not_leave_the_machine(two_nodes: World) -> None:
    outside = two_nodes.namespace("outside")
    with Netlink(two_nodes.machine) as net, Netlink(outside.netns) as far:
        with outside.netns.open() as fd:
            net.add_veth("wan", "eth0", fd.fileno())
        net.set_route(SERVICES, index=net.need("wan").index)
        far.add_address(far.need("eth0").index, IPv4Interface("10.96.0.99/16"))
        far.set_up(far.need("eth0").index)
    outside.serve_tcp(80)
    two_nodes.on_machine(lambda: nodes.connect_outside(two_nodes.cluster, (PODS, GATEWAY.network), (SERVICES,)))
    pod = two_nodes.add_pod(two_nodes.nodes[0], "a")
    with pytest.raises(ConnectionRefusedError):
        pod.get("10.96.0.99", 80)


def test_creating_everything_twice_changes_nothing(two_nodes: World) -> None:
    two_nodes.on_machine(lambda: nodes.create_bridge(two_nodes.cluster, GATEWAY))
    two_nodes.nodes.clear()
    first = two_nodes.add_node(1)
    two_nodes.add_node(2)
    pod = two_nodes.add_pod(first, "a")
    pod.serve_tcp(80)
    assert get(two_nodes.machine, pod.ip, 80)[0] == "a"


def test_two_clusters_do_not_disturb_each_other(two_nodes: World) -> None:
    shorter = two_nodes.cluster[:-2]
    assert two_nodes.cluster.startswith(f"{shorter}-")
    two_nodes.on_machine(lambda: nodes.create_bridge(shorter, IPv4Interface("172.31.8.1/24")))
    two_nodes.on_machine(lambda: nodes.connect_outside(shorter, (IPv4Network("10.88.0.0/16"),)))
    two_nodes.on_machine(lambda: nodes.delete_cluster(shorter))
    assert all(node.netns.exists() for node in two_nodes.nodes)
    pod = two_nodes.add_pod(two_nodes.nodes[0], "a")
    pod.serve_tcp(80)
    assert get(two_nodes.machine, pod.ip, 80)[0] == "a"
    assert two_nodes.on_machine(lambda: Ruleset().tables()) == ()
