"""Claims, volumes and nodes under every kind of trouble."""

from typing import Any

from tests.sim.story import check
from tests.sim.world import Kubelet, World, add_nodes

from mizzen.client.resources import (
    LEASES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
from mizzen.controllers import node_evictions, node_ranges, nodes, podgc, taint_eviction
from mizzen.controllers.config import Config
from mizzen.controllers.volumes import attach, binder, localpath, protection
from mizzen.machinery import times
from mizzen.machinery.errors import Object

LOCAL = {
    "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "mizzen.io/local-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}
CONTROLLERS = (
    binder.CLAIMS,
    binder.VOLUMES,
    localpath.provisioner(Config()),
    localpath.RECLAIMER,
    protection.CLAIMS,
    protection.VOLUMES,
)


def claim(name: str, size: str, **spec: Any) -> Object:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": {"name": name, "namespace": "d"}, "spec": {"volumeMode": "Filesystem", **wanted}}


def volume(name: str, size: str) -> Object:
    spec = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual"}
    return {"metadata": {"name": name}, "spec": {**spec, "volumeMode": "Filesystem"}}


def test_every_claim_gets_one_volume_of_its_own(seeds: range) -> None:
    check(seeds, bind)


def bind(seed: int) -> None:
    world = World(seed, CONTROLLERS)
    add_nodes(world, ("n1",))
    world.api.create(("storage.k8s.io", "storageclasses"), {**LOCAL, "metadata": {**LOCAL["metadata"]}})  # type: ignore[dict-item]
    for name, size in (("big", "5Gi"), ("small", "1Gi")):
        world.api.create(("", "persistentvolumes"), volume(name, size))
    for name in ("one", "two", "three"):
        world.api.create(("", "persistentvolumeclaims"), claim(name, "1Gi", storageClassName="manual"))
    world.api.create(("", "persistentvolumeclaims"), claim("local", "2Gi"))
    selected = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}}
    world.users = (lambda w: w.api.patch(PERSISTENT_VOLUME_CLAIMS, "d", "local", selected),)
    world.live(120, horizon=60)
    claims = {one["metadata"]["name"]: one for one in world.all(PERSISTENT_VOLUME_CLAIMS)}
    volumes = {one["metadata"]["name"]: one for one in world.all(PERSISTENT_VOLUMES)}
    manual = [claims[name]["spec"].get("volumeName") for name in ("one", "two", "three")]
    assert sorted(one for one in manual if one) == ["big", "small"], f"seed {seed}"
    for one in claims.values():
        name = one["spec"].get("volumeName")
        if name:
            assert one["status"]["phase"] == "Bound", f"seed {seed}"
            assert volumes[name]["spec"]["claimRef"]["uid"] == one["metadata"]["uid"], f"seed {seed}"
            assert volumes[name]["status"]["phase"] == "Bound", f"seed {seed}"
        else:
            assert one["status"]["phase"] == "Pending", f"seed {seed}"
    local = claims["local"]
    assert local["spec"]["storageClassName"] == "local-path", f"seed {seed}: the default class, in retrospect"
    made = volumes[local["spec"]["volumeName"]]
    assert made["spec"]["local"]["path"].endswith("_d_local"), f"seed {seed}"
    assert len(volumes) == 3, f"seed {seed}: nothing is provisioned twice"
    _delete_local(world, seed, made["metadata"]["name"])


def _delete_local(world: World, seed: int, name: str) -> None:
    world.api.delete(("", "persistentvolumeclaims"), "d", "local")
    world.settle(horizon=60)
    found = world.api.get(("", "persistentvolumes"), "", name)
    assert found["metadata"]["deletionTimestamp"], f"seed {seed}: released volumes with policy Delete go"
    assert found["metadata"]["finalizers"] == [localpath.FINALIZER], f"seed {seed}: the agent removes the data first"
    world.api.delete(("", "nodes"), "", "n1")
    world.settle(horizon=60)
    names = {one["metadata"]["name"] for one in world.all(PERSISTENT_VOLUMES)}
    assert name not in names, f"seed {seed}: with the node, the data is gone too"


def test_a_class_of_attributes_stays_while_a_claim_or_volume_has_it(seeds: range) -> None:
    check(seeds, attribute)


def attribute(seed: int) -> None:
    world = World(seed, (protection.ATTRIBUTES,))
    where = (VOLUME_ATTRIBUTES_CLASSES.group, VOLUME_ATTRIBUTES_CLASSES.plural)
    for name in ("used", "unused"):
        world.api.create(where, {"metadata": {"name": name}, "driverName": "csi.example"})
    world.api.create(("", "persistentvolumeclaims"), claim("one", "1Gi", volumeAttributesClassName="used"))
    world.api.create(("", "persistentvolumes"), volume("v", "1Gi"))
    world.settle()
    world.resume()
    world.users = (
        lambda w: w.api.patch(PERSISTENT_VOLUMES, "", "v", {"spec": {"volumeAttributesClassName": "used"}}),
        lambda w: w.api.delete(where, "", "used"),
        lambda w: w.api.delete(where, "", "unused"),
    )
    world.live(60)
    assert [one["metadata"]["name"] for one in world.all(VOLUME_ATTRIBUTES_CLASSES)] == ["used"], f"seed {seed}"
    world.api.delete(("", "persistentvolumeclaims"), "d", "one")
    world.settle()
    assert world.all(VOLUME_ATTRIBUTES_CLASSES), f"seed {seed}: a volume still has it"
    world.api.delete(("", "persistentvolumes"), "", "v")
    world.settle()
    assert not world.all(VOLUME_ATTRIBUTES_CLASSES), f"seed {seed}"
    assert world.writes() <= {"PATCH volumeattributesclasses"}, f"seed {seed}: {world.writes()}"


