"""Views of the core group: one struct after the other, nothing but fields, hence longer than other files."""
# shape: one struct after the other, nothing but fields

from typing import Any

import msgspec

from mizzen.api.views.meta import Condition, LabelSelector, ObjectMeta, ObjectReference, Requirement, View

IntOrString = int | str
Quantity = str | int | float


class ResourceRequirements(View, frozen=True, gc=False):
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}


class ContainerPort(View, frozen=True, gc=False):
    name: str = ""
    containerPort: int = 0
    hostPort: int = 0
    hostIP: str = ""
    protocol: str = "TCP"


class Container(View, frozen=True, gc=False):
    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    restartPolicy: str = ""


class Toleration(View, frozen=True, gc=False):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    tolerationSeconds: int | None = None

    def tolerates(self, taint: "Taint") -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and self.operator in ("", "Equal") and self.value == taint.value


class Taint(View, frozen=True, gc=False):
    key: str = ""
    value: str = ""
    effect: str = ""
    timeAdded: str | None = None


class ClaimVolumeSource(View, frozen=True, gc=False):
    claimName: str = ""
    readOnly: bool = False


class EphemeralVolumeSource(View, frozen=True, gc=False):
    volumeClaimTemplate: dict[str, Any] | None = None


class SecretVolumeSource(View, frozen=True, gc=False):
    secretName: str = ""


class ImageVolumeSource(View, frozen=True, gc=False):
    reference: str = ""


class Volume(View, frozen=True, gc=False):
    name: str = ""
    image: ImageVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    persistentVolumeClaim: ClaimVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None


class PodReadinessGate(View, frozen=True, gc=False):
    conditionType: str = ""


class PodSchedulingGate(View, frozen=True, gc=False):
    name: str = ""


class NodeSelectorTerm(View, frozen=True, gc=False):
    matchExpressions: tuple[Requirement, ...] = ()
    matchFields: tuple[Requirement, ...] = ()

    def matches(self, name: str, labels: dict[str, str]) -> bool:
        """An empty term matches nothing."""
        if not self.matchExpressions and not self.matchFields:
            return False
        fields = {"metadata.name": name}
        return all(one.matches(labels) for one in self.matchExpressions) and all(
            one.matches(fields) for one in self.matchFields
        )


class NodeSelector(View, frozen=True, gc=False):
    nodeSelectorTerms: tuple[NodeSelectorTerm, ...] = ()

    def matches(self, name: str, labels: dict[str, str]) -> bool:
        """Whether any term does."""
        return any(term.matches(name, labels) for term in self.nodeSelectorTerms)


class PreferredSchedulingTerm(View, frozen=True, gc=False):
    weight: int = 0
    preference: NodeSelectorTerm = NodeSelectorTerm()


class NodeAffinity(View, frozen=True, gc=False):
    requiredDuringSchedulingIgnoredDuringExecution: NodeSelector | None = None
    preferredDuringSchedulingIgnoredDuringExecution: tuple[PreferredSchedulingTerm, ...] = ()


class PodAffinityTerm(View, frozen=True, gc=False):
    labelSelector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespaceSelector: LabelSelector | None = None
    topologyKey: str = ""
    matchLabelKeys: tuple[str, ...] = ()
    mismatchLabelKeys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(View, frozen=True, gc=False):
    weight: int = 0
    podAffinityTerm: PodAffinityTerm = PodAffinityTerm()


class PodAffinity(View, frozen=True, gc=False):
    requiredDuringSchedulingIgnoredDuringExecution: tuple[PodAffinityTerm, ...] = ()
    preferredDuringSchedulingIgnoredDuringExecution: tuple[WeightedPodAffinityTerm, ...] = ()


class Affinity(View, frozen=True, gc=False):
    nodeAffinity: NodeAffinity | None = None
    podAffinity: PodAffinity | None = None
    podAntiAffinity: PodAffinity | None = None


class TopologySpreadConstraint(View, frozen=True, gc=False):
    maxSkew: int = 1
    topologyKey: str = ""
    whenUnsatisfiable: str = "DoNotSchedule"
    labelSelector: LabelSelector | None = None
    minDomains: int | None = None
    nodeAffinityPolicy: str = "Honor"
    nodeTaintsPolicy: str = "Ignore"
    matchLabelKeys: tuple[str, ...] = ()


class PodResourceClaim(View, frozen=True, gc=False):
    name: str = ""
    resourceClaimName: str | None = None
    resourceClaimTemplateName: str | None = None


