"""Object literals of mutating policies (`Object.spec{replicas: 1}`, `JSONPatch{op: "add"}`) as plain maps.

The evaluator knows no such types, and a mutation needs none: only the fields that the literal names.
"""

import re

_token = re.compile(
    r"""(?P<string>[rR]?(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))
      | (?P<opening>(?<![\w.])(?:Object(?:\.[A-Za-z_]\w*)*|JSONPatch)\s*\{)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<space>\s+)
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)


def as_maps(expression: str) -> str:
    """The expression with its object literals written as map literals."""
    if "Object" not in expression and "JSONPatch" not in expression:
        return expression
    out: list[str] = []
    depth: list[bool] = []  # for each open bracket, whether it is an object literal's
    expects_name = False
    for match in _token.finditer(expression):
        kind, text = match.lastgroup, match.group()
        if kind == "opening":
            out.append("{")
            depth.append(True)
            expects_name = True
            continue
        if kind == "space":
            out.append(text)
            continue
        if kind == "name" and expects_name:
            out.append(f'"{text}"')
        else:
            out.append(text)
        if kind == "mark":
            if text in "([{":
                depth.append(False)
            elif text in ")]}" and depth:
                depth.pop()
        expects_name = kind == "mark" and bool(depth) and depth[-1] and text in {",", "?"}
    return "".join(out)
