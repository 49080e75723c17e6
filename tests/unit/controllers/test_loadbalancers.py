"""Ports of the nodes' own addresses are given to one Service each; a pool gives each Service an address."""

from typing import Any

import msgspec

from mizzen.api.views.core import Node, Service
from mizzen.controllers.config import Config
from mizzen.controllers.loadbalancers import Snapshot, reconcile
from mizzen.reconcile.plan import Patch

NODE = msgspec.convert(
    {
        "metadata": {"name": "n1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    },
    Node,
)
GIVEN = [{"ip": "192.0.2.1", "ipMode": "VIP"}]


def service(name: str, *ports: tuple[str, int], age: int = 0, has: bool = False, **meta: Any) -> Service:
    body = {
        "metadata": {"name": name, "namespace": "d", "creationTimestamp": f"2026-01-01T00:00:{59 - age:02}Z", **meta},
        "spec": {"type": "LoadBalancer", "ports": [{"protocol": kind, "port": port} for kind, port in ports]},
        "status": {"loadBalancer": {"ingress": GIVEN if has else []}},
    }
    return msgspec.convert(body, Service)


def given(*services: Service, pool: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[str]]:
    """(what each Service that is written gets, the warnings)."""
    plan = reconcile(Config(load_balancer_pool=pool), Snapshot(services, (NODE,)), 0.0)
    writes = [one for one in plan.actions if isinstance(one, Patch) and isinstance(one.patch, dict)]
    return {one.name: one.patch["status"]["loadBalancer"]["ingress"] for one in writes}, [
        note.message for note in plan.notes
    ]


def test_the_older_of_two_services_with_one_port_gets_the_nodes() -> None:
    web, http = ("TCP", 80), ("TCP", 443)
    assert given(service("a", web), service("b", web, http, age=10)) == (
        {"b": GIVEN},
        ["Error syncing load balancer: failed to ensure load balancer: d/b has one of its ports on all nodes"],
    )


def test_who_has_a_port_keeps_it_until_it_is_gone() -> None:
    web = ("TCP", 80)
    rivals = service("a", web, age=10), service("b", web, has=True)
    assert given(*rivals)[0] == {}
    leaving = service("b", web, has=True, deletionTimestamp="2026-01-01T00:01:00Z")
    assert given(rivals[0], leaving)[0] == {}
    assert given(rivals[0])[0] == {"a": GIVEN}


def test_two_that_share_a_port_from_before_are_told_apart() -> None:
    web = ("TCP", 80)
    assert given(service("a", web, has=True), service("b", web, age=1, has=True))[0] == {"a": None}


def test_other_ports_protocols_and_a_pool_let_all_have_an_address() -> None:
    assert given(service("a", ("TCP", 53)), service("b", ("UDP", 53)), service("c", ("TCP", 54))) == (
        {"a": GIVEN, "b": GIVEN, "c": GIVEN},
        [],
    )
    web = ("TCP", 80)
    addresses = given(service("a", web), service("b", web), pool=("192.0.2.8", "192.0.2.9"))[0]
    assert [one[0]["ip"] for one in addresses.values()] == ["192.0.2.8", "192.0.2.9"]
