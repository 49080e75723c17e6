"""A Job's pods: how they are made, stopped, and let go once they are counted."""

from mizzen.api.views.batch import Job
from mizzen.api.views.core import Pod
from mizzen.client.resources import PODS
from mizzen.controllers import pods as podlife
from mizzen.controllers.job import failures
from mizzen.controllers.ownership import Identity, about
from mizzen.machinery.errors import Object
from mizzen.reconcile.plan import Create, Delete, Note, Patch

IDENTITY = Identity("batch/v1", "Job")
FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"


def index_of(pod: Pod) -> int | None:
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isdecimal() else None


def create(job: Job, index: int | None = None, failed: tuple[int, int] = (0, 0)) -> Create:
    """A pod of the Job; `failed` says how often its index has failed, counted and ignored."""
    body = podlife.from_template(job.spec.template, job.metadata, IDENTITY)
    meta: Object = {**body["metadata"]}
    meta["finalizers"] = [*meta.get("finalizers", []), FINALIZER]
    spec: Object = body["spec"]
    if index is not None:
        meta["generateName"] = f"{job.metadata.name}-{index}-"
        annotations = {INDEX: str(index)}
        if job.spec.backoffLimitPerIndex is not None:
            annotations[failures.COUNTED] = str(failed[0])
            if failed[1]:
                annotations[failures.IGNORED] = str(failed[1])
        meta["annotations"] = {**meta.get("annotations", {}), **annotations}
        meta["labels"] = {**meta.get("labels", {}), INDEX: str(index)}
        spec = _indexed(spec, job.metadata.name, index)
    subject = about(job.metadata, IDENTITY)
    return Create(
        PODS,
        {**body, "metadata": meta, "spec": spec},
        note=Note(subject, "SuccessfulCreate", "Created pod: {name}"),
        failed=Note(subject, "FailedCreate", "Error creating: {error}", "Warning"),
    )


def _indexed(spec: Object, name: str, index: int) -> Object:
    """A pod spec that tells its containers their index."""
    source = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}
    told = {**spec, "hostname": f"{name}-{index}"}
    for field in ("containers", "initContainers"):
        if spec.get(field):
            told[field] = [_with_variable(container, variable) for container in spec[field]]
    return told


def _with_variable(container: Object, variable: Object) -> Object:
    env = container.get("env") or []
    if any(one["name"] == variable["name"] for one in env):
        return container
    return {**container, "env": [*env, variable]}


def delete(pod: Pod, job: Job | None) -> Delete:
    note = Note(about(job.metadata, IDENTITY), "SuccessfulDelete", "Deleted pod: {name}") if job is not None else None
    return Delete(PODS, pod.metadata.namespace, pod.metadata.name, uid=pod.metadata.uid, note=note)


def release(pod: Pod) -> Patch:
    """The pod is accounted for, or nobody's: it may vanish."""
    meta = pod.metadata
    kept = [one for one in meta.finalizers if one != FINALIZER]
    patch = {"metadata": {"finalizers": kept or None}}
    return Patch(PODS, meta.namespace, meta.name, patch, uid=meta.uid, resource_version=meta.resourceVersion)
