"""ConfigMap (core/v1): named values outside the image."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import keyed
from mizzen.machinery.errors import FieldError, Object, invalid, too_long


def validate(config: Object, old: Object | None) -> Iterator[FieldError]:
    data, binary = config.get("data") or {}, config.get("binaryData") or {}
    if old is not None:
        yield from keyed.immutable_errors(config, old, ("data", "binaryData"))
    yield from keyed.key_errors("data", data)
    for key in data.keys() & binary.keys():
        yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from keyed.key_errors("binaryData", binary)
    if keyed.text_size(data) + keyed.decoded_size(binary) > keyed.SIZE_LIMIT:
        yield too_long(keyed.WHOLE, keyed.SIZE_LIMIT)


TABLE = Table(
    columns=(NAME, Column("Data"), AGE),
    row=lambda config, now: [
        name(config),
        len(config.get("data") or ()) + len(config.get("binaryData") or ()),
        age(config, now),
    ],
)

CONFIG_MAP = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    namespaced=True,
    singular="configmap",
    short_names=("cm",),
    validate=validate,
    table=TABLE,
)
