"""Claims of pods under every kind of trouble: protected, made for them, attached where they run, reserved."""

from typing import Any

from tests.sim.story import check
from tests.sim.world import Kubelet, World, add_nodes

from mizzen.client.resources import (
    DEVICE_TAINT_RULES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    VOLUME_ATTACHMENTS,
)
from mizzen.controllers import device_taints, garbage, resource_claims
from mizzen.controllers.volumes import attach, protection
from mizzen.machinery import times
from mizzen.machinery.errors import Object

CLAIMS = ("", "persistentvolumeclaims")


def pod(name: str, **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "d"}, "spec": {"containers": [{"name": "c"}], **spec}}


def test_a_claim_in_use_stays_until_its_pod_is_gone(seeds: range) -> None:
    check(seeds, protect)


def protect(seed: int) -> None:
    world = World(seed, (protection.CLAIMS,), kubelet=Kubelet(flaky=0))
    world.api.create(CLAIMS, {"metadata": {"name": "data", "namespace": "d"}, "spec": {}})
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    world.api.create(("", "pods"), pod("p", volumes=volumes, nodeName="n1"))
    world.settle()
    problems: list[str] = []

    def watch(where: Any, _old: Any, new: Any) -> None:
        if where == CLAIMS and new is None and world.all(PODS):
            problems.append("the claim went before its pod")

    world.api.changed = watch
    world.resume()
    world.users = (
        lambda w: w.api.delete(CLAIMS, "d", "data"),
        lambda w: w.api.delete(("", "pods"), "d", "p"),
    )
    world.live(60)
    assert not problems, f"seed {seed}"
    assert not world.all(PERSISTENT_VOLUME_CLAIMS), f"seed {seed}"


def test_ephemeral_claims_come_and_go_with_their_pod(seeds: range) -> None:
    check(seeds, pass_away)


def pass_away(seed: int) -> None:
    controllers = (protection.EPHEMERAL, protection.CLAIMS, garbage.CONTROLLER)
    world = World(seed, controllers, kubelet=Kubelet(flaky=0), all_kinds=True)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    world.api.create(CLAIMS, {"metadata": {"name": "q-scratch", "namespace": "d"}, "spec": {}})
    for name in ("p", "q"):
        world.api.create(("", "pods"), pod(name, volumes=volumes))
    world.live(60, horizon=20)
    found = {one["metadata"]["name"]: one for one in world.all(PERSISTENT_VOLUME_CLAIMS)}
    assert set(found) == {"p-scratch", "q-scratch"}, f"seed {seed}"
    assert found["p-scratch"]["metadata"]["labels"] == {"a": "b"}, f"seed {seed}"
    assert "ownerReferences" not in found["q-scratch"]["metadata"], f"seed {seed}: a namesake is not taken over"
    world.resume()
    world.users = (lambda w: w.api.delete(("", "pods"), "d", "p"),)
    world.live(60, horizon=20)
    left = [one["metadata"]["name"] for one in world.all(PERSISTENT_VOLUME_CLAIMS)]
    assert left == ["q-scratch"], f"seed {seed}: {left}"


def test_volumes_are_attached_exactly_where_pods_use_them(seeds: range) -> None:
    check(seeds, plug)


def plug(seed: int) -> None:
    world = World(seed, (attach.CONTROLLER,), kubelet=Kubelet(flaky=0))
    add_nodes(world, ("n1", "n2"))
    for name in ("one", "two"):
        spec: Object = {"volumeName": f"v-{name}"}
        claim = world.api.create(CLAIMS, {"metadata": {"name": name, "namespace": "d"}, "spec": spec})
        spec = {
            "csi": {"driver": "example.com", "volumeHandle": name},
            "claimRef": {"namespace": "d", "name": name, "uid": claim["metadata"]["uid"]},
        }
        world.api.create(("", "persistentvolumes"), {"metadata": {"name": f"v-{name}"}, "spec": spec})
    for name, node in (("one", "n1"), ("two", "n2")):
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]
        world.api.create(("", "pods"), pod(f"p-{name}", volumes=volumes, nodeName=node))
    problems: list[str] = []

    def watch(where: Any, old: Any, new: Any) -> None:
        using = {one["metadata"]["name"] for one in world.all(PODS)}
        if where == ("storage.k8s.io", "volumeattachments") and new is None and old is not None:
            volume = old["spec"]["source"]["persistentVolumeName"]
            if f"p-{volume.removeprefix('v-')}" in using:
                problems.append(f"{volume} was detached under a pod")

    world.api.changed = watch
    world.users = (lambda w: w.api.delete(("", "pods"), "d", "p-one"),)
    world.live(80)
    assert not problems, f"seed {seed}: {problems}"
    [left] = world.all(VOLUME_ATTACHMENTS)
    wanted: Object = {"attacher": "example.com", "nodeName": "n2", "source": {"persistentVolumeName": "v-two"}}
    assert left["spec"] == wanted, f"seed {seed}"


