"""Messages of protobuf as they are published, made from short tables, to read back what our own encoders write."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

_TYPES = {
    "text": FieldDescriptorProto.TYPE_STRING,
    "count": FieldDescriptorProto.TYPE_INT64,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "boolean": FieldDescriptorProto.TYPE_BOOL,
}


def document_class(package: str, messages: Mapping[str, str]) -> Any:
    """The class of the message `Document`; a table has `name:number:kind` for each field, `*` marks a list."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field in fields.split():
            key, number, kind = field.split(":")
            many, kind = kind.endswith("*"), kind.removesuffix("*")
            label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
            made = message.field.add(name=key.replace("$", "_"), number=int(number), label=label)
            made.type = _TYPES.get(kind, FieldDescriptorProto.TYPE_MESSAGE)
            if kind not in _TYPES:
                made.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Document"))
