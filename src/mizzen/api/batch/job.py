"""Job (batch/v1)."""

from mizzen.api.kind import Kind

JOB = Kind(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    namespaced=True,
    singular="job",
    categories=("all",),
    has_status=True,
)
