"""`x-kubernetes-validations`: the rules of a custom resource's schema, checked over new and stored values.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mizzen.machinery import times
from mizzen.machinery.cel.program import CelError, Program, compile_expression
from mizzen.machinery.cel.properties import escaped
from mizzen.machinery.cel.ruletypes import RuleTypes
from mizzen.machinery.cel.static import (
    COST_LIMIT,
    TOTAL_COST_LIMIT,
    count_below,
    estimated_cost,
    undefined_fields,
    undefined_text,
)
from mizzen.machinery.cel.timing import TOO_COSTLY
from mizzen.machinery.errors import Cause, FieldError, forbidden, invalid, not_supported, required
from mizzen.machinery.schema import Form, Schema
from mizzen.machinery.values import is_same, type_name

BUDGET = 10_000
"""Evaluations of rules for one object; past it the object is refused."""

_ABSENT = object()
_old_self = re.compile(r"\boldSelf\b").search
_REASONS = {
    "FieldValueInvalid": Cause.INVALID,
    "FieldValueForbidden": Cause.FORBIDDEN,
    "FieldValueRequired": Cause.REQUIRED,
    "FieldValueDuplicate": Cause.DUPLICATE,
}


def has_rules(schema: Schema) -> bool:
    """Whether a rule stands anywhere in the schema."""
    return _remembered(_ruled, schema, lambda: any(True for _ in _nodes_with_rules(schema)))


_Known = dict[int, tuple[Schema, bool]]
_ruled: _Known = {}
_plain: _Known = {}
_REMEMBERED = 20_000


def _remembered(known: _Known, schema: Schema, find: Callable[[], bool]) -> bool:
    """What was found about a schema, which is kept so that its identity stays taken."""
    found = known.get(id(schema))
    if found is None:
        if len(known) >= _REMEMBERED:
            known.clear()
        found = known[id(schema)] = (schema, find())
    return found[1]


def _nodes_with_rules(schema: Schema) -> Iterator[Schema]:
    if schema.source.get("x-kubernetes-validations"):
        yield schema
    for inner in schema.properties.values():
        if inner.type_name != "v1.ObjectMeta":
            yield from _nodes_with_rules(inner)
    if schema.items is not None and schema.items is not schema:
        yield from _nodes_with_rules(schema.items)


class _SpentError(Exception):
    """No further rules are run; the error says why."""

    def __init__(self, error: FieldError) -> None:
        self.error = error


_SPENT = "validation failed due to running out of cost budget, no further validation rules will be run"
_GIVEN_UP = "no further validation rules will be run due to call cost exceeds limit for rule"
_MISFIT = "call arguments did not match a supported operator, function or macro signature for rule"


def validate(value: Any, schema: Schema, old: Any = None) -> Iterator[FieldError]:
    """What the rules find wrong with an object, given the stored one (None on create).

    What was as wrong before, in a value that stays as it is, is tolerated.
    """
    run = _Run()
    try:
        yield from run.check(value, _ABSENT if old is None else old, schema, "")
    except _SpentError as spent:
        yield spent.error


@dataclass(frozen=True)
class _Node:
    """A value that rules are about, and the stored one; how rules see them is found once for all rules."""

    value: Any
    old: Any
    schema: Schema
    path: str

    @cached_property
    def shown(self) -> Any:
        return to_cel(self.value, self.schema)

    @cached_property
    def shown_old(self) -> Any:
        return to_cel(self.old, self.schema)


class _Run:
    """One object's validation: walks value and stored value together and counts what it spends."""

    def __init__(self) -> None:
        self._left = BUDGET

    def check(self, value: Any, old: Any, schema: Schema, path: str, *, same: bool = False) -> Iterator[FieldError]:
        """`same` says whether what the value is part of stays as it is; it counts where no old value is known."""
        if not has_rules(schema):
            return
        if old is not _ABSENT:
            same = same or is_same(value, old)
        node = _Node(value, old, schema, path)
        for rule in schema.source.get("x-kubernetes-validations") or ():
            yield from self._apply(rule, node, same=same)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for key, inner in value.items():
                known, where = schema.properties.get(key), f"{path}.{key}" if path else key
                if known is None and schema.form is Form.MAP:
                    known, where = schema.items, f"{path}[{key}]"
                if known is not None and known.type_name != "v1.ObjectMeta":
                    yield from self.check(inner, before.get(key, _ABSENT), known, where, same=same)
        elif isinstance(value, list) and schema.items is not None:
            stored = _correlated(old, schema)
            for position, inner in enumerate(value):
                was = stored.get(_identity(inner, schema), _ABSENT)
                yield from self.check(inner, was, schema.items, f"{path}[{position}]", same=same)

    def _apply(self, rule: Mapping[str, Any], node: "_Node", *, same: bool) -> Iterator[FieldError]:
        value, old, path = node.value, node.old, node.path
        text, optional = rule["rule"], bool(rule.get("optionalOldSelf"))
        compares = _old_self(text) is not None
        if value is None or (compares and old is _ABSENT and not optional):
            return
        self._left -= 1
        if self._left < 0:
            raise _SpentError(invalid("", type_name(value), _SPENT))
        data = {"self": node.shown}
        if optional:
            data["_oldSelf"] = [] if old is _ABSENT else [node.shown_old]
        elif old is not _ABSENT and (compares or _old_self(rule.get("messageExpression") or "")):
            data["oldSelf"] = node.shown_old
        try:
            if _compiled(text, optional).holds(data):
                return
        except CelError as error:
            yield _broken(rule, error.why, type_name(value), path)
            return
        failure = _failure(rule, data, type_name(value), path, optional)
        yield replace(failure, tolerated=True) if same and not compares else failure


