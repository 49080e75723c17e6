"""CSIStorageCapacity (storage.k8s.io/v1): how much room there is for volumes of a class on some nodes."""

from collections.abc import Iterator

from mizzen.api.kind import Kind
from mizzen.api.rules import fields
from mizzen.machinery import labels, quantity
from mizzen.machinery.errors import FieldError, Object, invalid


def validate(capacity: Object, old: Object | None) -> Iterator[FieldError]:
    class_ = capacity.get("storageClassName") or ""
    yield from fields.subdomain("storageClassName", class_)
    amount = capacity.get("capacity")
    if amount is not None and quantity.parse(amount).nanos < 0:
        yield invalid("capacity", str(amount), "must be greater than or equal to 0")
    yield from labels.validate_selector(capacity.get("nodeTopology"), "nodeTopology")
    if old is not None:
        for field in ("nodeTopology", "storageClassName"):
            yield from fields.unchanged(field, capacity.get(field), old.get(field))


CSI_STORAGE_CAPACITY = Kind(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    namespaced=True,
    singular="csistoragecapacity",
    validate=validate,
    returns_deleted=True,
    unconditional_update=False,
)
