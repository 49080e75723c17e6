"""ServiceAccount (core/v1): who the processes of a pod are."""

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Subresource, Table
from mizzen.machinery.errors import Object


def _row(account: Object, now: float) -> list[object]:
    return [name(account), len(account.get("secrets") or ()), age(account, now)]


SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    namespaced=True,
    singular="serviceaccount",
    short_names=("sa",),
    returns_deleted=True,
    table=Table(columns=(NAME, Column("Secrets"), AGE), row=_row),
    subresources=(Subresource("token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io"),),
)
