"""The default FlowSchemas and PriorityLevelConfigurations.

Ref: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#defaults
"""

from collections.abc import Sequence
from typing import Final

from mizzen.machinery.errors import Object

API_VERSION: Final = "flowcontrol.apiserver.k8s.io/v1"
AUTOUPDATE: Final = "apf.kubernetes.io/autoupdate-spec"
_EVERYONE: Final = ("Group:system:unauthenticated", "Group:system:authenticated")
_ANY_RESOURCE: Final[Object] = {
    "verbs": ["*"],
    "apiGroups": ["*"],
    "resources": ["*"],
    "clusterScope": True,
    "namespaces": ["*"],
}
_ANY_PATH: Final[Object] = {"verbs": ["*"], "nonResourceURLs": ["*"]}


def _level(name: str, shares: int, lendable: int, queues: tuple[int, int, int] | None) -> Object:
    """A limited level; `queues` is (how many, hand size, length limit), None: reject at once."""
    response: Object = {"type": "Reject"}
    if queues:
        count, hand, length = queues
        response = {"type": "Queue", "queuing": {"queues": count, "handSize": hand, "queueLengthLimit": length}}
    limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}
    return _wrapped("PriorityLevelConfiguration", name, {"type": "Limited", "limited": limited})


def _wrapped(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "annotations": {AUTOUPDATE: "true"}}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _schema(
    name: str,
    level: str,
    precedence: int,
    subjects: Sequence[str],
    *,
    by: str = "",
    resources: Sequence[Object] = (_ANY_RESOURCE,),
    paths: Sequence[Object] = (_ANY_PATH,),
) -> Object:
    rule: Object = {"subjects": [_subject(subject) for subject in subjects]}
    if resources:
        rule["resourceRules"] = list(resources)
    if paths:
        rule["nonResourceRules"] = list(paths)
    spec: Object = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [rule],
    }
    if by:
        spec["distinguisherMethod"] = {"type": by}
    return _wrapped("FlowSchema", name, spec)


def _subject(text: str) -> Object:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "serviceAccount": {"namespace": namespace, "name": account}}
    return {"kind": kind, kind.lower(): {"name": name}}


def _resources(group: str, resources: str, verbs: str, *, cluster: bool = False) -> Object:
    made: Object = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    if cluster:
        made["clusterScope"] = True
    return made | {"namespaces": ["*"]}


_MANAGER: Final = "User:system:kube-controller-manager"
_SCHEDULER: Final = "User:system:kube-scheduler"
_SYSTEM_ACCOUNTS: Final = "ServiceAccount:kube-system/*"
_LEASES: Final = _resources("coordination.k8s.io", "leases", "get create update")

PRIORITY_LEVELS: Final = (
    _wrapped(
        "PriorityLevelConfiguration",
        "exempt",
        {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}},
    ),
    _level("catch-all", 5, 0, None),
    _level("global-default", 20, 50, (128, 6, 50)),
    _level("leader-election", 10, 0, (16, 4, 50)),
    _level("node-high", 40, 25, (64, 6, 50)),
    _level("system", 30, 33, (64, 6, 50)),
    _level("workload-high", 40, 50, (128, 6, 50)),
    _level("workload-low", 100, 90, (128, 6, 50)),
)

FLOW_SCHEMAS: Final = (
    _schema("exempt", "exempt", 1, ("Group:system:masters",)),
    _schema(
        "probes",
        "exempt",
        2,
        _EVERYONE,
        resources=(),
        paths=({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]},),
    ),
    _schema(
        "system-leader-election",
        "leader-election",
        100,
        (_MANAGER, _SCHEDULER, _SYSTEM_ACCOUNTS),
        by="ByUser",
        resources=(_LEASES,),
        paths=(),
    ),
    _schema(
        "endpoint-controller",
        "workload-high",
        150,
        (
            _MANAGER,
            "ServiceAccount:kube-system/endpoint-controller",
            "ServiceAccount:kube-system/endpointslicemirroring-controller",
        ),
        by="ByUser",
        resources=(_resources("", "endpoints", "get create update"),),
        paths=(),
    ),
    _schema(
        "workload-leader-election",
        "leader-election",
        200,
        (_SYSTEM_ACCOUNTS,),
        by="ByUser",
        resources=(_resources("", "endpoints configmaps", "get create update"), _LEASES),
        paths=(),
    ),
    _schema(
        "system-node-high",
        "node-high",
        400,
        ("Group:system:nodes",),
        by="ByUser",
        resources=(
            _resources("", "nodes nodes/status", "*", cluster=True),
            _resources("coordination.k8s.io", "leases", "*"),
        ),
        paths=(),
    ),
    _schema("system-nodes", "system", 500, ("Group:system:nodes",), by="ByUser"),
    _schema("kube-controller-manager", "workload-high", 800, (_MANAGER,), by="ByNamespace"),
    _schema("kube-scheduler", "workload-high", 800, (_SCHEDULER,), by="ByNamespace"),
    _schema("kube-system-service-accounts", "workload-high", 900, (_SYSTEM_ACCOUNTS,), by="ByNamespace"),
    _schema("service-accounts", "workload-low", 9000, ("Group:system:serviceaccounts",), by="ByUser"),
    _schema("global-default", "global-default", 9900, _EVERYONE, by="ByUser"),
    _schema("catch-all", "catch-all", 10000, _EVERYONE, by="ByUser"),
)
