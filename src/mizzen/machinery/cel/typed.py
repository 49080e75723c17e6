"""What a type checker says of an expression whose variables have schemas, before anything is evaluated.

Schemas become messages of a descriptor pool, which is how the evaluator learns of types. What a message cannot say
(lists of lists, integers or strings, any JSON) takes every use.
Ref: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from mizzen.machinery.cel.literals import as_maps
from mizzen.machinery.cel.program import MAX_EXPRESSION, CelError, environment, rewritten
from mizzen.machinery.schema import Form, Schema

_PACKAGE: Final = "mizzen.typed"
_VALUE: Final = ".google.protobuf.Value"
_SCALARS: Final = {
    Form.STRING: "TYPE_STRING",
    Form.QUANTITY: "TYPE_STRING",
    Form.INT32: "TYPE_INT64",
    Form.INT64: "TYPE_INT64",
    Form.NUMBER: "TYPE_DOUBLE",
    Form.BOOLEAN: "TYPE_BOOL",
    Form.BYTES: "TYPE_BYTES",
}
_identifier = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


def problem(expression: str, variables: tuple[str, ...], schemas: Mapping[str, Schema]) -> str:
    """What is wrong with the types of an expression, as the checker words it; "" for nothing.

    `schemas` gives the types of some of the variables; the others may be anything.
    """
    if len(expression.encode()) > MAX_EXPRESSION:
        return "expression is too long"
    try:
        text = rewritten(as_maps(expression))
    except CelError as error:
        return str(error)
    pool, messages = _pool(schemas)
    checker = environment(variables, pool, messages)
    try:
        checker.compile(text)
    except RuntimeError as error:
        return str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
    return ""


def _pool(schemas: Mapping[str, Schema]) -> tuple[Any, dict[str, str]]:
    """A descriptor pool that knows the schemas, and the message of each variable that is an object."""
    from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2

    known = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="typed.proto", package=_PACKAGE, syntax="proto3")
    for module in (struct_pb2, timestamp_pb2):
        copied = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(copied)
        known.Add(copied)
        file.dependency.append(copied.name)
    messages = _Messages(file, descriptor_pb2.FieldDescriptorProto.Type.Value)
    named = {name: messages.named(schema) for name, schema in schemas.items() if schema.form is Form.STRUCT}
    known.Add(file)
    return known, named


class _Messages:
    """The messages of one file, one for each schema of an object."""

    def __init__(self, file: Any, number_of: Callable[[str], int]) -> None:
        self._file = file
        self._number_of = number_of
        self._names: dict[int, str] = {}

    def named(self, schema: Schema) -> str:
        """The full name of the message of a schema; it is made on first use, for schemas may hold themselves."""
        known = self._names.get(id(schema))
        if known is not None:
            return known
        short = f"{re.sub(r'[^A-Za-z0-9]', '_', schema.short_name) or 'Object'}{len(self._names)}"
        name = self._names[id(schema)] = f"{_PACKAGE}.{short}"
        message = self._file.message_type.add(name=short)
        for key, inner in schema.properties.items():
            if _identifier.match(key):
                self._add(message, key, inner)
        return name

    def _add(self, message: Any, key: str, schema: Schema) -> None:
        number = len(message.field) + 1
        if schema.form is Form.MAP and schema.items is not None:
            # The one name that a map's entries may have.
            name = f"{''.join(word[:1].upper() + word[1:] for word in key.split('_'))}Entry"
            entry = message.nested_type.add(name=name)
            entry.options.map_entry = True
            self._field(entry, "key", 1, Schema(Form.STRING))
            self._field(entry, "value", 2, schema.items)
            made = message.field.add(name=key, number=number, label=3, type=self._number_of("TYPE_MESSAGE"))
            made.type_name = f".{_PACKAGE}.{message.name}.{name}"
            made.json_name = f"f{number}"
            return
        repeated = schema.form is Form.LIST and schema.items is not None
        element = schema.items if repeated and schema.items is not None else schema
        self._field(message, key, number, element, repeated=repeated)

    def _field(self, message: Any, key: str, number: int, schema: Schema, *, repeated: bool = False) -> None:
        made = message.field.add(name=key, number=number, label=3 if repeated else 1, json_name=f"f{number}")
        scalar = _SCALARS.get(schema.form)
        if scalar is not None:
            made.type = self._number_of(scalar)
            return
        made.type = self._number_of("TYPE_MESSAGE")
        if schema.form is Form.STRUCT and schema.properties and not schema.preserve:
            made.type_name = f".{self.named(schema)}"
        elif schema.form in {Form.TIME, Form.MICRO_TIME}:
            made.type_name = ".google.protobuf.Timestamp"
        else:
            made.type_name = _VALUE
