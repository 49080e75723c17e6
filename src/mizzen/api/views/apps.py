"""Views of apps/v1; pod templates stay JSON, since they are only compared and copied."""

from typing import Any

from mizzen.api.views.core import IntOrString, ReplicaStatus
from mizzen.api.views.meta import Condition, LabelSelector, ObjectMeta, View


class ReplicaSetSpec(View, frozen=True, gc=False):
    replicas: int = 1
    minReadySeconds: int = 0
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}


class ReplicaSet(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaStatus = ReplicaStatus()


class RollingUpdateDeployment(View, frozen=True, gc=False):
    maxSurge: IntOrString = "25%"
    maxUnavailable: IntOrString = "25%"


class DeploymentStrategy(View, frozen=True, gc=False):
    type: str = "RollingUpdate"
    rollingUpdate: RollingUpdateDeployment = RollingUpdateDeployment()


class DeploymentSpec(View, frozen=True, gc=False):
    replicas: int = 1
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    strategy: DeploymentStrategy = DeploymentStrategy()
    minReadySeconds: int = 0
    revisionHistoryLimit: int = 10
    paused: bool = False
    progressDeadlineSeconds: int = 600


class DeploymentStatus(View, frozen=True, gc=False):
    observedGeneration: int = 0
    replicas: int = 0
    updatedReplicas: int = 0
    readyReplicas: int = 0
    availableReplicas: int = 0
    unavailableReplicas: int = 0
    terminatingReplicas: int | None = None
    collisionCount: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ControllerRevision(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, Any] = {}
    revision: int = 0


class RollingUpdateStatefulSet(View, frozen=True, gc=False):
    partition: int = 0
    maxUnavailable: IntOrString | None = None


class StatefulSetUpdateStrategy(View, frozen=True, gc=False):
    type: str = "RollingUpdate"
    rollingUpdate: RollingUpdateStatefulSet = RollingUpdateStatefulSet()


class ClaimRetentionPolicy(View, frozen=True, gc=False):
    whenDeleted: str = "Retain"
    whenScaled: str = "Retain"


class StatefulSetOrdinals(View, frozen=True, gc=False):
    start: int = 0


class StatefulSetSpec(View, frozen=True, gc=False):
    replicas: int = 1
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    volumeClaimTemplates: tuple[dict[str, Any], ...] = ()
    serviceName: str = ""
    podManagementPolicy: str = "OrderedReady"
    updateStrategy: StatefulSetUpdateStrategy = StatefulSetUpdateStrategy()
    revisionHistoryLimit: int = 10
    minReadySeconds: int = 0
    persistentVolumeClaimRetentionPolicy: ClaimRetentionPolicy = ClaimRetentionPolicy()
    ordinals: StatefulSetOrdinals = StatefulSetOrdinals()


class StatefulSetStatus(View, frozen=True, gc=False):
    observedGeneration: int = 0
    replicas: int = 0
    readyReplicas: int = 0
    currentReplicas: int = 0
    updatedReplicas: int = 0
    availableReplicas: int = 0
    currentRevision: str = ""
    updateRevision: str = ""
    collisionCount: int = 0


class StatefulSet(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class RollingUpdateDaemonSet(View, frozen=True, gc=False):
    maxSurge: IntOrString = 0
    maxUnavailable: IntOrString = 1


class DaemonSetUpdateStrategy(View, frozen=True, gc=False):
    type: str = "RollingUpdate"
    rollingUpdate: RollingUpdateDaemonSet = RollingUpdateDaemonSet()


class DaemonSetSpec(View, frozen=True, gc=False):
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}
    updateStrategy: DaemonSetUpdateStrategy = DaemonSetUpdateStrategy()
    minReadySeconds: int = 0
    revisionHistoryLimit: int = 10


class DaemonSetStatus(View, frozen=True, gc=False):
    observedGeneration: int = 0
    currentNumberScheduled: int = 0
    desiredNumberScheduled: int = 0
    numberMisscheduled: int = 0
    numberReady: int = 0
    numberAvailable: int = 0
    numberUnavailable: int = 0
    updatedNumberScheduled: int = 0
    collisionCount: int = 0


class DaemonSet(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()