def _broken(rule: Mapping[str, Any], why: str, shown: str, path: str) -> FieldError:
    """What is told of a rule that could not be evaluated. Raises _SpentError when it cost too much."""
    told = (rule.get("message") or rule["rule"]).strip()
    if why == TOO_COSTLY:
        raise _SpentError(invalid(path, shown, f"'{why}': {_GIVEN_UP}: {told}"))
    if why.startswith("no such overload"):
        return invalid(path, shown, f"'{why}': {_MISFIT}: {told}")
    return invalid(path, shown, f"{why} evaluating rule: {told}")


def _compiled(text: str, optional: bool) -> Program:
    return compile_expression(text, ("self", "oldSelf"), ("oldSelf",) if optional else ())


def _failure(rule: Mapping[str, Any], data: Mapping[str, Any], shown: str, path: str, optional: bool) -> FieldError:
    cause = _REASONS.get(rule.get("reason") or "", Cause.INVALID)
    where = path
    if field_path := rule.get("fieldPath"):
        where = f"{path}{field_path}" if path else field_path.removeprefix(".")
    return FieldError(cause, where, shown, _message(rule, data, optional))


def _message(rule: Mapping[str, Any], data: Mapping[str, Any], optional: bool) -> str:
    fixed = rule.get("message") or f"failed rule: {rule['rule'].strip()}"
    expression = rule.get("messageExpression")
    if not expression:
        return fixed
    try:
        made = _compiled(expression, optional).evaluate(data)
    except CelError:
        return fixed
    return made.strip() if isinstance(made, str) and made.strip() and "\n" not in made else fixed


def _correlated(old: Any, schema: Schema) -> dict[Any, Any]:
    """Stored items by what identifies them; only lists of type map can be followed over time."""
    if not isinstance(old, list) or schema.list_type != "map":
        return {}
    return {_identity(item, schema): item for item in old}


def _identity(item: Any, schema: Schema) -> Any:
    return tuple(item.get(key) for key in schema.map_keys) if isinstance(item, dict) else None


def to_cel(value: Any, schema: Schema) -> Any:
    """A value as rules see it: properties by their escaped names, times and durations typed."""
    if _is_plain(schema):
        return value
    if isinstance(value, dict):
        if schema.form is Form.STRUCT and not schema.preserve:
            known = schema.properties
            return {escaped(key): to_cel(inner, known[key]) if key in known else inner for key, inner in value.items()}
        inner_schema = schema.items
        if schema.form is Form.MAP and inner_schema is not None:
            return {key: to_cel(inner, inner_schema) for key, inner in value.items()}
        return value
    if isinstance(value, list) and schema.items is not None:
        return [to_cel(each, schema.items) for each in value]
    if isinstance(value, str) and schema.form is Form.STRING:
        format_ = schema.source.get("format")
        return _typed(value, format_) if format_ in _TYPED else value
    if isinstance(value, int) and not isinstance(value, bool) and schema.form is Form.NUMBER:
        return float(value)
    return value