def test_a_pod_gets_one_resource_claim_of_each_template(seeds: range) -> None:
    check(seeds, reserve)


def reserve(seed: int) -> None:
    controllers = (resource_claims.CONTROLLER, resource_claims.RESERVATIONS)
    world = World(seed, controllers, kubelet=Kubelet(flaky=0, outcome=lambda w, _p: "" if w.faults_on else "Succeeded"))
    group = "resource.k8s.io"
    template = {"metadata": {"name": "gpu", "namespace": "d"}, "spec": {"spec": {"devices": {}}}}
    wanted = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}, {"name": "own", "resourceClaimName": "own"}]
    world.api.create(("", "pods"), pod("p", resourceClaims=wanted))
    meta = {"name": "own", "namespace": "d", "finalizers": [resource_claims.PROTECTION]}
    made = world.api.create((group, "resourceclaims"), {"metadata": meta, "spec": {}})
    uid = world.api.get(("", "pods"), "d", "p")["metadata"]["uid"]
    status = {"allocation": {"devices": {}}, "reservedFor": [{"resource": "pods", "name": "p", "uid": uid}]}
    world.api.patch(RESOURCE_CLAIMS, "d", made["metadata"]["name"], {"status": status}, "status")
    most = 0

    def watch(_where: Any, _old: Any, _new: Any) -> None:
        nonlocal most
        most = max(most, len(world.all(RESOURCE_CLAIMS)))

    world.api.changed = watch
    world.users = (lambda w: w.api.create((group, "resourceclaimtemplates"), template),)
    world.live(80)
    assert most <= 2, f"seed {seed}: {most} claims for two"
    [found] = world.all(PODS)
    assert found["status"]["phase"] == "Succeeded", f"seed {seed}"
    [own] = world.all(RESOURCE_CLAIMS)
    assert own["metadata"]["name"] == "own", f"seed {seed}: the one made for the pod is given back"
    assert not own["status"].get("reservedFor"), f"seed {seed}"
    assert not own["status"].get("allocation"), f"seed {seed}"
    world.resume()
    world.users = (lambda w: w.api.delete((group, "resourceclaims"), "d", "own"),)
    world.live(40)
    assert not world.all(RESOURCE_CLAIMS), f"seed {seed}: nobody uses it any more"


def test_the_claim_for_extended_resources_goes_when_its_pod_is_done(seeds: range) -> None:
    check(seeds, hand_back)


def hand_back(seed: int) -> None:
    controllers = (resource_claims.CONTROLLER, resource_claims.RESERVATIONS)
    world = World(seed, controllers, kubelet=Kubelet(flaky=0, outcome=lambda w, _p: "" if w.faults_on else "Succeeded"))
    world.api.create(("", "pods"), pod("p"))
    uid = world.api.get(("", "pods"), "d", "p")["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": True}
    meta: Object = {"name": "p-extended", "namespace": "d", "finalizers": [resource_claims.PROTECTION]}
    meta |= {"ownerReferences": [owner], "annotations": {"resource.kubernetes.io/extended-resource-claim": "true"}}
    world.api.create(("resource.k8s.io", "resourceclaims"), {"metadata": meta, "spec": {}})
    status = {"allocation": {"devices": {}}, "reservedFor": [{"resource": "pods", "name": "p", "uid": uid}]}
    world.api.patch(RESOURCE_CLAIMS, "d", "p-extended", {"status": status}, "status")
    told = {"extendedResourceClaimStatus": {"resourceClaimName": "p-extended", "requestMappings": []}}
    world.api.patch(PODS, "d", "p", {"status": told}, "status")

    def watch(where: Any, _old: Any, new: Any) -> None:
        if where == ("resource.k8s.io", "resourceclaims") and new is None:
            [found] = world.all(PODS)
            assert found["status"]["phase"] == "Succeeded", f"seed {seed}: the pod still needs it"

    world.api.changed = watch
    world.live(60)
    assert not world.all(RESOURCE_CLAIMS), f"seed {seed}"


def test_pods_leave_tainted_devices_after_their_toleration_and_not_before(seeds: range) -> None:
    check(seeds, vacate)


