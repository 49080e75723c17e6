"""What a quota counts."""

import msgspec

from mizzen.api.views.core import Pod, ResourceQuota
from mizzen.controllers import quotas
from mizzen.reconcile.plan import Patch


def test_finished_pods_count_as_objects_but_take_nothing() -> None:
    hard = {"pods": "5", "count/pods": "5", "requests.cpu": "2"}
    quota = msgspec.convert({"metadata": {"name": "q", "namespace": "d"}, "spec": {"hard": hard}}, ResourceQuota)
    containers = [{"name": "c", "resources": {"requests": {"cpu": "500m"}}}]
    pods = tuple(
        msgspec.convert(
            {"metadata": {"name": phase}, "spec": {"containers": containers}, "status": {"phase": phase}}, Pod
        )
        for phase in ("Running", "Succeeded")
    )
    [patch] = quotas.CONTROLLER.reconcile(quotas.Snapshot(quota, pods, (), (), {}), 0.0).actions
    assert isinstance(patch, Patch)
    used = patch.patch["status"]["used"]  # type: ignore[call-overload]
    assert used == {"pods": "1", "count/pods": "2", "requests.cpu": "500m"}
