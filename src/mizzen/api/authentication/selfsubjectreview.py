"""SelfSubjectReview (authentication.k8s.io/v1)."""

from mizzen.api.kind import Kind

SELF_SUBJECT_REVIEW = Kind(
    group="authentication.k8s.io",
    version="v1",
    kind="SelfSubjectReview",
    plural="selfsubjectreviews",
    namespaced=False,
    singular="selfsubjectreview",
    verbs=("create",),
)
