"""What the cluster does for itself, under every kind of trouble: roles, certificates, tokens, migrations."""

import base64
import hashlib
import hmac
from typing import Any

import orjson
from tests.sim.story import check
from tests.sim.world import World
from tests.unit.controllers.test_certificates import REQUEST, request

from mizzen.client.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    CLUSTER_ROLES,
    CLUSTER_TRUST_BUNDLES,
    CONFIG_MAPS,
    SECRETS,
)
from mizzen.controllers import bootstrap_tokens, certificates, legacy_tokens, roles, storage_migration, trust_bundles
from mizzen.controllers.config import Config
from mizzen.machinery import times
from mizzen.machinery.errors import Object
from mizzen.wire.message import Request

RBAC = "rbac.authorization.k8s.io"
CSR = ("certificates.k8s.io", "certificatesigningrequests")
MIGRATIONS = ("storagemigration.k8s.io", "storageversionmigrations")


def test_an_aggregated_role_is_the_sum_of_what_it_selects(seeds: range) -> None:
    check(seeds, gather)


def gather(seed: int) -> None:
    world = World(seed, (roles.CONTROLLER,))
    labels = {"to": "sum"}
    selectors = {"clusterRoleSelectors": [{"matchLabels": labels}]}
    world.api.create((RBAC, "clusterroles"), {"metadata": {"name": "sum"}, "aggregationRule": selectors})
    for name in ("a", "b", "c"):
        rules = [{"verbs": ["get"], "apiGroups": [""], "resources": [name]}]
        meta = {"name": name, "labels": labels if name != "c" else {}}
        world.api.create((RBAC, "clusterroles"), {"metadata": meta, "rules": rules})
    world.users = (
        lambda w: w.api.patch(CLUSTER_ROLES, "", "c", {"metadata": {"labels": labels}}),
        lambda w: w.api.delete((RBAC, "clusterroles"), "", "a"),
    )
    world.live(50)
    found = world.api.get((RBAC, "clusterroles"), "", "sum")
    assert [rule["resources"] for rule in found["rules"]] == [["b"], ["c"]], f"seed {seed}"
    others = [one for one in world.api.requests if one.method != "GET" and not one.path.endswith("/sum")]
    assert not others, f"seed {seed}: only the sum is written to"


def test_the_api_servers_authority_is_published_once_and_none_that_is_past(seeds: range) -> None:
    check(seeds, publish)


def publish(seed: int) -> None:
    controller = trust_bundles.publisher(Config(root_ca="new"))
    assert controller is not None
    world = World(seed, (controller,))
    group = ("certificates.k8s.io", "clustertrustbundles")
    for name, text in ((trust_bundles.name_of("old"), "old"), ("example.com:signer:mine", "mine")):
        signer = trust_bundles.SIGNER if text == "old" else "example.com/signer"
        world.api.create(group, {"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": text}})
    world.users = (
        lambda w: w.api.create(("", "namespaces"), {"metadata": {"name": "kube-system"}}),
        lambda w: [
            w.api.delete(group, "", one["metadata"]["name"])
            for one in w.all(CLUSTER_TRUST_BUNDLES)
            if one["spec"]["trustBundle"] == "new"
        ],
    )
    world.live(40)
    found = {one["metadata"]["name"]: one["spec"]["trustBundle"] for one in world.all(CLUSTER_TRUST_BUNDLES)}
    assert found == {trust_bundles.name_of("new"): "new", "example.com:signer:mine": "mine"}, f"seed {seed}"


def test_nodes_get_certificates_in_their_own_name_and_only_if_they_may(seeds: range) -> None:
    check(seeds, certify)


def certify(seed: int) -> None:
    controllers = (certificates.APPROVING, certificates.signing(Config(sign=_sign)), certificates.CLEANING)
    world = World(seed, [one for one in controllers if one is not None])
    may = world.rng.random() < 0.5
    asked: list[Object] = []

    def review(question: Request) -> Object:
        asked.append(orjson.loads(orjson.dumps(question.body)))
        return {"status": {"allowed": may}}

    world.api.responders = {"/apis/authorization.k8s.io/v1/subjectaccessreviews": review}
    world.api.create(CSR, request("node"))
    world.api.create(CSR, request("other", signerName="example.com/own"))
    world.live(50, horizon=100)
    found = {one["metadata"]["name"]: one for one in world.all(CERTIFICATE_SIGNING_REQUESTS)}
    status = found["node"].get("status") or {}
    assert bool(status.get("certificate")) == may, f"seed {seed}"
    assert [one["type"] for one in status.get("conditions") or ()] == (["Approved"] if may else []), f"seed {seed}"
    assert not found["other"].get("status"), f"seed {seed}: somebody else's signer"
    assert all(one["spec"]["user"] == "system:node:n1" for one in asked), f"seed {seed}"
    world.desks = [desk for desk in world.desks if desk.controller is certificates.CLEANING]
    world.settle(horizon=30 * 3600)
    assert not world.all(CERTIFICATE_SIGNING_REQUESTS), f"seed {seed}: old ones are cleaned away"


def _sign(pem: bytes, _usages: tuple[str, ...], _seconds: int) -> bytes:
    assert pem == REQUEST
    return b"signed"


def test_every_live_bootstrap_token_signs_the_cluster_info(seeds: range) -> None:
    check(seeds, vouch)


