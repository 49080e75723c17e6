"""SubjectAccessReview (authorization.k8s.io/v1)."""

from mizzen.api.authorization import reviews
from mizzen.api.kind import Kind

SUBJECT_ACCESS_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    kind="SubjectAccessReview",
    plural="subjectaccessreviews",
    namespaced=False,
    singular="subjectaccessreview",
    verbs=("create",),
    default=reviews.default,
    validate=reviews.validate_of_user,
)