def _is_plain(schema: Schema) -> bool:
    """Whether rules see all values of a schema as they are."""
    return _remembered(_plain, schema, lambda: _is_shown_plainly(schema))


def _is_shown_plainly(schema: Schema) -> bool:
    if schema.form is Form.NUMBER or (schema.form is Form.STRING and schema.source.get("format") in _TYPED):
        return False
    if schema.form is Form.STRUCT and not schema.preserve:
        return all(escaped(key) == key and _is_plain(inner) for key, inner in schema.properties.items())
    return schema.items is None or (schema.items is not schema and _is_plain(schema.items))


_TYPED = ("byte", "date", "date-time", "duration")


def _typed(value: str, format_: str) -> Any:
    """A text as what its format says that it is; as it is where it is no such thing."""
    # The evaluator takes moments and durations as messages: it knows those of Python as whole variables alone.
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    try:
        match format_:
            case "byte":
                return b64decode(value, validate=True)
            case "duration":
                seconds, nanos = _split(times.parse_duration(value))
                # The parts of a message's duration have one sign.
                back = seconds < 0 and nanos > 0
                return Duration(seconds=seconds + back, nanos=nanos - 1_000_000_000 * back)
            case _:
                moment = times.parse(value if format_ == "date-time" else f"{value}T00:00:00Z")
                seconds, nanos = _split(moment)
                return Timestamp(seconds=seconds, nanos=nanos)
    except ValueError:
        return value


def _split(moment: float) -> tuple[int, int]:
    """Whole seconds, and nanoseconds past them; what is less than a microsecond is lost in floating point."""
    micros = round(moment * 1_000_000)
    return micros // 1_000_000, micros % 1_000_000 * 1_000


def check_wording(schema: Schema, path: str) -> Iterator[FieldError]:
    """How the rules of a schema, and those below it, say what they refuse; `path` leads to it."""
    for position, rule in enumerate(schema.source.get("x-kubernetes-validations") or ()):
        yield from _wording_errors(rule, schema, f"{path}.x-kubernetes-validations[{position}]")
    for where, inner, _ in _below(schema, path):
        yield from check_wording(inner, where)


