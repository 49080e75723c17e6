"""The garbage collector on random graphs of owners: nothing that is still referenced goes, nothing unowned stays."""

from typing import Any

from tests.sim.story import check
from tests.sim.world import World

from mizzen.client.resources import CONFIG_MAPS, SECRETS
from mizzen.controllers import garbage
from mizzen.machinery.errors import Object

KINDS = (("", "configmaps"), ("", "secrets"))


def test_nothing_is_deleted_that_an_owner_still_holds(seeds: range) -> None:
    check(seeds, collect)


def collect(seed: int) -> None:
    world = World(seed, (garbage.CONTROLLER,), all_kinds=True)
    made: list[Object] = []
    for number in range(world.rng.randrange(4, 9)):
        owners = world.rng.sample(made, min(len(made), world.rng.randrange(3)))
        meta = {"name": f"o{number}", "namespace": "d", "ownerReferences": [_reference(world, one) for one in owners]}
        made.append(world.api.create(world.rng.choice(KINDS), {"metadata": meta}))
    deleted: set[str] = set()
    problems: list[str] = []

    def watch(_where: Any, old: Any, new: Any) -> None:
        if old is None or old["metadata"]["name"] in deleted:
            return
        if new is None or (new["metadata"].get("deletionTimestamp") and not old["metadata"].get("deletionTimestamp")):
            solid = [one["name"] for one in old["metadata"].get("ownerReferences") or () if _is_solid(world, one)]
            if solid or not old["metadata"].get("ownerReferences"):
                problems.append(f"{old['metadata']['name']} went, owned by {solid}")

    world.api.changed = watch
    world.users = tuple(_deletion(one, deleted) for one in world.rng.sample(made, 2))
    world.live(100, horizon=20)
    assert not problems, f"seed {seed}: {problems}"
    alive = {one["metadata"]["uid"] for one in (*world.all(CONFIG_MAPS), *world.all(SECRETS))}
    for one in (*world.all(CONFIG_MAPS), *world.all(SECRETS)):
        owners = [owner["uid"] for owner in one["metadata"].get("ownerReferences") or ()]
        assert not owners or set(owners) & alive, f"seed {seed}: {one['metadata']['name']} is nobody's"
        assert not one["metadata"].get("deletionTimestamp"), f"seed {seed}: {one['metadata']['name']} hangs"


def _reference(world: World, owner: Object) -> Object:
    reference = {"apiVersion": "v1", "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {**reference, "uid": owner["metadata"]["uid"], "blockOwnerDeletion": world.rng.random() < 0.5}


def _is_solid(world: World, reference: Object) -> bool:
    """Whether an owner is there and does not wait for its dependents to go first."""
    where = KINDS[reference["kind"] == "Secret"]
    found = world.api.objects.get(where, {}).get(("d", reference["name"]))
    if found is None or found["metadata"]["uid"] != reference["uid"]:
        return False
    meta = found["metadata"]
    return not (meta.get("deletionTimestamp") and "foregroundDeletion" in meta.get("finalizers", ()))


def _deletion(one: Object, deleted: set[str]) -> Any:
    def act(world: World) -> None:
        for table in world.cache.tables:
            world.deliver(table, 100)  # what is younger than the watch may escape an orphaning deletion, as documented
        policy = world.rng.choice(("Background", "Foreground", "Orphan"))
        where, name = KINDS[one["kind"] == "Secret"], one["metadata"]["name"]
        found = world.api.objects.get(where, {}).get(("d", name))
        if found is not None and not found["metadata"].get("deletionTimestamp"):
            deleted.add(name)
            world.api.delete(where, "d", name, {"propagationPolicy": policy})

    return act


def test_an_owner_in_another_namespace_is_no_owner_and_that_is_told(seeds: range) -> None:
    check(seeds, misplace)


def misplace(seed: int) -> None:
    world = World(seed, (garbage.CONTROLLER,), all_kinds=True)
    owner = world.api.create(("", "configmaps"), {"metadata": {"name": "owner", "namespace": "elsewhere"}})
    meta = {"name": "child", "namespace": "d", "ownerReferences": [_reference(world, owner)]}
    world.settle(horizon=1)
    world.api.create(("", "secrets"), {"metadata": meta})
    wide = {"name": "wide", "ownerReferences": [_reference(world, owner)]}
    world.api.create(("", "nodes"), {"metadata": wide})
    world.live(40, horizon=20)
    assert not world.all(SECRETS), f"seed {seed}"
    assert world.api.get(("", "nodes"), "", "wide"), f"seed {seed}: nobody can say that its owner is gone"
    told = {note.about.name for note in world.notes if note.reason == "OwnerRefInvalidNamespace"}
    assert told == {"child", "wide"}, f"seed {seed}: {told}"


def test_foreground_deletion_goes_from_the_leaves_to_the_root(seeds: range) -> None:
    check(seeds, uproot)


def uproot(seed: int) -> None:
    world = World(seed, (garbage.CONTROLLER,), all_kinds=True)
    chain: list[Object] = []
    for number in range(4):
        owners = [{**_reference(world, chain[-1]), "blockOwnerDeletion": True}] if chain else []
        meta = {"name": f"o{number}", "namespace": "d", "ownerReferences": owners}
        chain.append(world.api.create(KINDS[number % 2], {"metadata": meta}))
    world.settle(horizon=1)
    order: list[str] = []

    def watch(_where: Any, old: Any, new: Any) -> None:
        if new is None:
            order.append(old["metadata"]["name"])

    world.api.changed = watch
    world.resume()
    world.api.delete(KINDS[0], "d", "o0", {"propagationPolicy": "Foreground"})
    world.live(80, horizon=20)
    assert order == ["o3", "o2", "o1", "o0"], f"seed {seed}: {order}"
