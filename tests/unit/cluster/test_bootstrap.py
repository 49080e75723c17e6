from dataclasses import replace

from tests.fakes.reader import FakeReader, FakeWriter

from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.kinds import KINDS
from mizzen.api.rbac.clusterrole import CLUSTER_ROLE
from mizzen.api.rbac.clusterrolebinding import CLUSTER_ROLE_BINDING
from mizzen.cluster.bootstrap import objects
from mizzen.cluster.bootstrap.objects import Facts
from mizzen.cluster.bootstrap.reconcile import reconcile
from mizzen.machinery.identity import Identity
from mizzen.server.authz.rbac import Rbac
from mizzen.server.seams import Attributes

FACTS = Facts("10.96.0.0/16", "10.96.0.1", ("192.0.2.1",), 6443, "the CA")


async def _cluster() -> tuple[FakeReader, FakeWriter]:
    reader = FakeReader()
    writer = FakeWriter(reader)
    await reconcile(FACTS, reader, writer)
    return reader, writer


async def test_a_new_cluster_gets_everything_once() -> None:
    reader, writer = await _cluster()
    count = sum(len(batch) for batch in objects.batches(FACTS))
    assert len(writer.done) == count
    await reconcile(FACTS, reader, writer)
    assert len(writer.done) == count


async def test_every_object_names_a_kind_that_is_served() -> None:
    served = {(kind.api_version, kind.kind) for kind in KINDS}
    assert all(
        (obj["apiVersion"], obj["kind"]) in served and (kind.api_version, kind.kind) == (obj["apiVersion"], obj["kind"])
        for batch in objects.batches(FACTS)
        for kind, obj in batch
    )


async def test_a_rule_that_was_taken_away_comes_back_and_an_added_one_stays() -> None:
    reader, writer = await _cluster()
    role = reader.get(CLUSTER_ROLE, "", "system:basic-user")
    assert role is not None
    extra = {"verbs": ["get"], "apiGroups": ["example"], "resources": ["things"]}
    kept = role["rules"][1:]
    reader.put(CLUSTER_ROLE, {**role, "rules": [*kept, extra]})
    await reconcile(FACTS, reader, writer)
    assert reader.get(CLUSTER_ROLE, "", "system:basic-user")["rules"] == [*kept, extra, role["rules"][0]]


async def test_a_role_that_opts_out_is_left_alone() -> None:
    reader, writer = await _cluster()
    role = reader.get(CLUSTER_ROLE, "", "system:basic-user")
    metadata = {**role["metadata"], "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}
    reader.put(CLUSTER_ROLE, {**role, "metadata": metadata, "rules": []})
    await reconcile(FACTS, reader, writer)
    assert reader.get(CLUSTER_ROLE, "", "system:basic-user")["rules"] == []


async def test_a_subject_that_was_taken_away_comes_back() -> None:
    reader, writer = await _cluster()
    bound = reader.get(CLUSTER_ROLE_BINDING, "", "system:discovery")
    reader.put(CLUSTER_ROLE_BINDING, {**bound, "subjects": []})
    await reconcile(FACTS, reader, writer)
    assert reader.get(CLUSTER_ROLE_BINDING, "", "system:discovery")["subjects"] == bound["subjects"]


async def test_loopback_addresses_are_no_endpoints() -> None:
    facts = Facts("10.96.0.0/16", "10.96.0.1", ("127.0.0.1",), 6443)
    assert objects.kubernetes_endpoints(facts)["subsets"] == []
    assert objects.kubernetes_endpoint_slice(facts)["endpoints"] == []


async def test_every_controller_may_work_under_its_own_account() -> None:
    reader, _ = await _cluster()
    rbac = Rbac(reader)
    account = Identity(
        "system:serviceaccount:kube-system:job-controller", groups=("system:serviceaccounts", "system:authenticated")
    )
    create = Attributes(account, "create", "", "v1", "pods", namespace="shop")
    assert rbac.authorize(create).reason == (
        'RBAC: allowed by ClusterRoleBinding "system:controller:job-controller" of ClusterRole '
        '"system:controller:job-controller" to ServiceAccount "job-controller/kube-system"'
    )
    assert not rbac.authorize(Attributes(account, "create", "", "v1", "secrets", namespace="shop")).allowed


async def test_the_signatures_of_the_cluster_info_outlive_a_restart() -> None:
    facts = FACTS
    reader = FakeReader()
    writer = FakeWriter(reader)
    await reconcile(facts, reader, writer)
    info = reader.get(CONFIG_MAP, "kube-public", "cluster-info")
    assert info is not None
    assert f"server: https://{facts.addresses[0]}:{facts.port}" in info["data"]["kubeconfig"]
    info["data"]["jws-kubeconfig-abcdef"] = "signed"
    await reconcile(replace(facts, port=facts.port + 1), reader, writer)
    info = reader.get(CONFIG_MAP, "kube-public", "cluster-info")
    assert info is not None
    assert info["data"]["jws-kubeconfig-abcdef"] == "signed"
    assert f":{facts.port + 1}" in info["data"]["kubeconfig"]
