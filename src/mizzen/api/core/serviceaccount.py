"""ServiceAccount (core/v1): who the processes of a pod are."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Subresource, Table
from mizzen.machinery.errors import Object


def _row(account: Object, now: float) -> list[object]:
    return [name(account), len(account.get("secrets") or ()), age(account, now)]


_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def warn(account: Object, old: Object | None) -> Iterator[str]:
    """Whoever sets the annotation hears that it is on its way out."""
    given, before = (one["metadata"].get("annotations") or {} for one in (account, old or {"metadata": {}}))
    if _MOUNTABLE in given and given[_MOUNTABLE] != before.get(_MOUNTABLE):
        detail = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        yield f"metadata.annotations[{_MOUNTABLE}]: {detail}"


SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    namespaced=True,
    singular="serviceaccount",
    short_names=("sa",),
    warn=warn,
    returns_deleted=True,
    table=Table(columns=(NAME, Column("Secrets"), AGE), row=_row),
    subresources=(Subresource("token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io"),),
)
