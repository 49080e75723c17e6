"""TokenReview (authentication.k8s.io/v1)."""

from mizzen.api.kind import Kind

TOKEN_REVIEW = Kind(
    group="authentication.k8s.io",
    version="v1",
    kind="TokenReview",
    plural="tokenreviews",
    namespaced=False,
    singular="tokenreview",
    verbs=("create",),
)
