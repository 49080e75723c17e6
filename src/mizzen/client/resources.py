"""Every built-in resource by name: `PODS.path("default", "web-0")`; `BUILT_IN` finds one by apiVersion and kind."""

from collections.abc import Mapping
from typing import Final

from mizzen.client.client import Resource

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
SUBJECT_ACCESS_REVIEWS: Final = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)

CONFIG_MAPS: Final = Resource("", "v1", "configmaps")
ENDPOINTS: Final = Resource("", "v1", "endpoints")
EVENTS: Final = Resource("", "v1", "events")
LIMIT_RANGES: Final = Resource("", "v1", "limitranges")
NAMESPACES: Final = Resource("", "v1", "namespaces", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", namespaced=False)
PERSISTENT_VOLUMES: Final = Resource("", "v1", "persistentvolumes", namespaced=False)
PERSISTENT_VOLUME_CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims")
PODS: Final = Resource("", "v1", "pods")
POD_TEMPLATES: Final = Resource("", "v1", "podtemplates")
REPLICATION_CONTROLLERS: Final = Resource("", "v1", "replicationcontrollers")
RESOURCE_QUOTAS: Final = Resource("", "v1", "resourcequotas")
SECRETS: Final = Resource("", "v1", "secrets")
SERVICES: Final = Resource("", "v1", "services")
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts")

MUTATING_ADMISSION_POLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", namespaced=False
)
MUTATING_ADMISSION_POLICY_BINDINGS: Final = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", namespaced=False
)
MUTATING_WEBHOOK_CONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", namespaced=False
)
VALIDATING_ADMISSION_POLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", namespaced=False
)
VALIDATING_ADMISSION_POLICY_BINDINGS: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", namespaced=False
)
VALIDATING_WEBHOOK_CONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", namespaced=False
)

CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False
)

API_SERVICES: Final = Resource("apiregistration.k8s.io", "v1", "apiservices", namespaced=False)

CONTROLLER_REVISIONS: Final = Resource("apps", "v1", "controllerrevisions")
DAEMON_SETS: Final = Resource("apps", "v1", "daemonsets")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments")
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets")

HORIZONTAL_POD_AUTOSCALERS: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers")

CRON_JOBS: Final = Resource("batch", "v1", "cronjobs")
JOBS: Final = Resource("batch", "v1", "jobs")

CERTIFICATE_SIGNING_REQUESTS: Final = Resource(
    "certificates.k8s.io", "v1", "certificatesigningrequests", namespaced=False
)
CLUSTER_TRUST_BUNDLES: Final = Resource("certificates.k8s.io", "v1", "clustertrustbundles", namespaced=False)
POD_CERTIFICATE_REQUESTS: Final = Resource("certificates.k8s.io", "v1", "podcertificaterequests")

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases")

ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices")

FLOW_SCHEMAS: Final = Resource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", namespaced=False)
PRIORITY_LEVEL_CONFIGURATIONS: Final = Resource(
    "flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", namespaced=False
)

INGRESSES: Final = Resource("networking.k8s.io", "v1", "ingresses")
INGRESS_CLASSES: Final = Resource("networking.k8s.io", "v1", "ingressclasses", namespaced=False)
IP_ADDRESSES: Final = Resource("networking.k8s.io", "v1", "ipaddresses", namespaced=False)
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies")
SERVICE_CIDRS: Final = Resource("networking.k8s.io", "v1", "servicecidrs", namespaced=False)

RUNTIME_CLASSES: Final = Resource("node.k8s.io", "v1", "runtimeclasses", namespaced=False)

POD_DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets")

CLUSTER_ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", namespaced=False)
ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles")
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings")

DEVICE_CLASSES: Final = Resource("resource.k8s.io", "v1", "deviceclasses", namespaced=False)
DEVICE_TAINT_RULES: Final = Resource("resource.k8s.io", "v1", "devicetaintrules", namespaced=False)
RESOURCE_CLAIMS: Final = Resource("resource.k8s.io", "v1", "resourceclaims")
RESOURCE_CLAIM_TEMPLATES: Final = Resource("resource.k8s.io", "v1", "resourceclaimtemplates")
RESOURCE_SLICES: Final = Resource("resource.k8s.io", "v1", "resourceslices", namespaced=False)

PRIORITY_CLASSES: Final = Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False)

CSI_DRIVERS: Final = Resource("storage.k8s.io", "v1", "csidrivers", namespaced=False)
CSI_NODES: Final = Resource("storage.k8s.io", "v1", "csinodes", namespaced=False)
CSI_STORAGE_CAPACITIES: Final = Resource("storage.k8s.io", "v1", "csistoragecapacities")
STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", namespaced=False)
VOLUME_ATTACHMENTS: Final = Resource("storage.k8s.io", "v1", "volumeattachments", namespaced=False)
VOLUME_ATTRIBUTES_CLASSES: Final = Resource("storage.k8s.io", "v1", "volumeattributesclasses", namespaced=False)

STORAGE_VERSION_MIGRATIONS: Final = Resource(
    "storagemigration.k8s.io", "v1", "storageversionmigrations", namespaced=False
)

