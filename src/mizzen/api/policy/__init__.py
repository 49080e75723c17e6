"""Kinds of the policy group."""

from mizzen.api.kind import Kind
from mizzen.api.policy.poddisruptionbudget import POD_DISRUPTION_BUDGET

KINDS: tuple[Kind, ...] = (POD_DISRUPTION_BUDGET,)
