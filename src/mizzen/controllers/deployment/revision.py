"""ReplicaSets as a deployment's revisions: the new one, the old ones, and the annotations that number them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mizzen.api.views.apps import Deployment, DeploymentStatus, ReplicaSet
from mizzen.api.views.meta import plain
from mizzen.controllers import template as templates
from mizzen.controllers.ownership import Identity, owned_by
from mizzen.controllers.status import created_at
from mizzen.machinery.errors import Object
from mizzen.machinery.intstr import scale_down, scale_up

IDENTITY = Identity("apps/v1", "Deployment")
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """A deployment with its ReplicaSets told apart; old ones are sorted by age, oldest first."""

    deployment: Deployment
    new: ReplicaSet | None
    old: tuple[ReplicaSet, ...]
    stored: DeploymentStatus
    """The status as the API has it; the deployment's own may carry conditions decided in this round."""

    @property
    def all(self) -> tuple[ReplicaSet, ...]:
        return (*self.old, self.new) if self.new is not None else self.old

    @property
    def active_old(self) -> tuple[ReplicaSet, ...]:
        return tuple(one for one in self.old if one.spec.replicas > 0)

    @property
    def max_surge(self) -> int:
        strategy = self.deployment.spec.strategy
        if strategy.type != "RollingUpdate":
            return 0
        return scale_up(strategy.rollingUpdate.maxSurge, self.deployment.spec.replicas)

    @property
    def max_unavailable(self) -> int:
        """Pods that may be missing while rolling; one when neither surge nor absence would be allowed."""
        spec = self.deployment.spec
        if spec.strategy.type != "RollingUpdate" or spec.replicas == 0:
            return 0
        allowed = scale_down(spec.strategy.rollingUpdate.maxUnavailable, spec.replicas)
        if allowed == 0 and self.max_surge == 0:
            return 1
        return min(allowed, spec.replicas)


def rollout(deployment: Deployment, sets: Sequence[ReplicaSet]) -> Rollout:
    """Tell the new ReplicaSet (the oldest with this very template) from the old ones."""
    ordered = sorted(sets, key=by_age)
    new = next((one for one in ordered if templates.same(one.spec.template, deployment.spec.template)), None)
    return Rollout(deployment, new, tuple(one for one in ordered if one is not new), deployment.status)


def by_age(one: ReplicaSet) -> tuple[float, str]:
    return created_at(one.metadata), one.metadata.name


def number(one: ReplicaSet) -> int:
    """The revision of a ReplicaSet; 0 when it has none."""
    text = one.metadata.annotations.get(REVISION, "0")
    return int(text) if text.isdecimal() else 0


def latest(sets: Iterable[ReplicaSet]) -> int:
    return max(map(number, sets), default=0)


def name_of_new(deployment: Deployment) -> tuple[str, str]:
    """Name and template hash of the ReplicaSet for the current template."""
    digest = templates.digest(templates.without_hash(deployment.spec.template), deployment.status.collisionCount)
    return f"{deployment.metadata.name}-{digest}", digest


def body_of_new(seen: Rollout, replicas: int) -> Object:
    """The ReplicaSet to create for the current template."""
    deployment = seen.deployment
    name, digest = name_of_new(deployment)
    label = {templates.HASH_LABEL: digest}
    template = templates.labelled(deployment.spec.template, label)
    selector = plain(deployment.spec.selector)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": deployment.metadata.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": {
                **inherited(deployment),
                REVISION: str(latest(seen.old) + 1),
                **sizes(seen),
            },
            "ownerReferences": owned_by(deployment.metadata, IDENTITY),
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": deployment.spec.minReadySeconds,
            "selector": {**selector, "matchLabels": {**selector.get("matchLabels", {}), **label}},
            "template": template,
        },
    }


def inherited(deployment: Deployment) -> dict[str, str]:
    """The deployment's annotations that its ReplicaSets carry too."""
    return {key: value for key, value in deployment.metadata.annotations.items() if key not in _NOT_COPIED}


def sizes(seen: Rollout) -> dict[str, str]:
    """The annotations by which a ReplicaSet remembers what it was scaled for."""
    replicas = seen.deployment.spec.replicas
    return {DESIRED: str(replicas), MAXIMUM: str(replicas + seen.max_surge)}


def renumbered(seen: Rollout, new: ReplicaSet) -> dict[str, str]:
    """The annotations that the new ReplicaSet should gain: a fresh revision with history, and the deployment's own."""
    wanted = inherited(seen.deployment) | sizes(seen)
    have, next_number = number(new), latest(seen.old) + 1
    if have < next_number:
        wanted[REVISION] = str(next_number)
        if have:
            history = new.metadata.annotations.get(HISTORY, "")
            wanted[HISTORY] = f"{history},{have}" if history else str(have)
    return {key: value for key, value in wanted.items() if new.metadata.annotations.get(key) != value}
