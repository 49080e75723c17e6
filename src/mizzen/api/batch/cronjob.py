"""CronJob (batch/v1)."""

from mizzen.api.kind import Kind

CRON_JOB = Kind(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    namespaced=True,
    singular="cronjob",
    short_names=("cj",),
    categories=("all",),
    has_status=True,
)