def _below(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """The nodes below a node with their paths, and whether an old value of theirs can be found by the new one."""
    for key, inner in schema.properties.items():
        if inner.type_name != "v1.ObjectMeta":
            yield f"{path}.properties[{key}]", inner, True
    if schema.items is not None and schema.items.source:
        is_list = schema.form is Form.LIST
        where = f"{path}.{'items' if is_list else 'additionalProperties'}"
        yield where, schema.items, not is_list or schema.list_type == "map"


def check_rules(schema: Schema, path: str) -> Iterator[FieldError]:
    """Which rules of a root schema do not compile or cost too much; `path` leads to it."""
    if not has_rules(schema):
        return
    costs: dict[str, int] = {}
    yield from _check_rules(schema, path, costs, RuleTypes(_nodes_with_rules(schema)))
    total = sum(costs.values())
    if total > TOTAL_COST_LIMIT:
        for where in sorted(costs, key=lambda one: -costs[one])[:_MOST_BLAMED]:
            yield forbidden(
                where, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            )
        named = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        yield forbidden(path, _too_costly(named, total, TOTAL_COST_LIMIT))


def _check_rules(
    schema: Schema, path: str, costs: dict[str, int], types: RuleTypes, lost: str = "", count: int | None = 1
) -> Iterator[FieldError]:
    """Fills `costs`, by the path of each rule.

    `lost` is the path of the list whose items cannot be followed from the stored object to the new one; `count` how
    often such a value can stand in an object (None: as often as there is room).
    """
    for position, rule in enumerate(schema.source.get("x-kubernetes-validations") or ()):
        where = f"{path}.x-kubernetes-validations[{position}]"
        cost = estimated_cost(rule.get("rule") or "", schema, count)
        costs[f"{where}.rule"] = cost
        yield from _check_rule(rule, schema, where, cost, types)
        if lost and _old_self(rule.get("rule") or ""):
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {lost}"
            yield invalid(f"{where}.rule", rule["rule"], detail)
    below = count_below(schema, count)
    for where, inner, is_correlated in _below(schema, path):
        inside = below if inner is schema.items else count
        yield from _check_rules(inner, where, costs, types, lost if is_correlated else lost or where, inside)


_MOST_BLAMED = 10


def _too_costly(what: str, cost: int, limit: int) -> str:
    factor = 100 if cost > 100 * limit else 1
    return f"{what} {_TOO_COSTLY.format(factor=factor)}"


_TOO_COSTLY = (
    "exceeds budget by factor of more than {factor}x (try simplifying the rule, or adding maxItems, maxProperties, "
    "and maxLength where arrays, maps, and strings are declared)"
)


def _check_rule(
    rule: Mapping[str, Any], schema: Schema, path: str, cost: int, types: RuleTypes
) -> Iterator[FieldError]:
    text, optional = rule.get("rule") or "", bool(rule.get("optionalOldSelf"))
    if not text.strip():
        return
    if rule.get("optionalOldSelf") is not None and not _old_self(text):
        yield invalid(f"{path}.optionalOldSelf", optional, "may not be set if oldSelf is not used in rule")
    if wrong := _type_problem(text, schema, optional, types, "bool"):
        yield invalid(f"{path}.rule", text, wrong)
    elif cost > COST_LIMIT:
        yield forbidden(f"{path}.rule", _too_costly("estimated rule cost", cost, COST_LIMIT))
    expression = rule.get("messageExpression") or ""
    if expression.strip() and (wrong := _type_problem(expression, schema, optional, types, "string")):
        yield invalid(f"{path}.messageExpression", expression, f"messageExpression {wrong}")


def _type_problem(text: str, schema: Schema, optional: bool, types: RuleTypes, wanted: str) -> str:
    """Why an expression does not compile to a type; "" when it does."""
    try:
        returns = _compiled(text, optional).returns
    except CelError as error:
        return str(error)
    if missing := undefined_fields(text, schema):
        return undefined_text(text, missing[0])
    told, found = types.check(text, schema, optional=optional)
    if told:
        return f"compilation failed: {told}"
    is_fitting = {returns, found} <= {wanted.upper(), "DYN"}
    return "" if is_fitting else f"cel expression must evaluate to a {wanted}"


def _wording_errors(rule: Mapping[str, Any], schema: Schema, path: str) -> Iterator[FieldError]:
    """How a rule tells what it refuses."""
    text, message = rule.get("rule") or "", rule.get("message") or ""
    if not text.strip():
        yield required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif _has_break(message.strip()):
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    elif not message and _has_break(text.strip()):
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    expression, reason = rule.get("messageExpression") or "", rule.get("reason")
    if expression and not expression.strip():
        yield required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{path}.reason", reason, sorted(_REASONS))
    if field := rule.get("fieldPath"):
        if not field.strip():
            yield invalid(f"{path}.fieldPath", field, "fieldPath must be non-empty if specified")
        if _has_break(field):
            yield invalid(f"{path}.fieldPath", field, "fieldPath must not contain line breaks")
        if not _leads_somewhere(field, schema):
            yield invalid(f"{path}.fieldPath", field, "fieldPath must be a valid path")


_has_break = re.compile(r"[\n\r]").search
_field_step = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\['([^']+)'\]").match


def _leads_somewhere(path: str, schema: Schema) -> bool:
    """Whether a path like `.spec['a.b'].c` names a field below an object."""
    at, inside = 0, schema
    while at < len(path):
        step = _field_step(path, at)
        if step is None:
            return False
        name = step[1] or step[2]
        if name in inside.properties:
            inside = inside.properties[name]
        elif inside.form is Form.MAP and inside.items is not None:
            inside = inside.items
        else:
            return False
        at = step.end()
    return True
