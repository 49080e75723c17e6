"""What can be said of a rule without running it: fields that no schema has, and loops within loops over long lists.

An estimate, careful not to refuse what the original accepts: what it cannot resolve it takes as known and small.
Ref: https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints
"""

import re
from collections.abc import Iterator, Mapping

from mizzen.machinery.cel.program import CelError, closing_bracket
from mizzen.machinery.cel.properties import escaped
from mizzen.machinery.schema import Form, Schema

COST_LIMIT = 10_000_000
"""Of one rule, for all the values that it may be run on in one object."""
TOTAL_COST_LIMIT = 100_000_000
"""Of all rules of a schema."""
_MAX_REQUEST = 3 * 1024 * 1024

_strings = re.compile(r"""[rR]?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_chain = re.compile(r"(?<![\w.])([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)(\s*\()?")
_loop = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter)\(\s*([A-Za-z_]\w*)\s*,")

Scope = Mapping[str, Schema]


def undefined_fields(rule: str, self_schema: Schema) -> list[str]:
    """Names of fields that the rule uses and the schema does not have."""
    return undefined(rule, {"self": self_schema, "oldSelf": self_schema})


def undefined(expression: str, scope: Scope) -> list[str]:
    """Names of fields that an expression uses of variables and that their schemas do not have."""
    return list(dict.fromkeys(_undefined(_strings.sub('""', expression), scope)))


def undefined_text(expression: str, name: str) -> str:
    """What a compiler says of a field that is not there, with the place where it is used."""
    bare = _strings.sub(lambda match: '"' * len(match[0]), expression)
    use = re.search(rf"\.\s*{re.escape(name)}(?!\w)", bare)
    at = use.start() if use else 0
    start = bare.rfind("\n", 0, at) + 1
    line, row, column = expression[start:].partition("\n")[0], bare.count("\n", 0, at) + 1, at - start
    where = f"ERROR: <input>:{row}:{column + 1}: undefined field '{name}'"
    return f"compilation failed: {where}\n | {line}\n | {'.' * column}^"


def members(*names: str, **typed: Schema) -> Schema:
    """The schema of a variable that has these members, the first ones of any form."""
    return Schema(Form.STRUCT, properties={**{name: Schema(Form.ANY) for name in names}, **typed})


def _undefined(text: str, scope: Scope) -> Iterator[str]:
    bound = {match[1] for match in _loop.finditer(text)}
    for match in _chain.finditer(text):
        name, steps, call = match.groups()
        if name in bound or name not in scope:
            continue
        names = steps.split(".")[1:]
        missing = _missing(scope[name], names[:-1] if call else names)
        if missing:
            yield missing


def _missing(schema: Schema, names: list[str]) -> str:
    for name in names:
        if schema.type_name == "v1.ObjectMeta" or schema.form is not Form.STRUCT or schema.preserve:
            return ""
        inner = _property(schema, name)
        if inner is None:
            return name
        schema = inner
    return ""


def _property(schema: Schema, name: str) -> Schema | None:
    known = schema.properties.get(name)
    if known is not None:
        return known
    return next((inner for key, inner in schema.properties.items() if escaped(key) == name), None)


def estimated_cost(rule: str, self_schema: Schema, count: int | None = 1) -> int:
    """How many times the innermost loop may run, at most, for the longest lists that fit a request.

    `count` is how many values the rule may be run on in one object; None: as many as there is room for.
    """
    values = _MAX_REQUEST // (_shortest(self_schema) + 1) if count is None else count
    try:
        return values * _cost(_strings.sub('""', rule), {"self": self_schema, "oldSelf": self_schema})
    except CelError:
        return values


def count_below(schema: Schema, count: int | None) -> int | None:
    """How many values stand in the lists or maps of which there are `count`; None where nothing limits them."""
    limit = _limit(schema)
    return None if limit is None or count is None else limit * count


def _cost(text: str, scope: Scope) -> int:
    costs = [1]
    at = 0
    while match := _loop.search(text, at):
        end = closing_bracket(text, match.end())
        looped = _receiver(text[: match.start()], scope)
        inner = dict(scope)
        inner.pop(match[1], None)
        if looped is not None and looped.form is Form.LIST and looped.items is not None:
            inner[match[1]] = looped.items
        costs.append(_longest(looped) * _cost(text[match.end() : end], inner))
        at = end
    return max(costs)


def _receiver(before: str, scope: Scope) -> Schema | None:
    """The schema of what a loop runs over, where it is a plain path from a known variable."""
    match = re.search(r"(?<![\w.\])])([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)$", before)
    if match is None or match[1] not in scope:
        return None
    schema: Schema | None = scope[match[1]]
    for name in match[2].split(".")[1:]:
        schema = _property(schema, name) if schema is not None else None
    return schema


def _longest(schema: Schema | None) -> int:
    if schema is None or schema.form not in {Form.LIST, Form.MAP}:
        return 1
    limit = _limit(schema)
    if limit is not None:
        return limit
    return _MAX_REQUEST // (_shortest(schema.items) + (1 if schema.form is Form.LIST else 6))


def _limit(schema: Schema) -> int | None:
    """How many entries a list or map may have, by its schema."""
    limit = schema.source.get("maxItems" if schema.form is Form.LIST else "maxProperties")
    return None if limit is None else int(limit)


def _shortest(schema: Schema | None) -> int:
    """The fewest bytes that a value takes in JSON."""
    if schema is None:
        return 1
    if schema.form is Form.STRUCT:
        needed = [key for key in schema.required if "default" not in schema.properties.get(key, _EMPTY).source]
        return 2 + sum(len(key) + 4 + _shortest(schema.properties.get(key)) for key in needed)
    return _SHORTEST.get(schema.form, 1)


_EMPTY = Schema(Form.ANY)
_SHORTEST = {Form.STRING: 2, Form.LIST: 2, Form.MAP: 2, Form.BOOLEAN: 4}
