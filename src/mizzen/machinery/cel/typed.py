"""What a type checker says of an expression whose variables have schemas, before anything is evaluated.

Schemas become messages of a descriptor pool, which is how the evaluator learns of types. What a message cannot say
(lists of lists, integers or strings, any JSON) takes every use.
Ref: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from mizzen.machinery.cel import numbers
from mizzen.machinery.cel.literals import as_maps
from mizzen.machinery.cel.program import MAX_EXPRESSION, CelError, environment, rewritten
from mizzen.machinery.schema import Form, Schema

_PACKAGE: Final = "mizzen.typed"
_VALUE: Final = ".google.protobuf.Value"
TIMESTAMP: Final = ".google.protobuf.Timestamp"
DURATION: Final = ".google.protobuf.Duration"
_SCALARS: Final = {
    Form.STRING: "STRING",
    Form.QUANTITY: "STRING",
    Form.INT32: "INT",
    Form.INT64: "INT",
    Form.NUMBER: "DOUBLE",
    Form.BOOLEAN: "BOOL",
    Form.BYTES: "BYTES",
}
_OF_FIELDS: Final = {"INT": "INT64"}
_OF_VARIABLES: Final = {_VALUE: "DYN", TIMESTAMP: "TIMESTAMP", DURATION: "DURATION"}
_identifier = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)
_OWN_WORDS: Final = (
    (re.compile(rf" not found in struct '{re.escape(_PACKAGE)}\.\w+'|{re.escape(_PACKAGE)}\.(?=\w)"), ""),
    (re.compile(r"google\.protobuf\.(Timestamp|Duration)|(null)_type"), lambda found: (found[1] or found[2]).lower()),
    # What follows from another error.
    (re.compile(r"\nERROR: [^\n]*'\*error\*'[^\n]*\n[^\n]*\n[^\n]*"), ""),
)


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
    objects = {name: schema for name, schema in schemas.items() if schema.form is Form.STRUCT}
    try:
        numbers.compiled(Messages().environment(variables, objects), text)
    except RuntimeError as error:
        return worded(error)
    return ""


def worded(error: RuntimeError) -> str:
    """What the checker says, in the original's words and without the names that messages have here alone."""
    told = str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
    for pattern, words in _OWN_WORDS:
        told = pattern.sub(words, told)
    return told


class Messages:
    """Schemas as the messages of one file, one for each object; for one environment."""

    def __init__(self) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

        self._pool = descriptor_pool.DescriptorPool()
        self._file = descriptor_pb2.FileDescriptorProto(name="typed.proto", package=_PACKAGE, syntax="proto3")
        self._number_of = descriptor_pb2.FieldDescriptorProto.Type.Value
        self._names: dict[int, str] = {}
        for module in (struct_pb2, timestamp_pb2, duration_pb2):
            copied = descriptor_pb2.FileDescriptorProto()
            module.DESCRIPTOR.CopyToProto(copied)
            self._pool.Add(copied)
            self._file.dependency.append(copied.name)

    def environment(self, variables: Iterable[str], schemas: Mapping[str, Schema]) -> Any:
        """What expressions are compiled in; `schemas` gives the types of some of the variables."""
        from cel_expr_python import cel

        types = {name: self._type(cel.Type, schema) for name, schema in schemas.items()}
        self._pool.Add(self._file)
        return environment(variables, self._pool, types)

    def fields(self, schema: Schema) -> Iterator[tuple[str, Schema]]:
        """What an object has, by the names that expressions use."""
        for key, inner in schema.properties.items():
            if _identifier.match(key):
                yield key, inner

    def kind(self, schema: Schema) -> str:
        """What a value is, other than a list or a map: a scalar, or a message with a dot before its name."""
        if schema.form is Form.STRUCT and schema.properties and not schema.preserve:
            return self.named(schema)
        if schema.form in {Form.TIME, Form.MICRO_TIME}:
            return TIMESTAMP
        return _SCALARS.get(schema.form, _VALUE)

    def named(self, schema: Schema) -> str:
        """The message of an object; it is made on first use, for schemas may hold themselves."""
        known = self._names.get(id(schema))
        if known is not None:
            return known
        short = f"{re.sub(r'[^A-Za-z0-9]', '_', schema.short_name) or 'Object'}{len(self._names)}"
        name = self._names[id(schema)] = f".{_PACKAGE}.{short}"
        message = self._file.message_type.add(name=short)
        for key, inner in self.fields(schema):
            self._add(message, key, inner)
        return name

    def _type(self, types: Any, schema: Schema) -> Any:
        if schema.form is Form.LIST and schema.items is not None:
            return types.List(self._type(types, schema.items))
        if schema.form is Form.MAP and schema.items is not None:
            return types.Map(types.STRING, self._type(types, schema.items))
        kind = self.kind(schema)
        kind = _OF_VARIABLES.get(kind, kind)
        return types(kind[1:]) if kind.startswith(".") else getattr(types, kind)

    def _add(self, message: Any, key: str, schema: Schema) -> None:
        number = len(message.field) + 1
        if schema.form is Form.MAP and schema.items is not None:
            # The one name that a map's entries may have.
            name = f"{''.join(word[:1].upper() + word[1:] for word in key.split('_'))}Entry"
            if all(name != other.name for other in message.nested_type):
                entry = message.nested_type.add(name=name)
                entry.options.map_entry = True
                self._field(entry, "key", 1, "STRING")
                self._field(entry, "value", 2, self._kind_inside(schema.items))
                self._field(message, key, number, f".{_PACKAGE}.{message.name}.{name}", repeated=True)
                return
        repeated = schema.form is Form.LIST and schema.items is not None
        element = schema.items if repeated and schema.items is not None else schema
        self._field(message, key, number, self._kind_inside(element), repeated=repeated)

    def _kind_inside(self, schema: Schema) -> str:
        return _VALUE if schema.form in {Form.LIST, Form.MAP} else self.kind(schema)

    def _field(self, message: Any, key: str, number: int, kind: str, *, repeated: bool = False) -> None:
        made = message.field.add(name=key, number=number, label=3 if repeated else 1, json_name=f"f{number}")
        if kind.startswith("."):
            made.type, made.type_name = self._number_of("TYPE_MESSAGE"), kind
        else:
            made.type = self._number_of(f"TYPE_{_OF_FIELDS.get(kind, kind)}")
