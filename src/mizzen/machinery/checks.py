"""Checks of values against schemas, each schema compiled once into a closure that changes the value in place.

Nulls and empty optional lists and maps are dropped, quantities and times made canonical, and unknown fields noted,
as the original's typed decoding does.
"""

import binascii
from collections.abc import Callable, Iterator
from typing import Any

from mizzen.machinery import quantity, times
from mizzen.machinery.errors import Object
from mizzen.machinery.protobuf import messages
from mizzen.machinery.schema import Form, Schema, registry

Unknown = list[tuple[Object, str]]
"""Fields that the schema does not know: the object that holds one, and its key."""
Check = Callable[[Any, Unknown], Any]
"""Checks and normalises a value (in place where it is a container); unknown fields are noted, not yet removed."""

_INT32 = 2**31
_INT64 = 2**63


class DecodeError(ValueError):
    """A value of the wrong type. `steps` lead from the root to the field, without list positions."""

    def __init__(self, problem: str, expected: str = "", found: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.found = found
        """What the value is in the words of the original's memory, where it is of another type than expected."""
        self.steps: list[str] = []
        self.struct = ""

    def __str__(self) -> str:
        if not self.expected:
            return self.problem
        if not self.steps:
            return f"json: cannot unmarshal {self.problem} into Go value of type {self.expected}"
        where = ".".join(self.steps)
        return (
            f"json: cannot unmarshal {self.problem} into Go struct field {self.struct}.{where} of type {self.expected}"
        )

    def folded(self) -> str:
        """The same, said of an object into which a patch was folded: fields of those are not decoded from text."""
        if not self.expected:
            return self.problem
        if self.expected.startswith("map["):
            return f"cannot restore map from {self.found}"
        if self.expected.startswith("[]"):
            return f"cannot restore slice from {self.found}"
        if "." in self.expected:
            return f"cannot restore struct from: {self.found}"
        return f"unrecognized type: {self.expected}"


# --- compiled checks -------------------------------------------------------------------------------------------------

_compiled: dict[int, tuple[Schema, Check]] = {}


def compiled(schema: Schema) -> Check:
    """The check of a schema, made once. The schema is kept beside it so that its identity stays taken."""
    known = _compiled.get(id(schema))
    if known is None:
        known = _compiled[id(schema)] = (schema, _make(schema))
    return known[1]


def _make(schema: Schema) -> Check:
    match schema.form:
        case Form.STRUCT:
            return _struct(schema)
        case Form.MAP:
            return _map(schema)
        case Form.LIST:
            return _list(schema)
        case Form.ANY:
            return _SCHEMA_PROPS.get(schema.short_name, _keep)
        case form:
            return _LEAVES[form]


def _mismatch(value: Any, expected: str) -> DecodeError:
    return DecodeError(_shown(value, expected), expected, _FOUND.get(type(value), ""))


_FOUND = {bool: "bool", int: "int64", float: "float64", str: "string", list: "slice", dict: "map"}


def _shown(value: Any, expected: str) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value!r}" if expected.startswith(("int", "uint")) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


_BY_VALUE = frozenset(("string", "bool", "int", "double"))


def _empty_as_absent(definition: str) -> Iterator[str]:
    """Keys of a published definition whose empty value the original does not keep: it holds them by value, and leaves
    them out of its JSON when they are empty."""
    try:
        fields = messages.fields(definition)
    except LookupError:
        return
    for field in fields:
        if not field.name:
            yield from _empty_as_absent(field.form)
        elif field.form in _BY_VALUE and field.omitempty and not (field.pointer or field.many):
            yield field.name


def _struct(schema: Schema) -> Check:  # shape: closures over one another; splitting costs a call per field
    properties, name, expected = schema.properties, schema.short_name, schema.type_name
    required = set(schema.required)
    plain: dict[str, type] = {key: str for key, inner in properties.items() if inner.form is Form.STRING}
    plain |= {key: bool for key, inner in properties.items() if inner.form is Form.BOOLEAN}
    droppable = {
        key
        for key, inner in properties.items()
        if inner.form in {Form.LIST, Form.MAP} and key not in required and key != "managedFields"
    }
    empty = frozenset(_empty_as_absent(schema.definition))
    droppable |= empty
    checks: dict[str, Check] = {}

    def find(key: str) -> Check | None:
        """Checks are compiled when first met, so that recursive and rarely used schemas cost nothing."""
        inner = properties.get(key)
        if inner is None:
            return None
        made = checks[key] = compiled(inner)
        return made

    plain_type = plain.get
    check_of = checks.get

    def check(value: Any, unknown: Unknown) -> Any:
        if type(value) is not dict:
            raise _mismatch(value, expected)
        drop: list[str] | None = None
        key = ""
        try:
            for key, inner in value.items():
                if type(inner) is plain_type(key):
                    if inner or key not in empty:
                        continue
                    drop = [key] if drop is None else [*drop, key]
                    continue
                inner_check = check_of(key) or find(key)
                if inner_check is None:
                    unknown.append((value, key))
                    continue
                if inner is not None:
                    fresh = inner_check(inner, unknown)
                    if fresh is not inner:
                        value[key] = fresh
                    if fresh or key not in droppable:
                        continue
                if drop is None:
                    drop = [key]
                else:
                    drop.append(key)
        except DecodeError as error:
            error.steps.insert(0, key)
            error.struct = error.struct or name
            raise
        if drop is not None:
            for key in drop:
                del value[key]
        return value

    return check


