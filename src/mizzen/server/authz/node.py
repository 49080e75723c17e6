"""The Node authorizer: a node may read what the pods bound to it refer to, and write what describes itself.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/node/
"""

from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.pod import POD
from mizzen.api.resource.resourceclaim import RESOURCE_CLAIM
from mizzen.api.storage.volumeattachment import VOLUME_ATTACHMENT
from mizzen.machinery import fields
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.server.authz.rules import Rule
from mizzen.server.seams import Attributes, Decision, Reader

GROUP: Final = "system:nodes"
USER_PREFIX: Final = "system:node:"
_NO: Final = Decision(False)
_YES: Final = Decision(True)

Reference = tuple[str, str, str]
"""(plural, namespace, name) of what a pod refers to."""


def node_of(user: Identity) -> str:
    """The name of the node that this user is; empty for other users."""
    if GROUP not in user.groups or not user.name.startswith(USER_PREFIX):
        return ""
    return user.name.removeprefix(USER_PREFIX)


class NodeAuthorizer:
    """Knows for each node its pods and what they refer to, from the first time that a node asks."""

    def __init__(self, reader: Reader, rules: Iterable[Rule]) -> None:
        self._reader = reader
        self._rules = tuple(rules)
        self._pods: dict[str, dict[str, tuple[Reference, ...]]] | None = None

    def authorize(self, attributes: Attributes) -> Decision:
        node = node_of(attributes.user)
        if not node:
            return _NO
        resource = attributes.resource
        if not attributes.group and resource in ("secrets", "configmaps"):
            return self._read_named(node, attributes, ("get", "list", "watch"))
        if not attributes.group and resource in ("persistentvolumeclaims", "persistentvolumes"):
            return self._volume(node, attributes)
        if attributes.group == "storage.k8s.io" and resource == "volumeattachments":
            return self._attachment(node, attributes)
        if attributes.group == "resource.k8s.io" and resource == "resourceclaims":
            return self._claim(node, attributes)
        if not attributes.group and resource == "serviceaccounts":
            return self._token(node, attributes)
        if attributes.group == "coordination.k8s.io" and resource == "leases":
            return self._own(node, attributes, namespace="kube-node-lease")
        if attributes.group == "storage.k8s.io" and resource == "csinodes":
            return self._own(node, attributes)
        if not attributes.group and resource == "nodes":
            return self._node(node, attributes)
        if not attributes.group and resource == "pods":
            return self._pod(node, attributes)
        return self._static(attributes)

    def _static(self, attributes: Attributes) -> Decision:
        key = (attributes.verb, attributes.group, attributes.resource, attributes.subresource)
        return _YES if any(rule.allows_resource(*key) and not rule.names for rule in self._rules) else _NO

    def _read_named(self, node: str, attributes: Attributes, verbs: tuple[str, ...]) -> Decision:
        if attributes.verb not in verbs:
            return Decision(False, f"can only {_or(verbs)} individual resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot read subresource")
        if not attributes.name:
            return Decision(False, "No Object name found")
        reference = (attributes.resource, attributes.namespace, attributes.name)
        return _YES if self._refers(node, reference) else self._unrelated(node, reference)

    def _volume(self, node: str, attributes: Attributes) -> Decision:
        if attributes.resource == "persistentvolumeclaims" and attributes.subresource == "status":
            if attributes.verb not in ("get", "update", "patch"):
                return Decision(False, "can only get/update/patch this type")
        elif attributes.verb != "get" or attributes.subresource:
            return Decision(False, "can only get individual resources of this type")
        if attributes.resource == "persistentvolumeclaims":
            reference = ("persistentvolumeclaims", attributes.namespace, attributes.name)
            return _YES if self._refers(node, reference) else self._unrelated(node, reference)
        names = (volume["metadata"]["name"] for volume in self._volumes(node))
        return _YES if attributes.name in names else self._unrelated(node, ("persistentvolumes", "", attributes.name))

    def _attachment(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb != "get" or attributes.subresource:
            return Decision(False, "can only get individual resources of this type")
        found = self._reader.get(VOLUME_ATTACHMENT, "", attributes.name)
        is_own = found is not None and found["spec"].get("nodeName") == node
        return _YES if is_own else self._unrelated(node, ("volumeattachments", "", attributes.name))

    def _claim(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb != "get" or attributes.subresource:
            return Decision(False, "can only get individual resources of this type")
        wanted = ("resourceclaims", attributes.namespace, attributes.name)
        if self._refers(node, wanted):
            return _YES
        claim = self._reader.get(RESOURCE_CLAIM, attributes.namespace, attributes.name)
        owners = (claim or {}).get("metadata", {}).get("ownerReferences") or ()
        pods = self._on(node)
        is_pods = any(owner["kind"] == "Pod" and f"{wanted[1]}/{owner['name']}" in pods for owner in owners)
        return _YES if is_pods else self._unrelated(node, wanted)

    def _token(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb == "get" and not attributes.subresource:
            return self._read_named(node, attributes, ("get",))
        if attributes.verb != "create" or attributes.subresource != "token":
            return Decision(False, "can only create tokens for individual service accounts")
        reference = ("serviceaccounts", attributes.namespace, attributes.name)
        return _YES if self._refers(node, reference) else self._unrelated(node, reference)

    def _own(self, node: str, attributes: Attributes, namespace: str = "") -> Decision:
        if attributes.verb not in ("get", "create", "update", "patch", "delete"):
            return Decision(False, "can only get, create, update, patch, or delete this type")
        if namespace and attributes.namespace != namespace:
            return Decision(False, f'can only access leases in the "{namespace}" system namespace')
        if attributes.verb != "create" and attributes.name != node:
            return Decision(False, f"can only access {attributes.resource} with the same name as the requesting node")
        return _YES

    def _node(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb in ("get", "list", "watch") and not attributes.subresource:
            own = attributes.name == node or _exact(attributes, "metadata.name") == node
            return _YES if own else Decision(False, f"node '{node}' cannot read all nodes, only its own Node object")
        return self._static(attributes)

    def _pod(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb in ("list", "watch") and not attributes.subresource:
            if _exact(attributes, "spec.nodeName") == node:
                return _YES
            if not attributes.name:
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
        if attributes.verb in ("get", "list", "watch"):
            is_own = f"{attributes.namespace}/{attributes.name}" in self._on(node)
            return _YES if is_own else self._unrelated(node, ("pods", attributes.namespace, attributes.name))
        return self._static(attributes)

    def _unrelated(self, node: str, reference: Reference) -> Decision:
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _refers(self, node: str, reference: Reference) -> bool:
        if any(reference in references for references in self._on(node).values()):
            return True
        if reference[0] != "secrets":
            return False
        return any(reference in _volume_secrets(volume) for volume in self._volumes(node))

    def _volumes(self, node: str) -> Iterator[Object]:
        """The persistent volumes behind the claims of the node's pods."""
        for references in self._on(node).values():
            for plural, namespace, name in references:
                if plural != "persistentvolumeclaims":
                    continue
                claim = self._reader.get(PERSISTENT_VOLUME_CLAIM, namespace, name)
                volume_name = ((claim or {}).get("spec") or {}).get("volumeName", "")
                volume = self._reader.get(PERSISTENT_VOLUME, "", volume_name) if volume_name else None
                if volume is not None:
                    yield volume

    def _on(self, node: str) -> dict[str, tuple[Reference, ...]]:
        if self._pods is None:
            self._pods = {}
            self._reader.subscribe(POD, self._pod_changed)
        return self._pods.get(node, {})

    def _pod_changed(self, key: str, old: Object | None, new: Object | None) -> None:
        pods = self._pods if self._pods is not None else {}
        old_node = old["spec"].get("nodeName") if old else None
        new_node = new["spec"].get("nodeName") if new else None
        if old_node and old_node != new_node:
            pods.get(old_node, {}).pop(key, None)
        if new is not None and new_node:
            pods.setdefault(new_node, {})[key] = tuple(dict.fromkeys(references(new)))


def references(pod: Object) -> Iterator[Reference]:
    """Everything that a node must read to run a pod."""
    namespace, spec = pod["metadata"]["namespace"], pod["spec"]
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
        return
    yield "serviceaccounts", namespace, spec.get("serviceAccountName") or "default"
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", namespace, secret.get("name", "")
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _environment(container, namespace)
    for volume in spec.get("volumes") or ():
        yield from _volume_references(volume, pod)
    for status in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        if status.get("resourceClaimName"):
            yield "resourceclaims", namespace, status["resourceClaimName"]
    for claim in spec.get("resourceClaims") or ():
        if claim.get("resourceClaimName"):
            yield "resourceclaims", namespace, claim["resourceClaimName"]


def _environment(container: Object, namespace: str) -> Iterator[Reference]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if key := source.get("secretKeyRef"):
            yield "secrets", namespace, key.get("name", "")
        if key := source.get("configMapKeyRef"):
            yield "configmaps", namespace, key.get("name", "")
    for source in container.get("envFrom") or ():
        if key := source.get("secretRef"):
            yield "secrets", namespace, key.get("name", "")
        if key := source.get("configMapRef"):
            yield "configmaps", namespace, key.get("name", "")


_SECRET_REFS: Final = {
    "cephfs": "secretRef",
    "flexVolume": "secretRef",
    "iscsi": "secretRef",
    "rbd": "secretRef",
    "scaleIO": "secretRef",
    "storageos": "secretRef",
    "csi": "nodePublishSecretRef",
}


def _volume_references(volume: Object, pod: Object) -> Iterator[Reference]:
    namespace = pod["metadata"]["namespace"]
    if source := volume.get("secret"):
        yield "secrets", namespace, source.get("secretName", "")
    if source := volume.get("configMap"):
        yield "configmaps", namespace, source.get("name", "")
    if source := volume.get("azureFile"):
        yield "secrets", namespace, source.get("secretName", "")
    if source := volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", namespace, source.get("claimName", "")
    if "ephemeral" in volume:
        yield "persistentvolumeclaims", namespace, f"{pod['metadata']['name']}-{volume['name']}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        if part := source.get("secret"):
            yield "secrets", namespace, part.get("name", "")
        if part := source.get("configMap"):
            yield "configmaps", namespace, part.get("name", "")
    for kind, key in _SECRET_REFS.items():
        if reference := (volume.get(kind) or {}).get(key):
            yield "secrets", namespace, reference.get("name", "")


def _volume_secrets(volume: Object) -> Iterator[Reference]:
    """Secrets that a persistent volume names for the node."""
    spec = volume["spec"]
    claim = spec.get("claimRef") or {}
    for key in ("nodeStageSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef", "controllerExpandSecretRef"):
        if reference := (spec.get("csi") or {}).get(key):
            yield "secrets", reference.get("namespace", ""), reference.get("name", "")
    for kind in ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"):
        if reference := (spec.get(kind) or {}).get("secretRef"):
            yield "secrets", reference.get("namespace") or claim.get("namespace", ""), reference.get("name", "")


def _exact(attributes: Attributes, field: str) -> str | None:
    if not attributes.fields:
        return None
    try:
        return fields.parse(attributes.fields).exact(field)
    except fields.SelectorError:
        return None


def _or(verbs: tuple[str, ...]) -> str:
    return verbs[0] if len(verbs) == 1 else ", ".join(verbs[:-1]) + f" or {verbs[-1]}"
