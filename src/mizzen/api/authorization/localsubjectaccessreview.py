"""LocalSubjectAccessReview (authorization.k8s.io/v1)."""

from mizzen.api.authorization import reviews
from mizzen.api.kind import Kind

LOCAL_SUBJECT_ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    kind="LocalSubjectAccessReview",
    plural="localsubjectaccessreviews",
    namespaced=True,
    singular="localsubjectaccessreview",
    verbs=("create",),
    default=reviews.default,
    validate=reviews.validate_local,
)