def vouch(seed: int) -> None:
    world = World(seed, (bootstrap_tokens.SIGNER, bootstrap_tokens.CLEANER))
    meta = {"name": "cluster-info", "namespace": "kube-public"}
    world.api.create(("", "configmaps"), {"metadata": meta, "data": {"kubeconfig": "old", "other": "stays"}})
    for name, more in (("aaaaaa", {}), ("bbbbbb", {"expiration": world.clock.now() + 900}), ("cccccc", {"no": True})):
        world.api.create(("", "secrets"), _token(name, **more))
    world.users = (lambda w: w.api.patch(CONFIG_MAPS, "kube-public", "cluster-info", {"data": {"kubeconfig": "new"}}),)
    world.live(60, horizon=100)
    [found] = world.all(CONFIG_MAPS)
    assert found["data"]["other"] == "stays", f"seed {seed}"
    signed = {key for key in found["data"] if key.startswith("jws-")}
    alive = {"jws-kubeconfig-aaaaaa", "jws-kubeconfig-bbbbbb"}
    assert signed in (alive, {"jws-kubeconfig-aaaaaa"}), f"seed {seed}: {signed}"
    header, _, signature = found["data"]["jws-kubeconfig-aaaaaa"].split(".")
    content = base64.urlsafe_b64encode(b"new").rstrip(b"=").decode()
    digest = hmac.digest(b"secret", f"{header}.{content}".encode(), hashlib.sha256)
    assert signature == base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), f"seed {seed}"
    world.settle(horizon=2000)
    left = {one["metadata"]["name"] for one in world.all(SECRETS)}
    assert left == {"bootstrap-token-aaaaaa", "bootstrap-token-cccccc"}, f"seed {seed}: {left}"
    [found] = world.all(CONFIG_MAPS)
    signed = {key for key in found["data"] if key.startswith("jws-")}
    assert signed == {"jws-kubeconfig-aaaaaa"}, f"seed {seed}: an expired token vouches for nothing"


def _token(name: str, expiration: float | None = None, no: bool = False) -> Object:
    texts = {"token-id": name, "token-secret": "secret", "usage-bootstrap-signing": "false" if no else "true"}
    if expiration is not None:
        texts["expiration"] = times.format(expiration)
    data = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
    meta = {"name": f"bootstrap-token-{name}", "namespace": "kube-system"}
    return {"metadata": meta, "type": bootstrap_tokens.TYPE, "data": data}


def test_a_migration_writes_every_object_again(seeds: range) -> None:
    check(seeds, migrate)


def migrate(seed: int) -> None:
    world = World(seed, (storage_migration.CONTROLLER,))
    for at in range(4):
        world.api.create(("", "secrets"), {"metadata": {"name": f"s{at}", "namespace": "d"}})
    spec = {"resource": {"group": "", "resource": "secrets"}}
    world.api.create(MIGRATIONS, {"metadata": {"name": "all"}, "spec": spec})
    world.users = (lambda w: w.api.delete(("", "secrets"), "d", "s2"),)
    rewritten: set[str] = set()
    world.api.refuse = lambda request: rewritten.add(_patched(request))
    world.live(60, horizon=100)
    found = world.api.get(MIGRATIONS, "", "all")
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert conditions == {"Running": "False", "Succeeded": "True"}, f"seed {seed}"
    assert rewritten >= {"s0", "s1", "s3"}, f"seed {seed}: {rewritten}"
    assert len(world.all(SECRETS)) == 3, f"seed {seed}"


def _patched(one: Any) -> str:
    return str(one.path.rpartition("/")[2]) if one.method == "PATCH" else ""


def test_tokens_that_nobody_uses_are_marked_and_go_and_no_others(seeds: range) -> None:
    check(seeds, forget)


def forget(seed: int) -> None:
    world = World(seed, (legacy_tokens.CONTROLLER,))
    namespace, name = legacy_tokens.TRACKING
    since = times.format(world.clock.now())[:10]
    world.api.create(("", "configmaps"), {"metadata": {"name": name, "namespace": namespace}, "data": {"since": since}})
    accounts = {"metadata": {"name": "robot", "namespace": "d"}, "secrets": [{"name": "old"}, {"name": "mounted"}]}
    world.api.create(("", "serviceaccounts"), accounts)
    for name in ("old", "mounted", "own"):
        meta = {"name": name, "namespace": "d", "annotations": {legacy_tokens.ACCOUNT: "robot"}}
        world.api.create(("", "secrets"), {"metadata": meta, "type": legacy_tokens.TYPE})
    volume = {"name": "v", "secret": {"secretName": "mounted"}}
    world.api.create(("", "pods"), {"metadata": {"name": "p", "namespace": "d"}, "spec": {"volumes": [volume]}})
    for _ in range(11):
        world.clock.elapsed += 90 * 86400
        _look_at_tokens(world)
        world.live(10)
        _look_at_tokens(world)  # a process that starts anew looks at all of them
        world.settle()
    left = {one["metadata"]["name"]: one["metadata"].get("labels") or {} for one in world.all(SECRETS)}
    assert left == {"mounted": {}, "own": {}}, f"seed {seed}: {left}"
    assert world.writes() <= {"PATCH secrets", "DELETE secrets"}, f"seed {seed}"


def _look_at_tokens(world: World) -> None:
    for token in ("old", "mounted", "own"):
        world.desks[0].wake(f"d/{token}")