def vacate(seed: int) -> None:
    world = World(seed, (device_taints.EVICTION, device_taints.RULES), kubelet=Kubelet(nodes=("n1",), flaky=0))
    group = "resource.k8s.io"
    devices = [{"name": "x"}, {"name": "y"}]
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    spec: Object = {"driver": "gpu.example.com", "pool": pool, "nodeName": "n1", "devices": devices}
    world.api.create((group, "resourceslices"), {"metadata": {"name": "s"}, "spec": spec})
    patience = world.rng.choice((None, 0, 30, -1))
    toleration: Object = {"key": "broken", "operator": "Exists", "effect": "NoExecute"}
    if patience not in (None, -1):
        toleration["tolerationSeconds"] = patience
    for device in "xy":
        world.api.create(("", "pods"), pod(device, resourceClaims=[{"name": "gpu", "resourceClaimName": device}]))
        world.api.create((group, "resourceclaims"), {"metadata": {"name": device, "namespace": "d"}, "spec": {}})
        uid = world.api.get(("", "pods"), "d", device)["metadata"]["uid"]
        result: Object = {"driver": "gpu.example.com", "pool": "n1", "device": device}
        result["tolerations"] = [] if patience is None else [toleration]
        status = {
            "allocation": {"devices": {"results": [result]}},
            "reservedFor": [{"resource": "pods", "name": device, "uid": uid}],
        }
        world.api.patch(RESOURCE_CLAIMS, "d", device, {"status": status}, "status")
    world.settle()
    tainted: list[float] = []
    gone: dict[str, float] = {}

    def watch(where: Any, _old: Any, new: Any) -> None:
        if where == ("", "pods") and new is not None and new["metadata"].get("deletionTimestamp"):
            gone.setdefault(new["metadata"]["name"], world.clock.now())

    def taint(w: World) -> None:
        one = {"key": "broken", "effect": "NoExecute", "timeAdded": times.format(w.clock.now())}
        tainted.append(times.parse(one["timeAdded"]))
        if w.rng.random() < 0.5:
            body = {"spec": {"devices": [{"name": "x", "taints": [one]}, {"name": "y"}]}}
            w.api.patch(RESOURCE_SLICES, "", "s", body)
        else:
            rule = {"deviceSelector": {"driver": "gpu.example.com", "pool": "n1", "device": "x"}, "taint": one}
            w.api.create((group, "devicetaintrules"), {"metadata": {"name": "r"}, "spec": rule})

    world.api.changed = watch
    world.users = (taint,)
    world.resume()
    world.live(80)
    assert "y" not in gone, f"seed {seed}: nothing is wrong with its device"
    assert ("x" in gone) == (patience != -1), f"seed {seed}"
    if "x" in gone:
        assert gone["x"] >= tainted[0] + (patience or 0), f"seed {seed}: too early"
    for rule in world.all(DEVICE_TAINT_RULES):
        [told] = rule["status"]["conditions"]
        assert (told["type"], told["status"]) == ("EvictionInProgress", "False"), f"seed {seed}: {told}"


def test_a_rule_without_effect_tells_what_it_would_do(seeds: range) -> None:
    check(seeds[::20], tell)


def tell(seed: int) -> None:
    world = World(seed, (device_taints.EVICTION, device_taints.RULES), kubelet=Kubelet(nodes=("n1",), flaky=0))
    group = "resource.k8s.io"
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    devices = [{"name": "x"}, {"name": "y"}, {"name": "z"}]
    spec: Object = {"driver": "gpu.example.com", "pool": pool, "nodeName": "n1", "devices": devices}
    world.api.create((group, "resourceslices"), {"metadata": {"name": "s"}, "spec": spec})
    world.api.create(("", "pods"), pod("p", resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}]))
    world.api.create((group, "resourceclaims"), {"metadata": {"name": "c", "namespace": "d"}, "spec": {}})
    uid = world.api.get(("", "pods"), "d", "p")["metadata"]["uid"]
    result: Object = {"driver": "gpu.example.com", "pool": "n1", "device": "x"}
    status = {
        "allocation": {"devices": {"results": [result]}},
        "reservedFor": [{"resource": "pods", "name": "p", "uid": uid}],
    }
    world.api.patch(RESOURCE_CLAIMS, "d", "c", {"status": status}, "status")
    world.settle()
    rule = {"deviceSelector": {"driver": "gpu.example.com"}, "taint": {"key": "old", "effect": "None"}}
    world.api.create((group, "devicetaintrules"), {"metadata": {"name": "r", "generation": 1}, "spec": rule})
    world.resume()
    world.live(40)
    assert world.all(PODS), f"seed {seed}: the rule does nothing"
    [found] = world.all(DEVICE_TAINT_RULES)
    [told] = found["status"]["conditions"]
    assert (told["type"], told["status"]) == ("EvictionInProgress", "False")
    assert told["message"].startswith(
        "3 published devices selected. 1 allocated device selected. 1 pod would be evicted in 1 namespace if"
    ), f"seed {seed}: {told}"
