"""Workloads whose pods are refused: their status still tells what there is."""

from typing import Any

from tests.sim.story import check
from tests.sim.world import Kubelet, World, add_nodes

from mizzen.client.client import Resource
from mizzen.client.resources import DAEMON_SETS, PODS, REPLICA_SETS, STATEFUL_SETS
from mizzen.controllers import daemonset, statefulset
from mizzen.controllers.replicas import REPLICA_SET
from mizzen.machinery.errors import ApiError, Object
from mizzen.reconcile.controller import Controller
from mizzen.wire.message import Request

APP = {"app": "web"}
WORKLOADS: tuple[tuple[Resource, Controller, Object, str, str], ...] = (
    (REPLICA_SETS, REPLICA_SET, {"replicas": 2}, "replicas", "readyReplicas"),
    (STATEFUL_SETS, statefulset.CONTROLLER, {"replicas": 2, "serviceName": "web"}, "replicas", "readyReplicas"),
    (DAEMON_SETS, daemonset.CONTROLLER, {}, "currentNumberScheduled", "numberReady"),
)


def test_what_is_refused_does_not_keep_the_status_from_telling_what_is_there(seeds: range) -> None:
    check(seeds, refused)


def refused(seed: int) -> None:
    resource, controller, spec, current, ready = WORKLOADS[seed % len(WORKLOADS)]
    world = World(seed, (controller,), kubelet=Kubelet(flaky=0))
    add_nodes(world, ("n1", "n2"))
    template = {"metadata": {"labels": APP}, "spec": {"containers": [{"name": "c", "image": "a"}]}}
    body = {"spec": {"selector": {"matchLabels": APP}, "template": template, **spec}, "status": {}}
    world.api.create(("apps", resource.plural), {"metadata": {"name": "web", "namespace": "d"}, **body})
    world.live(5)
    assert _status(world, resource)[current] == 2, f"seed {seed}"
    world.api.refuse = _no_pods
    for pod in world.all(PODS):
        world.api.delete(("", "pods"), "d", pod["metadata"]["name"])
    world.settle(60)
    told = _status(world, resource)
    assert (told.get(current, 0), told.get(ready, 0)) == (0, 0), f"seed {seed}: {resource.plural} {told}"


def _status(world: World, resource: Resource) -> Any:
    [one] = world.all(resource)
    return one["status"]


def _no_pods(request: Request) -> ApiError | None:
    if request.method == "POST" and request.path.endswith("/pods"):
        return ApiError(403, "Forbidden", "exceeded quota")
    return None
