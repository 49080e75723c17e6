"""A compact way to write roles down, and the API objects that they become."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.machinery.errors import Object

GROUP: Final = "rbac.authorization.k8s.io"
API_VERSION: Final = f"{GROUP}/v1"
AUTOUPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
BOOTSTRAPPING: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}

READ: Final = "get list watch"
WRITE: Final = "create delete deletecollection patch update"
ALL_VERBS: Final = "create delete deletecollection get list patch update watch"


def rule(groups: str, resources: str, verbs: str, names: str = "") -> Object:
    """A rule about resources, each list as words; `core` is the group without a name."""
    made: Object = {
        "verbs": verbs.split(),
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
    }
    if names:
        made["resourceNames"] = names.split()
    return made


def path(paths: str, verbs: str) -> Object:
    """A rule about paths that are no resources."""
    return {"verbs": verbs.split(), "nonResourceURLs": paths.split()}


EVENTS: Final = rule("core events.k8s.io", "events", "create patch update")


@dataclass(frozen=True, slots=True)
class Role:
    """A ClusterRole, or with a namespace a Role; aggregated roles take part in or collect `admin`, `edit`, `view`."""

    name: str
    rules: tuple[Object, ...] = ()
    namespace: str = ""
    aggregate_to: str = ""
    collects: str = ""

    def as_object(self) -> Object:
        labels = dict(BOOTSTRAPPING)
        if self.aggregate_to:
            labels[_aggregation(self.aggregate_to)] = "true"
        role: Object = {
            "apiVersion": API_VERSION,
            "kind": "Role" if self.namespace else "ClusterRole",
            "metadata": _metadata(self.name, self.namespace, labels),
            "rules": list(self.rules),
        }
        if self.collects:
            role["rules"] = None
            role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {_aggregation(self.collects): "true"}}]}
        return role


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding of the role of the same name unless another is named; subjects as words: `Group:system:nodes`.

    A ServiceAccount is written `ServiceAccount:namespace/name`.
    """

    name: str
    subjects: Sequence[str] = ()
    role: str = ""
    namespace: str = ""

    def as_object(self) -> Object:
        bound: Object = {
            "apiVersion": API_VERSION,
            "kind": "RoleBinding" if self.namespace else "ClusterRoleBinding",
            "metadata": _metadata(self.name, self.namespace, dict(BOOTSTRAPPING)),
            "roleRef": {
                "apiGroup": GROUP,
                "kind": "Role" if self.namespace else "ClusterRole",
                "name": self.role or self.name,
            },
        }
        if self.subjects:
            bound["subjects"] = [_subject(subject) for subject in self.subjects]
        return bound


def _aggregation(role: str) -> str:
    return f"{GROUP}/aggregate-to-{role}"


def _metadata(name: str, namespace: str, labels: dict[str, str]) -> Object:
    metadata: Object = {"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}}
    if namespace:
        metadata["namespace"] = namespace
    return metadata


def _subject(text: str) -> Object:
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    return {"apiGroup": GROUP, "kind": kind, "name": name}
