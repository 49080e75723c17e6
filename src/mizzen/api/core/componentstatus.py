"""ComponentStatus (core/v1): health of the control plane, as old tools ask for it; never stored."""

from mizzen.api.columns import NAME, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.machinery.errors import Object


def _row(component: Object, now: float) -> list[object]:
    status, message, error = "Unknown", "", ""
    for condition in component.get("conditions") or ():
        if condition.get("type") == "Healthy":
            status = "Healthy" if condition.get("status") == "True" else "Unhealthy"
            message, error = condition.get("message", ""), condition.get("error", "")
            break
    return [name(component), status, message, error]


COMPONENT_STATUS = Kind(
    group="",
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    namespaced=False,
    singular="componentstatus",
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
    short_names=("cs",),
    verbs=("get", "list"),
    table=Table(columns=(NAME, Column("Status"), Column("Message"), Column("Error")), row=_row),
)