def _map(schema: Schema) -> Check:
    assert schema.items is not None
    inner, expected = schema.items, schema.type_name
    inner_expected = inner.type_name
    zero = _ZEROES.get(inner.form)
    if inner.form is Form.STRING:

        def check_strings(value: Any, _unknown: Unknown) -> Any:
            if type(value) is not dict:
                raise _mismatch(value, expected)
            for key, text in value.items():
                if type(text) is not str:
                    if text is not None:
                        raise _mismatch(text, inner_expected)
                    value[key] = ""
            return value

        return check_strings

    def check(value: Any, unknown: Unknown) -> Any:
        if type(value) is not dict:
            raise _mismatch(value, expected)
        inner_check = compiled(inner)
        for key, each in value.items():
            value[key] = inner_check(each, unknown) if each is not None else _zero(zero)
        return value

    return check


def _list(schema: Schema) -> Check:
    assert schema.items is not None
    inner, expected = schema.items, schema.type_name
    inner_expected = inner.type_name
    zero = _ZEROES.get(inner.form)
    if inner.form is Form.STRING:

        def check_strings(value: Any, _unknown: Unknown) -> Any:
            if type(value) is not list:
                raise _mismatch(value, expected)
            for position, text in enumerate(value):
                if type(text) is not str:
                    if text is not None:
                        raise _mismatch(text, inner_expected)
                    value[position] = ""
            return value

        return check_strings

    def check(value: Any, unknown: Unknown) -> Any:
        if type(value) is not list:
            raise _mismatch(value, expected)
        inner_check = compiled(inner)
        for position, each in enumerate(value):
            fresh = inner_check(each, unknown) if each is not None else _zero(zero)
            if fresh is not each:
                value[position] = fresh
        return value

    return check


# What a null inside a list or map becomes, by form.
_ZEROES: dict[Form, Callable[[], Any]] = {
    Form.STRING: str,
    Form.BYTES: str,
    Form.STRUCT: dict,
    Form.MAP: dict,
    Form.LIST: list,
    Form.INT32: int,
    Form.INT64: int,
    Form.NUMBER: int,
    Form.BOOLEAN: bool,
    Form.INT_OR_STRING: int,
    Form.QUANTITY: lambda: "0",
}


def _zero(make: Callable[[], Any] | None) -> Any:
    return make() if make is not None else None


def _keep(value: Any, _unknown: Unknown) -> Any:
    return value


def _string(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not str:
        raise _mismatch(value, "string")
    return value


def _boolean(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not bool:
        raise _mismatch(value, "bool")
    return value


def _int32(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not int or not -_INT32 <= value < _INT32:
        raise _mismatch(value, "int32")
    return value


def _int64(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not int or not -_INT64 <= value < _INT64:
        raise _mismatch(value, "int64")
    return value


def _number(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not int and type(value) is not float:
        raise _mismatch(value, "float64")
    return value


def _int_or_string(value: Any, _unknown: Unknown) -> Any:
    if type(value) is str:
        return value
    return _int32(value, _unknown)


def _quantity(value: Any, _unknown: Unknown) -> Any:
    kind = type(value)
    if kind is not str and kind is not int and kind is not float:
        raise DecodeError(quantity.FORMAT_PROBLEM)
    try:
        return quantity.canonical(value)
    except ValueError as error:
        raise DecodeError(str(error)) from None


def _time(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not str:
        raise _mismatch(value, "string")
    try:
        return times.canonical(value)
    except (ValueError, OverflowError):
        raise DecodeError(_unreadable_time(value, "2006-01-02T15:04:05Z07:00")) from None


def _micro_time(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not str:
        raise _mismatch(value, "string")
    try:
        return times.canonical_micro(value)
    except (ValueError, OverflowError):
        raise DecodeError(_unreadable_time(value, "2006-01-02T15:04:05.000000Z07:00")) from None


def _unreadable_time(value: str, layout: str) -> str:
    return f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"'


def _bytes(value: Any, _unknown: Unknown) -> Any:
    if type(value) is not str:
        raise _mismatch(value, "[]uint8")
    if "\n" in value or "\r" in value:
        value = value.replace("\n", "").replace("\r", "")
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError):
        raise DecodeError(f"illegal base64 data at input byte {_bad_base64(value)}") from None
    return value


def _bad_base64(value: str) -> int:
    for position, mark in enumerate(value):
        if not (mark.isascii() and (mark.isalnum() or mark in "+/")):
            return position
    return max(len(value) - len(value) % 4, 0)


_LEAVES: dict[Form, Check] = {
    Form.STRING: _string,
    Form.BOOLEAN: _boolean,
    Form.INT32: _int32,
    Form.INT64: _int64,
    Form.NUMBER: _number,
    Form.INT_OR_STRING: _int_or_string,
    Form.QUANTITY: _quantity,
    Form.TIME: _time,
    Form.MICRO_TIME: _micro_time,
    Form.BYTES: _bytes,
}

_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


def _schema_props(value: Any, unknown: Unknown) -> Any:
    """JSONSchemaPropsOrBool, OrArray, OrStringArray: schemas wherever objects stand."""
    if type(value) is dict:
        return compiled(registry.definition(_PROPS))(value, unknown)
    if type(value) is list:
        return [_schema_props(each, unknown) for each in value]
    return value


_SCHEMA_PROPS: dict[str, Check] = {
    "JSONSchemaPropsOrArray": _schema_props,
    "JSONSchemaPropsOrBool": _schema_props,
    "JSONSchemaPropsOrStringArray": _schema_props,
}