class PodSpec(View, frozen=True, gc=False):
    nodeName: str = ""
    schedulerName: str = "default-scheduler"
    nodeSelector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topologySpreadConstraints: tuple[TopologySpreadConstraint, ...] = ()
    containers: tuple[Container, ...] = ()
    initContainers: tuple[Container, ...] = ()
    overhead: dict[str, Quantity] = {}
    resources: ResourceRequirements | None = None
    volumes: tuple[Volume, ...] = ()
    resourceClaims: tuple[PodResourceClaim, ...] = ()
    readinessGates: tuple[PodReadinessGate, ...] = ()
    schedulingGates: tuple[PodSchedulingGate, ...] = ()
    priority: int | None = None
    priorityClassName: str = ""
    preemptionPolicy: str = ""
    restartPolicy: str = "Always"
    terminationGracePeriodSeconds: int | None = None
    activeDeadlineSeconds: int | None = None
    hostNetwork: bool = False
    hostname: str = ""
    subdomain: str = ""
    serviceAccountName: str = ""


class StateTerminated(View, frozen=True, gc=False):
    exitCode: int = 0
    reason: str = ""
    finishedAt: str | None = None


class ContainerState(View, frozen=True, gc=False):
    terminated: StateTerminated | None = None
    running: dict[str, Any] | None = None


class ContainerStatus(View, frozen=True, gc=False):
    name: str = ""
    ready: bool = False
    restartCount: int = 0
    state: ContainerState = ContainerState()
    lastState: ContainerState = ContainerState()
    allocatedResources: dict[str, Quantity] = {}
    resources: ResourceRequirements | None = None


class PodIP(View, frozen=True, gc=False):
    ip: str = ""


class PodResourceClaimStatus(View, frozen=True, gc=False):
    name: str = ""
    resourceClaimName: str | None = None


class ExtendedResourceClaimStatus(View, frozen=True, gc=False):
    resourceClaimName: str = ""


class PodStatus(View, frozen=True, gc=False):
    phase: str = "Pending"
    reason: str = ""
    conditions: tuple[Condition, ...] = ()
    podIP: str = ""
    podIPs: tuple[PodIP, ...] = ()
    hostIP: str = ""
    startTime: str | None = None
    nominatedNodeName: str = ""
    qosClass: str = ""
    containerStatuses: tuple[ContainerStatus, ...] = ()
    initContainerStatuses: tuple[ContainerStatus, ...] = ()
    resourceClaimStatuses: tuple[PodResourceClaimStatus, ...] = ()
    extendedResourceClaimStatus: ExtendedResourceClaimStatus | None = None
    allocatedResources: dict[str, Quantity] = {}
    resources: ResourceRequirements | None = None


