"""The view in which a shared cache keeps each resource, whoever asks first; all others are kept as metadata."""

from collections.abc import Mapping
from typing import Any, Final

from mizzen.api.views import (
    apiextensions,
    apps,
    batch,
    certificates,
    coordination,
    core,
    discovery,
    networking,
    policy,
    rbac,
    resource,
    storage,
)
from mizzen.client import resources
from mizzen.client.client import Resource

STANDARD: Final[Mapping[Resource, type[Any]]] = {
    resources.CONFIG_MAPS: core.ConfigMap,
    resources.ENDPOINTS: core.Endpoints,
    resources.NAMESPACES: core.Namespace,
    resources.NODES: core.Node,
    resources.PERSISTENT_VOLUMES: core.PersistentVolume,
    resources.PERSISTENT_VOLUME_CLAIMS: core.PersistentVolumeClaim,
    resources.PODS: core.Pod,
    resources.REPLICATION_CONTROLLERS: core.ReplicationController,
    resources.RESOURCE_QUOTAS: core.ResourceQuota,
    resources.SECRETS: core.Secret,
    resources.SERVICES: core.Service,
    resources.SERVICE_ACCOUNTS: core.ServiceAccount,
    resources.CUSTOM_RESOURCE_DEFINITIONS: apiextensions.CustomResourceDefinition,
    resources.API_SERVICES: apiextensions.APIService,
    resources.CONTROLLER_REVISIONS: apps.ControllerRevision,
    resources.DAEMON_SETS: apps.DaemonSet,
    resources.DEPLOYMENTS: apps.Deployment,
    resources.REPLICA_SETS: apps.ReplicaSet,
    resources.STATEFUL_SETS: apps.StatefulSet,
    resources.HORIZONTAL_POD_AUTOSCALERS: policy.HorizontalPodAutoscaler,
    resources.CRON_JOBS: batch.CronJob,
    resources.JOBS: batch.Job,
    resources.LEASES: coordination.Lease,
    resources.ENDPOINT_SLICES: discovery.EndpointSlice,
    resources.INGRESSES: networking.Ingress,
    resources.INGRESS_CLASSES: networking.IngressClass,
    resources.POD_DISRUPTION_BUDGETS: policy.PodDisruptionBudget,
    resources.CLUSTER_ROLES: rbac.ClusterRole,
    resources.CSI_DRIVERS: storage.CSIDriver,
    resources.CSI_NODES: storage.CSINode,
    resources.DEVICE_CLASSES: resource.DeviceClass,
    resources.RESOURCE_SLICES: resource.ResourceSlice,
    resources.RESOURCE_CLAIMS: resource.ResourceClaim,
    resources.RESOURCE_CLAIM_TEMPLATES: resource.ResourceClaimTemplate,
    resources.SERVICE_CIDRS: resource.ServiceCIDR,
    resources.IP_ADDRESSES: resource.IPAddress,
    resources.CERTIFICATE_SIGNING_REQUESTS: certificates.CertificateSigningRequest,
    resources.STORAGE_CLASSES: storage.StorageClass,
    resources.STORAGE_VERSION_MIGRATIONS: resource.StorageVersionMigration,
    resources.VOLUME_ATTACHMENTS: storage.VolumeAttachment,
}