BUILT_IN: Final[Mapping[tuple[str, str], Resource]] = {
    ("v1", "ConfigMap"): CONFIG_MAPS,
    ("v1", "Endpoints"): ENDPOINTS,
    ("v1", "Event"): EVENTS,
    ("v1", "LimitRange"): LIMIT_RANGES,
    ("v1", "Namespace"): NAMESPACES,
    ("v1", "Node"): NODES,
    ("v1", "PersistentVolume"): PERSISTENT_VOLUMES,
    ("v1", "PersistentVolumeClaim"): PERSISTENT_VOLUME_CLAIMS,
    ("v1", "Pod"): PODS,
    ("v1", "PodTemplate"): POD_TEMPLATES,
    ("v1", "ReplicationController"): REPLICATION_CONTROLLERS,
    ("v1", "ResourceQuota"): RESOURCE_QUOTAS,
    ("v1", "Secret"): SECRETS,
    ("v1", "Service"): SERVICES,
    ("v1", "ServiceAccount"): SERVICE_ACCOUNTS,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"): MUTATING_ADMISSION_POLICIES,
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding"): MUTATING_ADMISSION_POLICY_BINDINGS,
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): MUTATING_WEBHOOK_CONFIGURATIONS,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): VALIDATING_ADMISSION_POLICIES,
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"): VALIDATING_ADMISSION_POLICY_BINDINGS,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): VALIDATING_WEBHOOK_CONFIGURATIONS,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): CUSTOM_RESOURCE_DEFINITIONS,
    ("apiregistration.k8s.io/v1", "APIService"): API_SERVICES,
    ("apps/v1", "ControllerRevision"): CONTROLLER_REVISIONS,
    ("apps/v1", "DaemonSet"): DAEMON_SETS,
    ("apps/v1", "Deployment"): DEPLOYMENTS,
    ("apps/v1", "ReplicaSet"): REPLICA_SETS,
    ("apps/v1", "StatefulSet"): STATEFUL_SETS,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): HORIZONTAL_POD_AUTOSCALERS,
    ("batch/v1", "CronJob"): CRON_JOBS,
    ("batch/v1", "Job"): JOBS,
    ("certificates.k8s.io/v1", "CertificateSigningRequest"): CERTIFICATE_SIGNING_REQUESTS,
    ("certificates.k8s.io/v1", "ClusterTrustBundle"): CLUSTER_TRUST_BUNDLES,
    ("certificates.k8s.io/v1", "PodCertificateRequest"): POD_CERTIFICATE_REQUESTS,
    ("coordination.k8s.io/v1", "Lease"): LEASES,
    ("discovery.k8s.io/v1", "EndpointSlice"): ENDPOINT_SLICES,
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema"): FLOW_SCHEMAS,
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"): PRIORITY_LEVEL_CONFIGURATIONS,
    ("networking.k8s.io/v1", "Ingress"): INGRESSES,
    ("networking.k8s.io/v1", "IngressClass"): INGRESS_CLASSES,
    ("networking.k8s.io/v1", "IPAddress"): IP_ADDRESSES,
    ("networking.k8s.io/v1", "NetworkPolicy"): NETWORK_POLICIES,
    ("networking.k8s.io/v1", "ServiceCIDR"): SERVICE_CIDRS,
    ("node.k8s.io/v1", "RuntimeClass"): RUNTIME_CLASSES,
    ("policy/v1", "PodDisruptionBudget"): POD_DISRUPTION_BUDGETS,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): CLUSTER_ROLES,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): CLUSTER_ROLE_BINDINGS,
    ("rbac.authorization.k8s.io/v1", "Role"): ROLES,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ROLE_BINDINGS,
    ("resource.k8s.io/v1", "DeviceClass"): DEVICE_CLASSES,
    ("resource.k8s.io/v1", "DeviceTaintRule"): DEVICE_TAINT_RULES,
    ("resource.k8s.io/v1", "ResourceClaim"): RESOURCE_CLAIMS,
    ("resource.k8s.io/v1", "ResourceClaimTemplate"): RESOURCE_CLAIM_TEMPLATES,
    ("resource.k8s.io/v1", "ResourceSlice"): RESOURCE_SLICES,
    ("scheduling.k8s.io/v1", "PriorityClass"): PRIORITY_CLASSES,
    ("storage.k8s.io/v1", "CSIDriver"): CSI_DRIVERS,
    ("storage.k8s.io/v1", "CSINode"): CSI_NODES,
    ("storage.k8s.io/v1", "CSIStorageCapacity"): CSI_STORAGE_CAPACITIES,
    ("storage.k8s.io/v1", "StorageClass"): STORAGE_CLASSES,
    ("storage.k8s.io/v1", "VolumeAttachment"): VOLUME_ATTACHMENTS,
    ("storage.k8s.io/v1", "VolumeAttributesClass"): VOLUME_ATTRIBUTES_CLASSES,
    ("storagemigration.k8s.io/v1", "StorageVersionMigration"): STORAGE_VERSION_MIGRATIONS,
}
"""(apiVersion, kind) of every built-in kind that can be watched and deleted."""