class Pod(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class NodeSpec(View, frozen=True, gc=False):
    podCIDR: str = ""
    podCIDRs: tuple[str, ...] = ()
    providerID: str = ""
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeAddress(View, frozen=True, gc=False):
    type: str = ""
    address: str = ""


class ContainerImage(View, frozen=True, gc=False):
    names: tuple[str, ...] = ()
    sizeBytes: int = 0


class AttachedVolume(View, frozen=True, gc=False):
    name: str = ""
    devicePath: str = ""


class NodeStatus(View, frozen=True, gc=False):
    conditions: tuple[Condition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()
    capacity: dict[str, Quantity] = {}
    allocatable: dict[str, Quantity] = {}
    images: tuple[ContainerImage, ...] = ()
    volumesInUse: tuple[str, ...] = ()
    volumesAttached: tuple[AttachedVolume, ...] = ()


class Node(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class NamespaceSpec(View, frozen=True, gc=False):
    finalizers: tuple[str, ...] = ()


class NamespaceStatus(View, frozen=True, gc=False):
    phase: str = ""
    conditions: tuple[Condition, ...] = ()


class Namespace(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ServicePort(View, frozen=True, gc=False):
    name: str = ""
    protocol: str = "TCP"
    port: int = 0
    targetPort: IntOrString = 0
    nodePort: int = 0
    appProtocol: str | None = None


class LoadBalancerIngress(View, frozen=True, gc=False):
    ip: str = ""
    hostname: str = ""
    ipMode: str | None = None


class LoadBalancerStatus(View, frozen=True, gc=False):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(View, frozen=True, gc=False):
    loadBalancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class ClientIPConfig(View, frozen=True, gc=False):
    timeoutSeconds: int | None = None


class SessionAffinityConfig(View, frozen=True, gc=False):
    clientIP: ClientIPConfig | None = None


class ServiceSpec(View, frozen=True, gc=False):
    type: str = "ClusterIP"
    selector: dict[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    clusterIP: str = ""
    clusterIPs: tuple[str, ...] = ()
    externalIPs: tuple[str, ...] = ()
    externalName: str = ""
    ipFamilies: tuple[str, ...] = ()
    ipFamilyPolicy: str = ""
    loadBalancerIP: str = ""
    loadBalancerClass: str | None = None
    loadBalancerSourceRanges: tuple[str, ...] = ()
    allocateLoadBalancerNodePorts: bool = True
    externalTrafficPolicy: str = ""
    internalTrafficPolicy: str = ""
    healthCheckNodePort: int = 0
    sessionAffinity: str = "None"
    sessionAffinityConfig: SessionAffinityConfig | None = None
    publishNotReadyAddresses: bool = False
    trafficDistribution: str | None = None


class Service(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class EndpointAddress(View, frozen=True, gc=False):
    ip: str = ""
    hostname: str = ""
    nodeName: str | None = None
    targetRef: ObjectReference | None = None


class EndpointPort(View, frozen=True, gc=False):
    name: str = ""
    port: int = 0
    protocol: str = "TCP"
    appProtocol: str | None = None


class EndpointSubset(View, frozen=True, gc=False):
    addresses: tuple[EndpointAddress, ...] = ()
    notReadyAddresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    subsets: tuple[EndpointSubset, ...] = ()


class ConfigMap(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] = {}
    binaryData: dict[str, str] = {}


class Secret(View, frozen=True, gc=False):
    """Values in `data` are base64."""

    metadata: ObjectMeta = ObjectMeta()
    type: str = ""
    data: dict[str, str] = {}


class ServiceAccount(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    secrets: tuple[ObjectReference, ...] = ()


class ReplicationControllerSpec(View, frozen=True, gc=False):
    replicas: int = 1
    minReadySeconds: int = 0
    selector: dict[str, str] = {}
    template: dict[str, Any] = {}


class ReplicaStatus(View, frozen=True, gc=False):
    """Status of a ReplicationController or a ReplicaSet."""

    replicas: int = 0
    fullyLabeledReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    terminatingReplicas: int | None = None
    observedGeneration: int = 0
    conditions: tuple[Condition, ...] = ()


class ReplicationController(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicaStatus = ReplicaStatus()


class ScopedSelectorRequirement(View, frozen=True, gc=False):
    scopeName: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class ScopeSelector(View, frozen=True, gc=False):
    matchExpressions: tuple[ScopedSelectorRequirement, ...] = ()


class ResourceQuotaSpec(View, frozen=True, gc=False):
    hard: dict[str, Quantity] = {}
    scopes: tuple[str, ...] = ()
    scopeSelector: ScopeSelector | None = None


class ResourceQuotaStatus(View, frozen=True, gc=False):
    hard: dict[str, Quantity] = {}
    used: dict[str, Quantity] = {}


class ResourceQuota(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class VolumeNodeAffinity(View, frozen=True, gc=False):
    required: NodeSelector | None = None


class CSIVolumeSource(View, frozen=True, gc=False):
    driver: str = ""
    volumeHandle: str = ""


class PersistentVolumeSpec(View, frozen=True, gc=False):
    capacity: dict[str, Quantity] = {}
    accessModes: tuple[str, ...] = ()
    storageClassName: str = ""
    volumeMode: str = "Filesystem"
    persistentVolumeReclaimPolicy: str = "Retain"
    claimRef: ObjectReference | None = None
    nodeAffinity: VolumeNodeAffinity | None = None
    volumeAttributesClassName: str | None = None
    csi: CSIVolumeSource | None = None
    local: dict[str, Any] | None = None
    hostPath: dict[str, Any] | None = None


class PersistentVolumeStatus(View, frozen=True, gc=False):
    phase: str = ""
    reason: str = ""
    message: str = ""


class PersistentVolume(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class TypedObjectReference(View, frozen=True, gc=False):
    apiGroup: str | None = None
    kind: str = ""
    name: str = ""
    namespace: str | None = None


class PersistentVolumeClaimSpec(View, frozen=True, gc=False):
    accessModes: tuple[str, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    selector: LabelSelector | None = None
    storageClassName: str | None = None
    volumeName: str = ""
    volumeMode: str = "Filesystem"
    dataSource: TypedObjectReference | None = None
    volumeAttributesClassName: str | None = None


class ModifyVolumeStatus(View, frozen=True, gc=False):
    targetVolumeAttributesClassName: str = ""


class PersistentVolumeClaimStatus(View, frozen=True, gc=False):
    phase: str = ""
    capacity: dict[str, Quantity] = {}
    accessModes: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    currentVolumeAttributesClassName: str = ""
    modifyVolumeStatus: ModifyVolumeStatus | None = None


class PersistentVolumeClaim(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


def pod_spec(template: dict[str, Any]) -> PodSpec:
    """The typed spec of a pod template that is kept as JSON."""
    return msgspec.convert(template.get("spec") or {}, PodSpec)
