"""Binding, attaching and letting go of volumes: what single snapshots lead to."""

from typing import Any

import msgspec
import pytest

from mizzen.api.views.core import Node, PersistentVolume, PersistentVolumeClaim, Pod
from mizzen.api.views.storage import VolumeAttachment, VolumeAttachmentStatus
from mizzen.client.cache import Cache
from mizzen.client.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS
from mizzen.controllers.volumes import attach, binder
from mizzen.reconcile.plan import Create, Delete, Patch, Plan


def volume(name: str, **spec: Any) -> PersistentVolume:
    reference = {"namespace": "d", "name": "c", "uid": "u"}
    meta = {"name": name, "uid": f"uid-{name}", "annotations": spec.pop("annotations", {})}
    return msgspec.convert({"metadata": meta, "spec": {"claimRef": reference, **spec}}, PersistentVolume)


def csi(name: str, **spec: Any) -> PersistentVolume:
    return volume(name, csi={"driver": "disk", "volumeHandle": f"h-{name}"}, **spec)


def attachment(name: str, of: str, node: str = "n") -> VolumeAttachment:
    spec = {"attacher": "disk", "nodeName": node, "source": {"persistentVolumeName": of}}
    return msgspec.convert({"metadata": {"name": name, "uid": name}, "spec": spec}, VolumeAttachment)


def user(name: str, node: str, since: str) -> Pod:
    meta = {"namespace": "d", "name": name, "uid": name, "creationTimestamp": f"2026-01-01T00:00:{since}Z"}
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    return msgspec.convert({"metadata": meta, "spec": {"nodeName": node, "volumes": volumes}}, Pod)


def test_a_volume_that_a_pod_needs_is_attached_once() -> None:
    seen = attach.Snapshot(csi("a"), (user("p", "n", "01"), user("q", "n", "02")))
    (made,) = attach.reconcile(seen, 0).actions
    assert isinstance(made, Create)
    assert made.body["spec"] == {"attacher": "disk", "nodeName": "n", "source": {"persistentVolumeName": "a"}}
    there = attachment(made.body["metadata"]["name"], "a")
    assert attach.reconcile(attach.Snapshot(csi("a"), seen.users, (there,)), 0).actions == ()


@pytest.mark.parametrize("volume", [csi("a"), None])
@pytest.mark.parametrize(
    ("name", "mounted", "goes"), [("csi-1", (), True), ("csi-1", ("n",), False), ("own", (), False)]
)
def test_a_volume_is_detached_when_no_pod_needs_it_and_the_node_has_let_go(
    volume: PersistentVolume | None, name: str, mounted: tuple[str, ...], goes: bool
) -> None:
    plan = attach.reconcile(attach.Snapshot(volume, (), (attachment(name, "a"),), frozenset(mounted)), 0)
    assert [isinstance(one, Delete) for one in plan.actions] == ([True] if goes else [])


@pytest.mark.parametrize(
    ("released", "message"),
    [
        (csi("a"), 'error getting deleter volume plugin for volume "a": no deletable volume plugin matched'),
        (
            volume("a", hostPath={"path": "/data"}),
            "host_path deleter only supports /tmp/.+ but received provided /data",
        ),
    ],
)
def test_a_released_volume_that_nobody_can_delete_has_failed(released: PersistentVolume, message: str) -> None:
    doomed = msgspec.structs.replace(
        released, spec=msgspec.structs.replace(released.spec, persistentVolumeReclaimPolicy="Delete")
    )
    plan = binder.reconcile_volume(binder.Held(doomed, None), 0)
    (patch,) = plan.actions
    assert isinstance(patch, Patch)
    assert (patch.patch["status"]["phase"], patch.patch["status"]["message"]) == ("Failed", message)
    assert [(note.reason, note.message) for note in plan.notes] == [("VolumeFailedDelete", message)]
    failed = msgspec.structs.replace(doomed, status=msgspec.structs.replace(doomed.status, phase="Failed"))
    assert binder.reconcile_volume(binder.Held(failed, None), 0).actions == ()


