"""EndpointSlices change as little as possible and hold exactly the backends."""

from typing import Any

import msgspec

from mizzen.api.views.core import Pod, Service
from mizzen.api.views.discovery import EndpointSlice
from mizzen.controllers import endpointslices
from mizzen.controllers.endpointslices import Snapshot
from mizzen.reconcile.plan import Create, Delete, Patch

NOW = 1_700_000_000.0


def service(**spec: Any) -> Service:
    body = {
        "metadata": {"name": "web", "namespace": "d", "uid": "s"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": 8080}],
            "ipFamilies": ["IPv4"],
            **spec,
        },
    }
    return msgspec.convert(body, Service)


def pod(number: int, *, ready: bool = True) -> Pod:
    body = {
        "metadata": {"name": f"p{number}", "namespace": "d", "uid": f"u{number}"},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Running",
            "podIP": f"10.0.{number // 250}.{number % 250}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }
    return msgspec.convert(body, Pod)


def stored(create: Create, name: str) -> EndpointSlice:
    made = msgspec.convert(create.body, EndpointSlice)
    meta = msgspec.structs.replace(made.metadata, name=name, namespace="d", uid=name)
    return msgspec.structs.replace(made, metadata=meta)


def test_a_service_without_pods_has_one_empty_slice() -> None:
    [create] = endpointslices.reconcile(Snapshot(service(), (), {}, ()), NOW).actions
    assert isinstance(create, Create)
    assert create.body["endpoints"] == []


def test_many_pods_are_spread_over_slices_of_a_hundred() -> None:
    pods = tuple(pod(n) for n in range(250))
    actions = endpointslices.reconcile(Snapshot(service(), pods, {}, ()), NOW).actions
    assert [len(one.body["endpoints"]) for one in actions if isinstance(one, Create)] == [100, 100, 50]


def test_one_changed_pod_touches_one_slice() -> None:
    pods = tuple(pod(n) for n in range(250))
    made = endpointslices.reconcile(Snapshot(service(), pods, {}, ()), NOW).actions
    slices = tuple(stored(one, f"s{n}") for n, one in enumerate(made) if isinstance(one, Create))
    assert not endpointslices.reconcile(Snapshot(service(), pods, {}, slices), NOW)
    gone = endpointslices.reconcile(Snapshot(service(), pods[1:], {}, slices), NOW).actions
    assert [type(one) for one in gone] == [Patch]
    plan = endpointslices.reconcile(Snapshot(service(), (pod(0, ready=False), *pods[1:]), {}, slices), NOW)
    [change], rest = plan.actions, plan.rest
    assert rest == 0.15
    assert isinstance(change, Patch)
    assert change.name == "s0"
    assert isinstance(change.patch, dict)
    assert change.patch["endpoints"][0]["conditions"] == {"ready": False, "serving": False, "terminating": False}


def test_other_ports_mean_another_slice() -> None:
    pods = (pod(1),)
    [made] = endpointslices.reconcile(Snapshot(service(), pods, {}, ()), NOW).actions
    assert isinstance(made, Create)
    other = service(ports=[{"port": 80, "targetPort": 9090}])
    actions = endpointslices.reconcile(Snapshot(other, pods, {}, (stored(made, "s"),)), NOW).actions
    assert [type(one) for one in actions] == [Create, Delete]


def test_unready_pods_are_ready_where_the_service_wants_them_published() -> None:
    seen = Snapshot(service(publishNotReadyAddresses=True), (pod(1, ready=False),), {}, ())
    [create] = endpointslices.reconcile(seen, NOW).actions
    assert isinstance(create, Create)
    assert create.body["endpoints"][0]["conditions"] == {"ready": True, "serving": False, "terminating": False}
