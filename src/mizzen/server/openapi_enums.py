"""Fields that hold one of a few words, which the packed definitions do not tell: `kubectl explain` lists them.

Ref: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from collections.abc import Sequence
from typing import Final

from mizzen.machinery.errors import Object

_PULL: Final = ("Always", "IfNotPresent", "Never")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_MESSAGES: Final = ("FallbackToLogsOnError", "File")
_PREEMPTION: Final = ("Never", "PreemptLowerPriority")
_ACCESS: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES: Final = ("Block", "Filesystem")
_RECLAIM: Final = ("Delete", "Recycle", "Retain")
_EFFECTS: Final = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_SCOPES: Final = (
    *("BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating"),
    "VolumeAttributesClass",
)
_PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_TRAFFIC: Final = ("Cluster", "Local")
_HONOR: Final = ("Honor", "Ignore")
_FAILURE: Final = ("Fail", "Ignore")
_MATCH: Final = ("Equivalent", "Exact")
_REINVOCATION: Final = ("IfNeeded", "Never")
_EFFECTS_ASIDE: Final = ("None", "NoneOnDryRun", "Some", "Unknown")
_METRICS: Final = ("ContainerResource", "External", "Object", "Pods", "Resource")
_UPDATES: Final = ("OnDelete", "RollingUpdate")
_USAGES: Final = (
    *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment"),
    *("decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel"),
    *("ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime"),
    *("server auth", "signing", "timestamping"),
)

_WORDS: Final[dict[str, dict[str, Sequence[str]]]] = {
    "admissionregistration.v1.MatchResources": {"matchPolicy": _MATCH},
    "admissionregistration.v1.MutatingAdmissionPolicySpec": {"failurePolicy": _FAILURE},
    "admissionregistration.v1.MutatingWebhook": {
        "failurePolicy": _FAILURE,
        "matchPolicy": _MATCH,
        "reinvocationPolicy": _REINVOCATION,
        "sideEffects": _EFFECTS_ASIDE,
    },
    "admissionregistration.v1.ValidatingAdmissionPolicySpec": {"failurePolicy": _FAILURE},
    "admissionregistration.v1.ValidatingWebhook": {
        "failurePolicy": _FAILURE,
        "matchPolicy": _MATCH,
        "sideEffects": _EFFECTS_ASIDE,
    },
    "apps.v1.DaemonSetUpdateStrategy": {"type": _UPDATES},
    "apps.v1.DeploymentStrategy": {"type": ("Recreate", "RollingUpdate")},
    "apps.v1.StatefulSetSpec": {"podManagementPolicy": ("OrderedReady", "Parallel")},
    "apps.v1.StatefulSetUpdateStrategy": {"type": _UPDATES},
    "autoscaling.v2.MetricSpec": {"type": _METRICS},
    "autoscaling.v2.MetricStatus": {"type": _METRICS},
    "batch.v1.CronJobSpec": {"concurrencyPolicy": ("Allow", "Forbid", "Replace")},
    "batch.v1.JobSpec": {
        "completionMode": ("Indexed", "NonIndexed"),
        "podReplacementPolicy": ("Failed", "TerminatingOrFailed"),
    },
    "batch.v1.PodFailurePolicyOnExitCodesRequirement": {"operator": ("In", "NotIn")},
    "batch.v1.PodFailurePolicyRule": {"action": ("Count", "FailIndex", "FailJob", "Ignore")},
    "certificates.v1.CertificateSigningRequestSpec": {"usages": _USAGES},
    "core.v1.AppArmorProfile": {"type": _PROFILES},
    "core.v1.AzureDiskVolumeSource": {
        "cachingMode": ("None", "ReadOnly", "ReadWrite"),
        "kind": ("Dedicated", "Managed", "Shared"),
    },
    "core.v1.Container": {"imagePullPolicy": _PULL, "terminationMessagePolicy": _MESSAGES},
    "core.v1.ContainerPort": {"protocol": _PROTOCOLS},
    "core.v1.EndpointPort": {"protocol": _PROTOCOLS},
    "core.v1.EphemeralContainer": {"imagePullPolicy": _PULL, "terminationMessagePolicy": _MESSAGES},
    "core.v1.HTTPGetAction": {"scheme": ("HTTP", "HTTPS")},
    "core.v1.HostPathVolumeSource": {
        "type": (
            *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate"),
            "Socket",
        )
    },
    "core.v1.ImageVolumeSource": {"pullPolicy": _PULL},
    "core.v1.NamespaceStatus": {"phase": ("Active", "Terminating")},
    "core.v1.NodeSelectorRequirement": {"operator": ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")},
    "core.v1.NodeStatus": {"phase": ("Pending", "Running", "Terminated")},
    "core.v1.PersistentVolumeClaimSpec": {"accessModes": _ACCESS, "volumeMode": _VOLUME_MODES},
    "core.v1.PersistentVolumeClaimStatus": {"accessModes": _ACCESS, "phase": ("Bound", "Lost", "Pending")},
    "core.v1.PersistentVolumeSpec": {
        "accessModes": _ACCESS,
        "persistentVolumeReclaimPolicy": _RECLAIM,
        "volumeMode": _VOLUME_MODES,
    },
    "core.v1.PersistentVolumeStatus": {"phase": ("Available", "Bound", "Failed", "Pending", "Released")},
    "core.v1.PodSecurityContext": {
        "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
        "supplementalGroupsPolicy": ("Merge", "Strict"),
    },
    "core.v1.PodSpec": {
        "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        "preemptionPolicy": _PREEMPTION,
        "restartPolicy": ("Always", "Never", "OnFailure"),
    },
    "core.v1.PodStatus": {
        "phase": ("Failed", "Pending", "Running", "Succeeded", "Unknown"),
        "qosClass": ("BestEffort", "Burstable", "Guaranteed"),
    },
    "core.v1.PortStatus": {"protocol": _PROTOCOLS},
    "core.v1.ResourceQuotaSpec": {"scopes": _SCOPES},
    "core.v1.ScopedResourceSelectorRequirement": {
        "operator": ("DoesNotExist", "Exists", "In", "NotIn"),
        "scopeName": _SCOPES,
    },
    "core.v1.SeccompProfile": {"type": _PROFILES},
    "core.v1.SecurityContext": {"procMount": ("Default", "Unmasked")},
    "core.v1.ServicePort": {"protocol": _PROTOCOLS},
    "core.v1.ServiceSpec": {
        "externalTrafficPolicy": _TRAFFIC,
        "internalTrafficPolicy": _TRAFFIC,
        "ipFamilyPolicy": ("PreferDualStack", "RequireDualStack", "SingleStack"),
        "sessionAffinity": ("ClientIP", "None"),
        "type": ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
    },
    "core.v1.Taint": {"effect": _EFFECTS},
    "core.v1.Toleration": {"effect": _EFFECTS, "operator": ("Equal", "Exists", "Gt", "Lt")},
    "core.v1.TopologySpreadConstraint": {
        "nodeAffinityPolicy": _HONOR,
        "nodeTaintsPolicy": _HONOR,
        "whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
    },
    "core.v1.VolumeMount": {"mountPropagation": ("Bidirectional", "HostToContainer", "None")},
    "discovery.v1.EndpointPort": {"protocol": _PROTOCOLS},
    "discovery.v1.EndpointSlice": {"addressType": ("FQDN", "IPv4", "IPv6")},
    "networking.v1.HTTPIngressPath": {"pathType": ("Exact", "ImplementationSpecific", "Prefix")},
    "networking.v1.IngressPortStatus": {"protocol": _PROTOCOLS},
    "networking.v1.NetworkPolicyPort": {"protocol": _PROTOCOLS},
    "networking.v1.NetworkPolicySpec": {"policyTypes": ("Egress", "Ingress")},
    "policy.v1.PodDisruptionBudgetSpec": {"unhealthyPodEvictionPolicy": ("AlwaysAllow", "IfHealthyBudget")},
    "scheduling.v1.PriorityClass": {"preemptionPolicy": _PREEMPTION},
    "storage.v1.StorageClass": {
        "reclaimPolicy": _RECLAIM,
        "volumeBindingMode": ("Immediate", "WaitForFirstConsumer"),
    },
}


def of(definition: str) -> dict[str, Sequence[str]]:
    """The words of a definition's fields."""
    return _WORDS.get(definition.removeprefix("io.k8s.api."), {})


def named() -> tuple[tuple[str, str], ...]:
    """All fields that have words: definition and field."""
    return tuple((f"io.k8s.api.{name}", field) for name, fields in _WORDS.items() for field in fields)


def put(node: Object, words: Sequence[str]) -> None:
    """Tell the words of a field, or of a list's items, in place."""
    lines = "\n".join(f' - `"{word}"`' for word in words)
    node["description"] = f"{node.get('description', '')}\n\nPossible enum values:\n{lines}".lstrip("\n")
    target = node
    if node.get("type") == "array":
        target = node["items"] = dict(node["items"])
    target["enum"] = list(words)