def test_a_volume_of_an_external_provisioner_is_left_to_it() -> None:
    mine = csi("a", persistentVolumeReclaimPolicy="Delete", annotations={"pv.kubernetes.io/provisioned-by": "disk"})
    (patch,) = binder.reconcile_volume(binder.Held(mine, None), 0).actions
    assert isinstance(patch, Patch) and patch.patch["status"]["phase"] == "Released"


def test_a_claim_that_wants_more_of_a_driver_waits_for_it() -> None:
    body = {
        "metadata": {"namespace": "d", "name": "c", "uid": "u", "annotations": {binder.classes.BIND_COMPLETED: "yes"}},
        "spec": {"volumeName": "a", "resources": {"requests": {"storage": "2Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    }
    claim = msgspec.convert(body, PersistentVolumeClaim)
    seen = binder.Claimant(claim, csi("a", capacity={"storage": "1Gi"}), (), None, None, wanted_by_pod=False)
    assert [note.reason for note in binder.reconcile_claim(seen, 0).notes] == ["ExternalExpanding"]


@pytest.mark.parametrize(("phase", "current"), [("Pending", "gold"), ("Bound", "silver")])
def test_a_claim_that_is_bound_has_the_attributes_that_it_wanted(phase: str, current: str) -> None:
    body = {
        "metadata": {"namespace": "d", "name": "c", "uid": "u", "annotations": {binder.classes.BIND_COMPLETED: "yes"}},
        "spec": {"volumeName": "a", "volumeAttributesClassName": "gold"},
        "status": {"phase": phase, "currentVolumeAttributesClassName": "silver"},
    }
    claim = msgspec.convert(body, PersistentVolumeClaim)
    seen = binder.Claimant(claim, csi("a", capacity={"storage": "1Gi"}), (), None, None, wanted_by_pod=False)
    [patch] = binder.reconcile_claim(seen, 0).actions
    assert isinstance(patch, Patch)
    status = {"currentVolumeAttributesClassName": "silver", **patch.patch["status"]}  # type: ignore[dict-item]
    assert status["currentVolumeAttributesClassName"] == current


def world(mode: str, *attachments: VolumeAttachment) -> Cache:
    """Two nodes with a pod each that wants the same volume; the one on n1 is older."""
    cache = Cache()
    claim = {"metadata": {"namespace": "d", "name": "c", "uid": "u"}, "spec": {"volumeName": "a"}}
    cache.of(PERSISTENT_VOLUMES, PersistentVolume).put(csi("a", accessModes=[mode]))
    cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).put(msgspec.convert(claim, PersistentVolumeClaim))
    for pod in (user("young", "n2", "09"), user("old", "n1", "01")):
        cache.of(PODS, Pod).put(pod)
    for one in attachments:
        cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).put(one)
    return cache


@pytest.mark.parametrize(
    ("mode", "there", "gets"),
    [
        ("ReadWriteOnce", (), ["n1"]),
        ("ReadWriteMany", (), ["n1", "n2"]),
        ("ReadWriteOnce", ("n3",), []),
        ("ReadWriteOncePod", ("n2",), []),
    ],
)
def test_a_volume_for_one_node_is_attached_to_one(mode: str, there: tuple[str, ...], gets: list[str]) -> None:
    cache = world(mode, *(attachment(f"csi-{node}", "a", node) for node in there))
    plan = attach.reconcile(attach.observe(cache, "a"), 0)
    assert [one.body["spec"]["nodeName"] for one in plan.actions if isinstance(one, Create)] == gets
    waiting = [name for name, node in (("old", "n1"), ("young", "n2")) if node not in (*gets, *there)]
    assert [(note.about.name, note.reason) for note in plan.notes] == [(one, "FailedAttachVolume") for one in waiting]


def test_a_pod_is_told_once_that_its_volume_is_attached() -> None:
    there = msgspec.structs.replace(attachment("csi-1", "a", "n1"), status=VolumeAttachmentStatus(attached=True))
    cache = world("ReadWriteMany", there)
    node = {"metadata": {"name": "n1"}, "spec": {}, "status": {}}
    cache.of(NODES, Node).put(msgspec.convert(node, Node))
    seen = attach.observe_node(cache, "n1")
    assert seen is not None
    (note,) = attach.reconcile_node(seen, 0).notes
    assert (note.about.name, note.reason) == ("old", "SuccessfulAttachVolume")
    assert note.message == 'AttachVolume.Attach succeeded for volume "a" '
    node["status"] = {"volumesAttached": [{"name": "kubernetes.io/csi/disk^h-a", "devicePath": ""}]}
    cache.of(NODES, Node).put(msgspec.convert(node, Node))
    seen = attach.observe_node(cache, "n1")
    assert seen is not None and attach.reconcile_node(seen, 0) == Plan()


def test_a_pod_that_names_a_volume_of_another_claim_attaches_nothing() -> None:
    cache = world("ReadWriteOnce")
    claim = {"metadata": {"namespace": "d", "name": "c", "uid": "another"}, "spec": {"volumeName": "a"}}
    cache.of(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim).put(msgspec.convert(claim, PersistentVolumeClaim))
    assert attach.reconcile(attach.observe(cache, "a"), 0).actions == ()


def test_a_node_that_is_silent_for_long_loses_the_volumes_it_has_mounted() -> None:
    seen = attach.Snapshot(csi("a"), (), (attachment("csi-1", "a"),), frozenset({"n"}), {"n": 1000.0})
    early = attach.reconcile(seen, 1000.0 + 100)
    assert (early.actions, early.requeue_after) == ((), 261.0)
    late = attach.reconcile(seen, 1000.0 + 361)
    assert [type(one) for one in late.actions] == [Delete]


def test_when_a_node_fell_silent_and_what_it_has_in_use_is_read_from_its_status() -> None:
    cache = world("ReadWriteMany", *(attachment(f"csi-{node}", "a", node) for node in ("well", "ill", "none")))
    for name, status in (("well", "True"), ("ill", "Unknown")):
        ready = {"type": "Ready", "status": status, "lastTransitionTime": "1970-01-01T00:01:40Z"}
        in_use = ["kubernetes.io/csi/disk^h-a"] if name == "well" else []
        node = {"metadata": {"name": name}, "status": {"conditions": [ready], "volumesInUse": in_use}}
        cache.of(NODES, Node).put(msgspec.convert(node, Node))
    seen = attach.observe(cache, "a")
    assert (seen.mounted, seen.silent_since) == ({"well"}, {"ill": 100.0})


def test_a_node_shows_what_is_attached_to_it() -> None:
    cache = world("ReadWriteOnce", attachment("csi-1", "a", "n1"))
    nodes = cache.of(NODES, Node)

    def plan() -> Plan:
        seen = attach.observe_node(cache, "n1")
        assert seen is not None
        return attach.reconcile_node(seen, 0)

    nodes.put(msgspec.convert({"metadata": {"name": "n1"}}, Node))
    assert not plan()
    done = msgspec.structs.replace(attachment("csi-1", "a", "n1"), status=VolumeAttachmentStatus(attached=True))
    cache.of(VOLUME_ATTACHMENTS, VolumeAttachment).put(done)
    shown = [{"name": "kubernetes.io/csi/disk^h-a", "devicePath": ""}]
    assert plan().actions == (Patch(NODES, "", "n1", {"status": {"volumesAttached": shown}}, subresource="status"),)
    nodes.put(msgspec.convert({"metadata": {"name": "n1"}, "status": {"volumesAttached": shown}}, Node))
    assert not plan()