def test_pods_leave_a_silent_node_after_their_toleration_and_not_before(seeds: range) -> None:
    check(seeds, silence)


def silence(seed: int) -> None:
    config = Config()
    controllers = (
        nodes.lifecycle(config),
        node_evictions.CONTROLLER,
        taint_eviction.CONTROLLER,
        node_ranges.ranges(config),
        podgc.controller(config),
    )
    world = World(seed, controllers, kubelet=Kubelet(nodes=("n2",)))
    add_nodes(world, ("n1", "n2"))
    for name in ("n1", "n2"):
        renewed = times.format_micro(world.clock.now() + (1e9 if name == "n2" else 0))
        lease = {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {"renewTime": renewed}}
        world.api.create((LEASES.group, LEASES.plural), lease)
    toleration = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    for name, seconds in (("patient", 300), ("hasty", 0), ("eternal", None)):
        own = {**toleration, "tolerationSeconds": seconds} if seconds is not None else toleration
        condition = {"type": "Ready", "status": "True"}
        body = {
            "metadata": {"name": name, "namespace": "d"},
            "spec": {"nodeName": "n1", "tolerations": [own]},
            "status": {"phase": "Running", "conditions": [condition]},
        }
        world.api.create(("", "pods"), body)
    left: dict[str, float] = {}

    def watch(where: Any, old: Any, new: Any) -> None:
        if where == ("", "pods") and (new is None or new["metadata"].get("deletionTimestamp")):
            left.setdefault(old["metadata"]["name"], world.clock.elapsed)

    world.kubelet = None
    world.api.changed = watch
    world.live(100, horizon=1000)
    assert set(left) == {"patient", "hasty"}, f"seed {seed}: {left}"
    assert left["hasty"] >= 40, f"seed {seed}"
    assert left["patient"] >= 340, f"seed {seed}"
    found = {one["metadata"]["name"]: one for one in world.all(NODES)}
    assert {taint["key"] for taint in found["n1"]["spec"]["taints"]} == {nodes.UNREACHABLE}, f"seed {seed}"
    assert not found["n2"]["spec"].get("taints"), f"seed {seed}"
    assert found["n1"]["spec"]["podCIDR"] != found["n2"]["spec"]["podCIDR"], f"seed {seed}"
    eternal = world.api.get(("", "pods"), "d", "eternal")
    assert eternal["status"]["conditions"][0]["status"] == "False", f"seed {seed}: pods of a lost node are not ready"
    assert len(world.all(PODS)) == 3, f"seed {seed}: nobody is left to confirm the end of the others"


class Attacher:
    """Attaches what it is asked to."""

    def act(self, world: World) -> None:
        self.settle(world)

    def settle(self, world: World) -> bool:
        waiting = [one for one in world.all(VOLUME_ATTACHMENTS) if not (one.get("status") or {}).get("attached")]
        for one in waiting[:1]:
            done = {"status": {"attached": True}}
            world.api.patch(VOLUME_ATTACHMENTS, "", one["metadata"]["name"], done, "status")
        return bool(waiting)


def most_at_once(world: World) -> int:
    """How many attachments there have been at the same time."""
    present: set[str] = set()
    most = 0
    for event in world.api.logs[VOLUME_ATTACHMENTS.group, VOLUME_ATTACHMENTS.plural]:
        (present.discard if event.type == "DELETED" else present.add)(event.name)
        most = max(most, len(present))
    return most


def test_a_volume_for_one_node_is_never_attached_to_two(seeds: range) -> None:
    check(seeds, attach_once)


def attach_once(seed: int) -> None:
    world = World(seed, (attach.CONTROLLER, attach.ATTACHED), kubelet=Attacher())  # type: ignore[arg-type]
    add_nodes(world, ("n1", "n2", "n3"))
    bound = claim("c", "1Gi", volumeName="v")
    bound["metadata"]["uid"] = "u"
    world.api.create(("", "persistentvolumeclaims"), bound)
    made = volume("v", "1Gi")
    made["spec"] |= {
        "csi": {"driver": "disk", "volumeHandle": "h"},
        "claimRef": {"namespace": "d", "name": "c", "uid": world.all(PERSISTENT_VOLUME_CLAIMS)[0]["metadata"]["uid"]},
    }
    world.api.create(("", "persistentvolumes"), made)
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    for name, node in (("p1", "n1"), ("p2", "n2"), ("p3", "n3")):
        pod = {"metadata": {"name": name, "namespace": "d"}, "spec": {"volumes": volumes, "nodeName": node}}
        world.api.create(("", "pods"), pod)
    first, second, last = world.rng.sample(("p1", "p2", "p3"), 3)
    at_once = {"gracePeriodSeconds": 0}
    world.users = tuple(lambda w, name=name: w.api.delete(("", "pods"), "d", name, at_once) for name in (first, second))
    world.live(120, horizon=60)
    assert most_at_once(world) == 1, f"seed {seed}: attached to several nodes at once"
    (left,) = world.all(VOLUME_ATTACHMENTS)
    assert left["spec"]["nodeName"] == last.replace("p", "n"), f"seed {seed}: the last pod has the volume"
    shown = {one["metadata"]["name"]: one["status"].get("volumesAttached") for one in world.all(NODES)}
    name = "kubernetes.io/csi/disk^h"
    assert shown.pop(left["spec"]["nodeName"]) == [{"name": name, "devicePath": ""}], f"seed {seed}"
    assert not any(shown.values()), f"seed {seed}: {shown}"
