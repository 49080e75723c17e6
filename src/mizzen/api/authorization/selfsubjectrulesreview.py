"""SelfSubjectRulesReview (authorization.k8s.io/v1)."""

from mizzen.api.kind import Kind

SELF_SUBJECT_RULES_REVIEW = Kind(
    group="authorization.k8s.io",
    version="v1",
    kind="SelfSubjectRulesReview",
    plural="selfsubjectrulesreviews",
    namespaced=False,
    singular="selfsubjectrulesreview",
    verbs=("create",),
)
