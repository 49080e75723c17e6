"""NodeRestriction: a node writes its own Node, the status of its own pods, and little else.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from collections.abc import Mapping
from typing import Final

from mizzen.api.core.pod import POD
from mizzen.api.kind import Kind
from mizzen.machinery.errors import Errors, Object
from mizzen.server.admission import audiences
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.admission.serviceaccount import MIRROR
from mizzen.server.authz.node import node_of
from mizzen.server.seams import Admission, Attributes, Authorizer, Operation, Reader

_RESOURCES: Final = frozenset(
    {
        ("", "pods"),
        ("", "nodes"),
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
        ("", "serviceaccounts"),
        ("coordination.k8s.io", "leases"),
        ("storage.k8s.io", "csinodes"),
        ("resource.k8s.io", "resourceslices"),
    }
)
LOCAL_PATH_FINALIZER: Final = "mizzen.io/local-path"
_RESTRICTED_PREFIX: Final = "node-restriction.kubernetes.io"
_OWN_LABELS: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_OWN_PREFIXES: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")


class NodeRestriction(Plugin):
    """Limits what users of the group system:nodes write."""

    name = "NodeRestriction"

    def __init__(self, reader: Reader, authorizer: Authorizer) -> None:
        self._reader = reader
        self._authorizer = authorizer

    def handles(self, operation: Operation, kind: Kind, subresource: str) -> bool:
        return operation != "CONNECT" and (kind.group, kind.plural) in _RESOURCES

    def mutate(self, admission: Admission) -> None:
        node = node_of(admission.user)
        if not node:
            return
        match admission.kind.plural:
            case "pods":
                self._pod(admission, node)
            case "nodes":
                self._node(admission, node)
            case "persistentvolumeclaims":
                self._claim(admission, node)
            case "persistentvolumes":
                self._volume(admission, node)
            case "serviceaccounts":
                self._token(admission, node)
            case "leases":
                self._lease(admission, node)
            case "csinodes":
                if admission.name != node:
                    raise refusal(admission, "can only access CSINode with the same name as the requesting node")
            case "resourceslices":
                self._slice(admission, node)

    @staticmethod
    def _volume(admission: Admission, node: str) -> None:
        """A node lets go of a deleted volume on its own disk, and changes nothing else of any volume."""
        old, new = admission.old, admission.object
        if admission.operation != "UPDATE" or admission.subresource or old is None or new is None:
            raise refusal(admission, f'node "{node}" can only release local volumes')
        kept = [one for one in old["metadata"].get("finalizers") or () if one != LOCAL_PATH_FINALIZER]
        released = (new["metadata"].get("finalizers") or []) == kept
        unchanged = all(
            old["metadata"].get(key) == new["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")
        )
        if not (released and unchanged and old.get("spec") == new.get("spec") and _is_on(old, node)):
            raise refusal(admission, f'node "{node}" can only release local volumes of its own that are being deleted')

    def _pod(self, admission: Admission, node: str) -> None:
        if admission.subresource in ("status", "eviction"):
            found = admission.old or self._reader.get(POD, admission.namespace, admission.name) or {}
            if (found.get("spec") or {}).get("nodeName") != node:
                verb = "update pod status for" if admission.subresource == "status" else "evict"
                raise refusal(admission, f'node "{node}" can only {verb} pods with spec.nodeName set to itself')
            if admission.subresource == "status":
                self._keeps_labels(admission, node)
            return
        if admission.subresource:
            raise refusal(admission, f'unexpected subresource "{admission.subresource}"')
        if admission.operation == "CREATE":
            self._mirror_pod(admission, node, admission.object or {})
        elif admission.operation == "DELETE":
            if ((admission.old or {}).get("spec") or {}).get("nodeName") != node:
                raise refusal(admission, f'node "{node}" can only delete pods with spec.nodeName set to itself')
        else:
            why = f"unexpected operation {admission.operation}, node can only create and delete mirror pods"
            raise refusal(admission, why)

    @staticmethod
    def _keeps_labels(admission: Admission, node: str) -> None:
        labels = ((admission.object or {}).get("metadata") or {}).get("labels") or {}
        before = ((admission.old or {}).get("metadata") or {}).get("labels") or {}
        if labels != before:
            raise refusal(admission, f'node "{node}" cannot update labels through pod status')

    @staticmethod
    def _mirror_pod(admission: Admission, node: str, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        if MIRROR not in (metadata.get("annotations") or {}):
            why = f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
            raise refusal(admission, why)
        if spec.get("nodeName") != node:
            raise refusal(admission, f'node "{node}" can only create pods with spec.nodeName set to itself')
        owners = metadata.get("ownerReferences") or ()
        if len(owners) > 1 or any(owner.get("kind") != "Node" or owner.get("name") != node for owner in owners):
            raise refusal(admission, f'node "{node}" can only create pods with an owner reference set to itself')
        if any((volume.get("persistentVolumeClaim") or "ephemeral" in volume) for volume in spec.get("volumes") or ()):
            raise refusal(admission, f'node "{node}" can not create pods that reference persistentvolumeclaims')

    def _node(self, admission: Admission, node: str) -> None:
        if admission.name != node and not (admission.operation == "CREATE" and not admission.name):
            raise refusal(admission, f'node "{node}" is not allowed to modify node "{admission.name}"')
        if admission.operation == "DELETE":
            raise refusal(admission, f'node "{node}" is not allowed to delete node "{admission.name}"')
        new, old = admission.object or {}, admission.old or {}
        labels = (new.get("metadata") or {}).get("labels") or {}
        before = (old.get("metadata") or {}).get("labels") or {}
        if bad := _forbidden_labels(labels, before):
            doing = "set the following labels" if admission.operation == "CREATE" else "modify labels"
            raise refusal(admission, f'node "{node}" is not allowed to {doing}: {", ".join(bad)}')
        if admission.operation == "UPDATE":
            spec, stored = new.get("spec") or {}, old.get("spec") or {}
            if not admission.subresource and spec.get("taints") != stored.get("taints"):
                raise refusal(admission, f'node "{node}" is not allowed to modify taints')
            if spec.get("configSource") != stored.get("configSource"):
                raise refusal(admission, f'node "{node}" is not allowed to update configSource')
            owners = (new.get("metadata") or {}).get("ownerReferences")
            if owners != (old.get("metadata") or {}).get("ownerReferences"):
                raise refusal(admission, f'node "{node}" is not allowed to modify ownerReferences')

    @staticmethod
    def _claim(admission: Admission, node: str) -> None:
        if admission.subresource != "status" or admission.operation != "UPDATE":
            raise refusal(admission, f'node "{node}" may only update PVC status')

    def _token(self, admission: Admission, node: str) -> None:
        """A node asks for tokens of the pods that run on it, each bound to its pod."""
        if admission.subresource != "token" or admission.object is None:
            return
        bound = (admission.object.get("spec") or {}).get("boundObjectRef") or {}
        if (bound.get("kind"), bound.get("apiVersion")) != ("Pod", "v1") or not bound.get("name"):
            raise refusal(admission, "node requested token not bound to a pod")
        if not bound.get("uid"):
            raise refusal(admission, "node requested token with a pod binding without a uid")
        pod = self._reader.get(POD, admission.namespace, bound["name"])
        if pod is None:
            raise Errors.not_found("", "pods", bound["name"])
        if pod["metadata"]["uid"] != bound["uid"]:
            why = f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record"
            raise refusal(admission, f"{why}. The object might have been deleted and then recreated")
        if pod["spec"].get("nodeName") != node:
            raise refusal(admission, "node requested token bound to a pod scheduled on a different node")
        self._check_audience(admission, pod)

    def _check_audience(self, admission: Admission, pod: Object) -> None:
        """A token is for whom a volume of the pod says, or whom somebody has allowed for the account."""
        asked = ((admission.object or {}).get("spec") or {}).get("audiences") or [""]
        if len(asked) > 1:
            raise refusal(admission, "node may only request 0 or 1 audiences")
        if asked[0] in audiences.of_pod(self._reader, pod):
            return
        account = pod["spec"].get("serviceAccountName") or ""
        question = Attributes(
            admission.user,
            "request-serviceaccounts-token-audience",
            resource=asked[0],
            namespace=admission.namespace,
            name=account,
        )
        if not asked[0] or not self._authorizer.authorize(question).allowed:
            why = f"{admission.user.name} is not authorized to request tokens for this audience"
            raise refusal(admission, f'audience "{asked[0]}" not found in pod spec volume, {why}')

    @staticmethod
    def _lease(admission: Admission, node: str) -> None:
        if admission.namespace != "kube-node-lease":
            raise refusal(admission, 'can only access leases in the "kube-node-lease" system namespace')
        if admission.name != node:
            raise refusal(admission, "can only access node lease with the same name as the requesting node")

    @staticmethod
    def _slice(admission: Admission, node: str) -> None:
        held = (admission.object or admission.old or {}).get("spec") or {}
        if held.get("nodeName") != node:
            raise refusal(admission, "can only create ResourceSlice with the same NodeName as the requesting node")


def _forbidden_labels(labels: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """Labels of Kubernetes' own domains that changed and that a node may not give itself."""
    changed = {key for key in labels.keys() | before.keys() if labels.get(key) != before.get(key)}
    return sorted(key for key in changed if not _may_set(key))


def _may_set(key: str) -> bool:
    if key in _OWN_LABELS:
        return True
    domain = key.partition("/")[0] if "/" in key else ""
    if domain == _RESTRICTED_PREFIX or domain.endswith("." + _RESTRICTED_PREFIX):
        return False
    if not any(domain == own or domain.endswith("." + own) for own in ("kubernetes.io", "k8s.io")):
        return True
    return any(domain == own or domain.endswith("." + own) for own in _OWN_PREFIXES)


def _is_on(volume: Object, node: str) -> bool:
    """Whether a volume is being deleted and its data is on this node alone."""
    if not volume["metadata"].get("deletionTimestamp") or "local" not in volume["spec"]:
        return False
    required = ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    hosts = {
        host
        for term in required
        for one in term.get("matchExpressions") or ()
        if one.get("key") == "kubernetes.io/hostname" and one.get("operator") == "In"
        for host in one.get("values") or ()
    }
    return hosts == {node}
