"""Our tables against Google's library with kubectl 1.34's own descriptors, where that kubectl is at hand."""

from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from tests.unit.machinery.protobuf.descriptors import KUBECTL, descriptors
from tests.unit.machinery.protobuf.objects import made_up

from mizzen.api.kinds import KINDS
from mizzen.machinery.protobuf.messages import Field, fields, message_of, names
from mizzen.machinery.protobuf.reader import reader_of
from mizzen.machinery.protobuf.writer import writer_of
from mizzen.machinery.schema import registry

_VARINTS = {"int": (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64), "bool": (FieldDescriptor.TYPE_BOOL,)}
_SCALARS = _VARINTS | {
    "double": (FieldDescriptor.TYPE_DOUBLE,),
    "string": (FieldDescriptor.TYPE_STRING,),
    "bytes": (FieldDescriptor.TYPE_BYTES,),
}
_FORMS = {
    "quantity": "Quantity",
    "int-or-string": "IntOrString",
    "time": "Time",
    "micro-time": "MicroTime",
    "raw": ("RawExtension", "FieldsV1"),
    "strings": ("Verbs", "ExtraValue"),
}
_GONE = {"io.k8s.api.resource.v1alpha3.DeviceTaintSelector": (1, 5)}
"""Fields that later versions dropped."""


@cache
def _known() -> dict[str, Descriptor]:
    return descriptors(KUBECTL) if KUBECTL.exists() else {}


def test_fields_have_the_numbers_and_types_of_the_descriptors() -> None:
    compared = 0
    for name in names():
        described = _known().get(name)
        if described is None:
            continue
        ours = {field.number: field for field in fields(name)}
        theirs = described.fields_by_number
        assert [number for number in theirs if number not in ours and number not in _GONE.get(name, ())] == [], name
        for number in ours.keys() & theirs.keys():
            assert _agrees(ours[number], theirs[number]), (name, ours[number], theirs[number].full_name)
            compared += 1
    assert compared > 1500 or not KUBECTL.exists()


def _agrees(ours: Field, theirs: FieldDescriptor) -> bool:
    entry = theirs.message_type is not None and theirs.message_type.GetOptions().map_entry
    if ours.many != ("%" if entry else "*" if theirs.is_repeated else ""):
        return False
    value = theirs.message_type.fields_by_number[2] if entry else theirs
    if ours.form in _SCALARS:
        return value.type in _SCALARS[ours.form]
    if value.message_type is None:
        return False
    full = "io.k8s." + value.message_type.full_name.removeprefix("k8s.io.")
    return full == ours.form or value.message_type.name in _FORMS.get(ours.form, ())


@pytest.mark.parametrize("seed", range(5))
def test_googles_library_understands_what_we_write_and_we_what_it_writes(seed: int) -> None:
    rng = Random(seed)
    for kind in KINDS:
        name = message_of(kind.api_version, kind.kind)
        schema = registry.find(kind.group, kind.version, kind.kind)
        assert name is not None and schema is not None
        described = _known().get(name)
        if described is None:
            continue
        ours = bytes(writer_of(name).write(made_up(schema, rng)))
        message = GetMessageClass(described).FromString(ours)
        assert list(_unexpected(message)) == []
        theirs = message.SerializeToString()
        reader = reader_of(name)
        assert reader.read(theirs, 0, len(theirs)) == reader.read(ours, 0, len(ours)), kind.kind


def _unexpected(message: Message) -> Iterator[str]:
    """Fields of the wire that a message does not know, although ours says the same of that version."""
    name = "io.k8s." + message.DESCRIPTOR.full_name.removeprefix("k8s.io.")
    newer = {field.number for field in fields(name)} if name in names() else set()
    for unknown in UnknownFieldSet(message):
        if unknown.field_number in message.DESCRIPTOR.fields_by_number or unknown.field_number not in newer:
            yield f"{message.DESCRIPTOR.full_name}.{unknown.field_number}"
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for inner in value if field.is_repeated else (value,):
            yield from _unexpected(inner)
