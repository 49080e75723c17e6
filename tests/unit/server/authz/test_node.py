import pytest
from tests.fakes.reader import FakeReader, made

from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.pod import POD
from mizzen.cluster.bootstrap.clusterroles import CLUSTER_ROLES
from mizzen.machinery.identity import Identity
from mizzen.server.authz.node import NodeAuthorizer
from mizzen.server.authz.rules import Rule
from mizzen.server.seams import Attributes

NODE = Identity("system:node:n1", groups=("system:nodes", "system:authenticated"))
RULES = [Rule.parse(rule) for role in CLUSTER_ROLES if role.name == "system:node" for rule in role.rules]


def _pod(node: str = "n1") -> dict[str, object]:
    container = {
        "name": "app",
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "a"}}}],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
    }
    spec = {
        "nodeName": node,
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [container],
        "volumes": [
            {"name": "a", "secret": {"secretName": "mounted"}},
            {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "c", "projected": {"sources": [{"configMap": {"name": "projected"}}]}},
        ],
    }
    return made("web", "shop", spec=spec)


def _world() -> tuple[FakeReader, NodeAuthorizer]:
    csi = {"nodePublishSecretRef": {"namespace": "storage", "name": "disk-secret"}}
    reader = FakeReader(
        (POD, _pod()),
        (PERSISTENT_VOLUME_CLAIM, made("data", "shop", spec={"volumeName": "pv-1"})),
        (PERSISTENT_VOLUME, made("pv-1", spec={"csi": csi})),
    )
    return reader, NodeAuthorizer(reader, RULES)


def _asks(
    verb: str, resource: str, name: str = "", namespace: str = "shop", group: str = "", fields: str = ""
) -> Attributes:
    plural, _, subresource = resource.partition("/")
    return Attributes(NODE, verb, group, "v1", plural, subresource, namespace, name, fields=fields)


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        (_asks("get", "secrets", "env-secret"), True),
        (_asks("get", "secrets", "mounted"), True),
        (_asks("watch", "secrets", "pull"), True),
        (_asks("get", "secrets", "disk-secret", "storage"), True),
        (_asks("get", "secrets", "private"), False),
        (_asks("get", "secrets", "mounted", "other"), False),
        (_asks("list", "secrets"), False),
        (_asks("update", "secrets", "mounted"), False),
        (_asks("get", "configmaps", "settings"), True),
        (_asks("get", "configmaps", "projected"), True),
        (_asks("get", "configmaps", "other"), False),
        (_asks("get", "persistentvolumeclaims", "data"), True),
        (_asks("patch", "persistentvolumeclaims/status", "data"), True),
        (_asks("patch", "persistentvolumeclaims", "data"), False),
        (_asks("get", "persistentvolumes", "pv-1", ""), True),
        (_asks("get", "persistentvolumes", "pv-2", ""), False),
        (_asks("create", "serviceaccounts/token", "robot"), True),
        (_asks("create", "serviceaccounts/token", "admin"), False),
        (_asks("list", "pods", "", "", fields="spec.nodeName=n1"), True),
        (_asks("list", "pods", "", "", fields="spec.nodeName=n2"), False),
        (_asks("list", "pods", "", ""), False),
        (_asks("get", "pods", "web"), True),
        (_asks("get", "pods", "elsewhere"), False),
        (_asks("patch", "pods/status", "web"), True),
        (_asks("get", "nodes", "n1", ""), True),
        (_asks("get", "nodes", "n2", ""), False),
        (_asks("patch", "nodes/status", "n1", ""), True),
        (_asks("update", "leases", "n1", "kube-node-lease", "coordination.k8s.io"), True),
        (_asks("update", "leases", "n2", "kube-node-lease", "coordination.k8s.io"), False),
        (_asks("get", "leases", "n1", "shop", "coordination.k8s.io"), False),
        (_asks("create", "events"), True),
        (_asks("delete", "namespaces", "shop", ""), False),
    ],
)
def test_a_node_may_do_what_its_pods_need(attributes: Attributes, allowed: bool) -> None:
    assert _world()[1].authorize(attributes).allowed is allowed


def test_rights_come_and_go_with_the_pod() -> None:
    reader, authorizer = _world()
    asked = _asks("get", "secrets", "mounted")
    assert authorizer.authorize(asked).allowed
    reader.drop(POD, "shop", "web")
    assert not authorizer.authorize(asked).allowed
    reader.put(POD, _pod("n2"))
    assert not authorizer.authorize(asked).allowed
    reader.put(POD, _pod("n1"))
    assert authorizer.authorize(asked).allowed


def test_others_are_no_concern_of_it() -> None:
    asked = Attributes(Identity("jane"), "get", "", "v1", "secrets", "", "shop", "mounted")
    assert not _world()[1].authorize(asked).allowed
