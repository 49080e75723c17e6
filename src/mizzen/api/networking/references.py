"""References to an object of any kind, as Ingress backends and IngressClass parameters hold them."""

from collections.abc import Iterator

from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, required


def errors(path: str, reference: Object) -> Iterator[FieldError]:
    group = reference.get("apiGroup")
    if group is not None:
        yield from fields.subdomain(f"{path}.apiGroup", group)
    for field in ("kind", "name"):
        value = reference.get(field)
        if value:
            yield from fields.matches(f"{path}.{field}", value, names.path_segment)
        else:
            yield required(f"{path}.{field}", f"{field} is required")
