"""Kinds of the authentication.k8s.io group."""

from mizzen.api.authentication.selfsubjectreview import SELF_SUBJECT_REVIEW
from mizzen.api.authentication.tokenreview import TOKEN_REVIEW
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    SELF_SUBJECT_REVIEW,
    TOKEN_REVIEW,
)
