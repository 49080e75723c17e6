"""The types of rules: what is wrong with an expression about `self`, whose schema is that of the node it stands at.

Ref: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.machinery.cel import numbers
from mizzen.machinery.cel.literals import as_maps
from mizzen.machinery.cel.program import rewritten
from mizzen.machinery.cel.properties import escaped
from mizzen.machinery.cel.typed import DURATION, TIMESTAMP, Messages, worded
from mizzen.machinery.schema import Form, Schema

_FORMATS: Final = {"date": TIMESTAMP, "date-time": TIMESTAMP, "duration": DURATION, "byte": "BYTES"}
_METADATA: Final = ("name", "generateName")
"""What rules may see of an object's metadata."""
# What the evaluator checks just as the original does; functions that are added to it are declared for fewer types.
_sure = re.compile(
    r"undefined field"
    r"|no matching overload for '(?:[_!@-].*|size|startsWith|endsWith|contains|matches)' applied"
    r"|cannot be the (?:operand of a select operation|range of a comprehension)"
)
_self = re.compile(r"(?<![\w.])(?<!\.\?)(self|oldSelf)\b")


class RuleTypes:
    """Checks the rules of one root schema. They share an environment: each node's `self` has a name of its own there,
    which is as long, so that places in the text stay what they are."""

    def __init__(self, nodes: Iterable[Schema]) -> None:
        self._names: dict[int, dict[str, str]] = {}
        schemas: dict[str, Schema] = {}
        for node in nodes:
            number = f"{len(self._names):03x}"
            names = self._names.setdefault(id(node), {"self": f"s{number}", "oldSelf": f"oldS{number}"})
            schemas |= dict.fromkeys(names.values(), node)
        self._checker = _Messages().environment((*schemas, "oldSelf"), schemas)

    def check(self, rule: str, node: Schema, *, optional: bool = False) -> tuple[str, str]:
        """What is surely wrong ("" for nothing) and what the rule yields (`DYN` where only evaluation tells).

        `optional`: `oldSelf` is an optional value.
        """
        names = self._names[id(node)]
        text = _self.sub(lambda match: match[1] if optional and match[1] == "oldSelf" else names[match[1]], rule)
        if rewritten(as_maps(text)) != text:
            return "", "DYN"
        try:
            return "", str(numbers.compiled(self._checker, text).return_type().name())
        except RuntimeError as error:
            told = worded(error)
        for name, own in names.items():
            told = told.replace(own, name)
        return told if _sure.search(told) else "", "DYN"


class _Messages(Messages):
    """Objects as rules see them: by escaped names, and nothing of what the schema does not declare."""

    def fields(self, schema: Schema) -> Iterator[tuple[str, Schema]]:
        is_metadata = schema.type_name == "v1.ObjectMeta"
        shown = {escaped(key): inner for key, inner in schema.properties.items() if not is_metadata or key in _METADATA}
        for key, inner in shown.items():
            if key.isidentifier() and key.isascii():
                yield key, inner

    def kind(self, schema: Schema) -> str:
        if schema.form is Form.STRUCT:
            return self.named(schema)
        if schema.form is Form.STRING:
            return _FORMATS.get(schema.source.get("format", ""), "STRING")
        return super().kind(schema)
