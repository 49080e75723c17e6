"""Views of batch/v1."""

from typing import Any

from mizzen.api.views.meta import Condition, LabelSelector, ObjectMeta, ObjectReference, View


class ExitCodes(View, frozen=True, gc=False):
    containerName: str | None = None
    operator: str = ""
    values: tuple[int, ...] = ()


class PodConditionPattern(View, frozen=True, gc=False):
    type: str = ""
    status: str = "True"


class FailureRule(View, frozen=True, gc=False):
    action: str = ""
    onExitCodes: ExitCodes | None = None
    onPodConditions: tuple[PodConditionPattern, ...] = ()


class PodFailurePolicy(View, frozen=True, gc=False):
    rules: tuple[FailureRule, ...] = ()


class SuccessRule(View, frozen=True, gc=False):
    succeededIndexes: str | None = None
    succeededCount: int | None = None


class SuccessPolicy(View, frozen=True, gc=False):
    rules: tuple[SuccessRule, ...] = ()


class JobSpec(View, frozen=True, gc=False):
    parallelism: int = 1
    completions: int | None = None
    completionMode: str = "NonIndexed"
    backoffLimit: int = 6
    backoffLimitPerIndex: int | None = None
    maxFailedIndexes: int | None = None
    activeDeadlineSeconds: int | None = None
    ttlSecondsAfterFinished: int | None = None
    podFailurePolicy: PodFailurePolicy | None = None
    successPolicy: SuccessPolicy | None = None
    podReplacementPolicy: str | None = None
    managedBy: str | None = None
    suspend: bool = False
    selector: LabelSelector = LabelSelector()
    template: dict[str, Any] = {}


class Uncounted(View, frozen=True, gc=False):
    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class JobStatus(View, frozen=True, gc=False):
    active: int = 0
    ready: int | None = None
    terminating: int | None = None
    succeeded: int = 0
    failed: int = 0
    startTime: str | None = None
    completionTime: str | None = None
    completedIndexes: str = ""
    failedIndexes: str | None = None
    conditions: tuple[Condition, ...] = ()
    uncountedTerminatedPods: Uncounted | None = None


class Job(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class CronJobSpec(View, frozen=True, gc=False):
    schedule: str = ""
    timeZone: str | None = None
    startingDeadlineSeconds: int | None = None
    concurrencyPolicy: str = "Allow"
    suspend: bool = False
    jobTemplate: dict[str, Any] = {}
    successfulJobsHistoryLimit: int = 3
    failedJobsHistoryLimit: int = 1


class CronJobStatus(View, frozen=True, gc=False):
    active: tuple[ObjectReference, ...] = ()
    lastScheduleTime: str | None = None
    lastSuccessfulTime: str | None = None


class CronJob(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
