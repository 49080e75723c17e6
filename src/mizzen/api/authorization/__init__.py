"""Kinds of the authorization.k8s.io group."""

from mizzen.api.authorization.localsubjectaccessreview import LOCAL_SUBJECT_ACCESS_REVIEW
from mizzen.api.authorization.selfsubjectaccessreview import SELF_SUBJECT_ACCESS_REVIEW
from mizzen.api.authorization.selfsubjectrulesreview import SELF_SUBJECT_RULES_REVIEW
from mizzen.api.authorization.subjectaccessreview import SUBJECT_ACCESS_REVIEW
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
)
