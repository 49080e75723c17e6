"""A pod as the node sees it: the whole spec, and the status another component may have written.

The other components look at a pod through the smaller views of `mizzen.api.views.core`.
"""

from typing import Any

import msgspec


class _View(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


Quantity = str | int | float
IntOrString = int | str


class OwnerReference(_View, frozen=True, kw_only=True, omit_defaults=True):
    apiVersion: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class PodMeta(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int | None = None
    creationTimestamp: str | None = None
    deletionTimestamp: str | None = None
    deletionGracePeriodSeconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    ownerReferences: tuple[OwnerReference, ...] | None = None
    finalizers: tuple[str, ...] | None = None


class LocalRef(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    optional: bool | None = None


class KeyRef(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    key: str = ""
    optional: bool | None = None


class FieldRef(_View, frozen=True, kw_only=True, omit_defaults=True):
    fieldPath: str = ""
    apiVersion: str | None = None


class ResourceFieldRef(_View, frozen=True, kw_only=True, omit_defaults=True):
    resource: str = ""
    containerName: str | None = None
    divisor: Quantity | None = None


class FileKeyRef(_View, frozen=True, kw_only=True, omit_defaults=True):
    volumeName: str = ""
    path: str = ""
    key: str = ""
    optional: bool | None = None


class EnvSource(_View, frozen=True, kw_only=True, omit_defaults=True):
    fieldRef: FieldRef | None = None
    resourceFieldRef: ResourceFieldRef | None = None
    configMapKeyRef: KeyRef | None = None
    secretKeyRef: KeyRef | None = None
    fileKeyRef: FileKeyRef | None = None


class EnvVar(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    value: str | None = None
    valueFrom: EnvSource | None = None


class EnvFrom(_View, frozen=True, kw_only=True, omit_defaults=True):
    prefix: str | None = None
    configMapRef: LocalRef | None = None
    secretRef: LocalRef | None = None


class ContainerPort(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str | None = None
    containerPort: int = 0
    hostPort: int | None = None
    hostIP: str | None = None
    protocol: str = "TCP"


class Resources(_View, frozen=True, kw_only=True, omit_defaults=True):
    limits: dict[str, Quantity] | None = None
    requests: dict[str, Quantity] | None = None
    claims: tuple[dict[str, Any], ...] | None = None


class HttpHeader(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    value: str = ""


class HttpGet(_View, frozen=True, kw_only=True, omit_defaults=True):
    path: str | None = None
    port: IntOrString = 0
    host: str | None = None
    scheme: str = "HTTP"
    httpHeaders: tuple[HttpHeader, ...] | None = None


class ExecAction(_View, frozen=True, kw_only=True, omit_defaults=True):
    command: tuple[str, ...] | None = None


class TcpSocket(_View, frozen=True, kw_only=True, omit_defaults=True):
    port: IntOrString = 0
    host: str | None = None


class GrpcAction(_View, frozen=True, kw_only=True, omit_defaults=True):
    port: int = 0
    service: str | None = None


class SleepAction(_View, frozen=True, kw_only=True, omit_defaults=True):
    seconds: int = 0


class Probe(_View, frozen=True, kw_only=True, omit_defaults=True):
    exec: ExecAction | None = None
    httpGet: HttpGet | None = None
    tcpSocket: TcpSocket | None = None
    grpc: GrpcAction | None = None
    initialDelaySeconds: int | None = None
    timeoutSeconds: int | None = None
    periodSeconds: int | None = None
    successThreshold: int | None = None
    failureThreshold: int | None = None
    terminationGracePeriodSeconds: int | None = None


class LifecycleHook(_View, frozen=True, kw_only=True, omit_defaults=True):
    exec: ExecAction | None = None
    httpGet: HttpGet | None = None
    tcpSocket: TcpSocket | None = None
    sleep: SleepAction | None = None


class Lifecycle(_View, frozen=True, kw_only=True, omit_defaults=True):
    postStart: LifecycleHook | None = None
    preStop: LifecycleHook | None = None
    stopSignal: str | None = None


class Capabilities(_View, frozen=True, kw_only=True, omit_defaults=True):
    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class AppArmorProfile(_View, frozen=True, kw_only=True, omit_defaults=True):
    type: str = ""
    localhostProfile: str | None = None


class SeccompProfile(_View, frozen=True, kw_only=True, omit_defaults=True):
    type: str = ""
    localhostProfile: str | None = None


class SecurityContext(_View, frozen=True, kw_only=True, omit_defaults=True):
    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    privileged: bool | None = None
    readOnlyRootFilesystem: bool | None = None
    allowPrivilegeEscalation: bool | None = None
    capabilities: Capabilities | None = None
    procMount: str | None = None
    seccompProfile: SeccompProfile | None = None
    appArmorProfile: AppArmorProfile | None = None


class Sysctl(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    value: str = ""


class PodSecurityContext(_View, frozen=True, kw_only=True, omit_defaults=True):
    runAsUser: int | None = None
    runAsGroup: int | None = None
    runAsNonRoot: bool | None = None
    fsGroup: int | None = None
    fsGroupChangePolicy: str | None = None
    supplementalGroups: tuple[int, ...] | None = None
    supplementalGroupsPolicy: str | None = None
    sysctls: tuple[Sysctl, ...] | None = None
    seccompProfile: SeccompProfile | None = None
    appArmorProfile: AppArmorProfile | None = None


class VolumeMount(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    mountPath: str = ""
    readOnly: bool | None = None
    recursiveReadOnly: str | None = None
    subPath: str | None = None
    subPathExpr: str | None = None
    mountPropagation: str | None = None


class VolumeDevice(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    devicePath: str = ""


class RestartExitCodes(_View, frozen=True, kw_only=True, omit_defaults=True):
    operator: str = ""
    values: tuple[int, ...] | None = None


class RestartRule(_View, frozen=True, kw_only=True, omit_defaults=True):
    action: str = ""
    exitCodes: RestartExitCodes | None = None


class ResizePolicy(_View, frozen=True, kw_only=True, omit_defaults=True):
    resourceName: str = ""
    restartPolicy: str = ""


class Container(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    image: str = ""
    imagePullPolicy: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    workingDir: str | None = None
    env: tuple[EnvVar, ...] | None = None
    envFrom: tuple[EnvFrom, ...] | None = None
    ports: tuple[ContainerPort, ...] | None = None
    resources: Resources | None = None
    resizePolicy: tuple[ResizePolicy, ...] | None = None
    restartPolicy: str | None = None
    restartPolicyRules: tuple[RestartRule, ...] | None = None
    volumeMounts: tuple[VolumeMount, ...] | None = None
    volumeDevices: tuple[VolumeDevice, ...] | None = None
    livenessProbe: Probe | None = None
    readinessProbe: Probe | None = None
    startupProbe: Probe | None = None
    lifecycle: Lifecycle | None = None
    securityContext: SecurityContext | None = None
    stdin: bool | None = None
    stdinOnce: bool | None = None
    tty: bool | None = None
    terminationMessagePath: str | None = None
    terminationMessagePolicy: str | None = None
    targetContainerName: str | None = None


class KeyToPath(_View, frozen=True, kw_only=True, omit_defaults=True):
    key: str = ""
    path: str = ""
    mode: int | None = None


class EmptyDir(_View, frozen=True, kw_only=True, omit_defaults=True):
    medium: str | None = None
    sizeLimit: Quantity | None = None


class HostPath(_View, frozen=True, kw_only=True, omit_defaults=True):
    path: str = ""
    type: str | None = None


class ConfigMapVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    items: tuple[KeyToPath, ...] | None = None
    defaultMode: int | None = None
    optional: bool | None = None


class SecretVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    secretName: str = ""
    items: tuple[KeyToPath, ...] | None = None
    defaultMode: int | None = None
    optional: bool | None = None


class SecretProjection(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    items: tuple[KeyToPath, ...] | None = None
    optional: bool | None = None


class DownwardFile(_View, frozen=True, kw_only=True, omit_defaults=True):
    path: str = ""
    fieldRef: FieldRef | None = None
    resourceFieldRef: ResourceFieldRef | None = None
    mode: int | None = None


class DownwardVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    items: tuple[DownwardFile, ...] | None = None
    defaultMode: int | None = None


class TokenProjection(_View, frozen=True, kw_only=True, omit_defaults=True):
    path: str = ""
    audience: str | None = None
    expirationSeconds: int | None = None


class TrustBundleProjection(_View, frozen=True, kw_only=True, omit_defaults=True):
    path: str = ""
    name: str | None = None
    signerName: str | None = None
    labelSelector: dict[str, Any] | None = None
    optional: bool | None = None


class CertificateProjection(_View, frozen=True, kw_only=True, omit_defaults=True):
    signerName: str = ""
    keyType: str = ""
    maxExpirationSeconds: int | None = None
    credentialBundlePath: str | None = None
    keyPath: str | None = None
    certificateChainPath: str | None = None
    userAnnotations: dict[str, str] | None = None


class Projection(_View, frozen=True, kw_only=True, omit_defaults=True):
    configMap: ConfigMapVolume | None = None
    secret: SecretProjection | None = None
    downwardAPI: DownwardVolume | None = None
    serviceAccountToken: TokenProjection | None = None
    clusterTrustBundle: TrustBundleProjection | None = None
    podCertificate: CertificateProjection | None = None


class ProjectedVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    sources: tuple[Projection, ...] | None = None
    defaultMode: int | None = None


class ClaimVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    claimName: str = ""
    readOnly: bool | None = None


class NfsVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    server: str = ""
    path: str = ""
    readOnly: bool | None = None


class ImageVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    reference: str = ""
    pullPolicy: str | None = None


class EphemeralVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    volumeClaimTemplate: dict[str, Any] | None = None


class CsiVolume(_View, frozen=True, kw_only=True, omit_defaults=True):
    driver: str = ""
    readOnly: bool | None = None
    fsType: str | None = None
    volumeAttributes: dict[str, str] | None = None
    nodePublishSecretRef: LocalRef | None = None


class Volume(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    emptyDir: EmptyDir | None = None
    hostPath: HostPath | None = None
    configMap: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    downwardAPI: DownwardVolume | None = None
    projected: ProjectedVolume | None = None
    persistentVolumeClaim: ClaimVolume | None = None
    nfs: NfsVolume | None = None
    image: ImageVolume | None = None
    ephemeral: EphemeralVolume | None = None
    csi: CsiVolume | None = None


class HostAlias(_View, frozen=True, kw_only=True, omit_defaults=True):
    ip: str = ""
    hostnames: tuple[str, ...] | None = None


class DnsOption(_View, frozen=True, kw_only=True, omit_defaults=True):
    name: str = ""
    value: str | None = None


class DnsConfig(_View, frozen=True, kw_only=True, omit_defaults=True):
    nameservers: tuple[str, ...] | None = None
    searches: tuple[str, ...] | None = None
    options: tuple[DnsOption, ...] | None = None


class ReadinessGate(_View, frozen=True, kw_only=True, omit_defaults=True):
    conditionType: str = ""


class Toleration(_View, frozen=True, kw_only=True, omit_defaults=True):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    tolerationSeconds: int | None = None


class PodSpec(_View, frozen=True, kw_only=True, omit_defaults=True):
    containers: tuple[Container, ...] = ()
    initContainers: tuple[Container, ...] | None = None
    ephemeralContainers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    resourceClaims: tuple[dict[str, Any], ...] | None = None
    restartPolicy: str | None = None
    terminationGracePeriodSeconds: int | None = None
    activeDeadlineSeconds: int | None = None
    dnsPolicy: str | None = None
    dnsConfig: DnsConfig | None = None
    nodeName: str | None = None
    nodeSelector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = None
    serviceAccountName: str | None = None
    automountServiceAccountToken: bool | None = None
    hostNetwork: bool | None = None
    hostPID: bool | None = None
    hostIPC: bool | None = None
    hostUsers: bool | None = None
    shareProcessNamespace: bool | None = None
    securityContext: PodSecurityContext | None = None
    imagePullSecrets: tuple[LocalRef, ...] | None = None
    hostname: str | None = None
    hostnameOverride: str | None = None
    subdomain: str | None = None
    setHostnameAsFQDN: bool | None = None
    hostAliases: tuple[HostAlias, ...] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    priority: int | None = None
    priorityClassName: str | None = None
    readinessGates: tuple[ReadinessGate, ...] | None = None
    runtimeClassName: str | None = None
    enableServiceLinks: bool | None = None
    overhead: dict[str, Quantity] | None = None
    os: dict[str, str] | None = None
    resources: Resources | None = None


class Pod(_View, frozen=True, kw_only=True, omit_defaults=True):
    """A pod; `status` is kept as JSON, because the agent writes most of it and reads little."""

    metadata: PodMeta = PodMeta()
    spec: PodSpec = PodSpec()
    status: dict[str, Any] | None = None
