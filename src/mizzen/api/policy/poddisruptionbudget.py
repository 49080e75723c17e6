"""PodDisruptionBudget (policy/v1)."""

from mizzen.api.kind import Kind

POD_DISRUPTION_BUDGET = Kind(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    namespaced=True,
    singular="poddisruptionbudget",
    short_names=("pdb",),
    has_status=True,
)
