"""IPAddress (networking.k8s.io/v1): one address that is taken, and by what."""

from collections.abc import Iterator

from mizzen.api.columns import NAME, NONE, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import addresses, fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, required


def check_name(text: str) -> list[str]:
    """The name is the address itself, in its one canonical form."""
    return [error.detail for error in addresses.canonical("metadata.name", text)]


def validate(address: Object, old: Object | None) -> Iterator[FieldError]:
    parent = (address.get("spec") or {}).get("parentRef")
    if old is not None:
        yield from fields.unchanged("spec.parentRef", parent, (old.get("spec") or {}).get("parentRef"))
    if parent is None:
        yield required("spec.parentRef")
        return
    path = "spec.parentRef"
    if parent.get("group"):
        yield from fields.subdomain(f"{path}.group", parent["group"])
    for field in ("resource", "name"):
        if parent.get(field):
            yield from fields.matches(f"{path}.{field}", parent[field], names.path_segment)
        else:
            yield required(f"{path}.{field}")
    if parent.get("namespace"):
        yield from fields.matches(f"{path}.namespace", parent["namespace"], names.path_segment)


def _parent(address: Object) -> str:
    parent = (address.get("spec") or {}).get("parentRef")
    if not parent:
        return NONE
    resource, group = parent.get("resource", ""), parent.get("group")
    owner = "/".join(part for part in (parent.get("namespace"), parent.get("name", "")) if part)
    return f"{resource}.{group}/{owner}" if group else f"{resource}/{owner}"


IP_ADDRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    namespaced=False,
    singular="ipaddress",
    short_names=("ip",),
    check_name=check_name,
    validate=validate,
    table=Table(
        columns=(NAME, Column("ParentRef")),
        row=lambda address, _now: [name(address), _parent(address)],
    ),
)
