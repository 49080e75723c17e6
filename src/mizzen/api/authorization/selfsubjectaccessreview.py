"""SelfSubjectAccessReview (authorization.k8s.io/v1)."""

from mizzen.api.authorization import reviews
from mizzen.api.kind import Kind

SELF_SUBJECT_ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    kind="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    namespaced=False,
    singular="selfsubjectaccessreview",
    verbs=("create",),
    default=reviews.default,
    validate=reviews.validate_self,
)
