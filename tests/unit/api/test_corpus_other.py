"""Kinds that are not workloads, against the recordings of the original server."""

import copy

import pytest

from mizzen.api.core import service_update
from mizzen.api.kind import Kind
from mizzen.machinery.errors import FieldError, Object

from . import replay

CORE = {
    "services",
    "endpoints",
    "configmaps",
    "secrets",
    "persistentvolumes",
    "persistentvolumeclaims",
}
GROUPS = {
    "networking.k8s.io",
    "discovery.k8s.io",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "certificates.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "resource.k8s.io",
    "storagemigration.k8s.io",
}
NEEDS_SERVER = {
    "Service: name starts with a digit": "allowed since 1.36",
    "Service: cluster address out of range": "the allocator knows the range",
    "Service: cluster address already taken": "the allocator knows who has it",
    "ingress takes the default ingress class": "an admission plugin",
    "tokenreview of a bad token": "an authenticator answers",
    "tokenreview with audience": "an authenticator answers",
    "selfsubjectaccessreview non resource": "an authorizer answers",
    "localsubjectaccessreview": "an authorizer answers",
    "selfsubjectreview": "an authenticator answers",
    "PUT, another kind in the body": "the server knows which kind a path is for",
}


def is_ours(kind: Kind) -> bool:
    return kind.group in GROUPS or (not kind.group and kind.plural in CORE)


def allocate(kind: Kind, new: Object, old: Object | None) -> list[FieldError]:
    """What the Service allocators of a cluster with IPv4 alone do."""
    if kind.kind != "Service":
        return []
    spec = new["spec"]
    problems = list(service_update.complete_families(spec, old and old["spec"], ("IPv4",)))
    if not problems and spec["type"] != "ExternalName" and not spec.get("clusterIPs"):
        spec["clusterIP"], spec["clusterIPs"] = "10.96.0.9", ["10.96.0.9"]
    if spec["type"] in {"NodePort", "LoadBalancer"} and spec.get("allocateLoadBalancerNodePorts") is not False:
        for i, port in enumerate(spec.get("ports") or ()):
            port.setdefault("nodePort", 30000 + i)
    if spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local":
        spec.setdefault("healthCheckNodePort", 30900)
    return problems


CASES = [
    case for file in ("defaults", "validation") for case in replay.cases(file, is_ours) if case.name not in NEEDS_SERVER
]


if CASES:

    @pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
    def test_the_rules_answer_as_recorded(case: replay.Case) -> None:
        assert replay.differences(case, allocate) == []


def test_defaults_of_defaults_are_the_same_and_an_unchanged_object_may_be_written_again() -> None:
    for case in CASES:
        for kind, stored in replay.created(case):
            again = copy.deepcopy(stored)
            if kind.default is not None:
                kind.default(again)
            assert again == stored, case.name
            if kind.prepare is not None:
                kind.prepare(again, stored)
            assert kind.validate is None or list(kind.validate(again, stored)) == [], case.name
