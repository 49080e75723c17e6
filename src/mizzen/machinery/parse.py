"""Bytes to JSON values: JSON, and YAML as the API server reads it (1.1 words, first document only).

Parsing keeps the last of duplicate keys; `duplicates` is asked apart, because the fast parsers do not tell.
"""

import json
import re
from collections.abc import Hashable, Iterator
from typing import Any

import orjson

_MAX_YAML_NODES = 1_000_000
MAX_DEPTH = 200
"""Lists and objects within each other; more can be neither walked nor written again."""
TOO_DEEP = "exceeded max depth"


class ParseError(ValueError):
    """Bytes that are no JSON or YAML; the text is what the API server says."""


def parse_json(body: bytes) -> Any:
    """Raises: ParseError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ParseError(_json_problem(body, error.pos)) from None
    if _may_be_deep(body) and is_too_deep(value):
        raise ParseError(TOO_DEEP)
    return value


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"{") + body.count(b"[") > MAX_DEPTH


def is_too_deep(value: Any) -> bool:
    """Whether more lists and objects are within each other than can be worked with."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += [inner for inner in each.values() if isinstance(inner, dict | list)]
            elif isinstance(each, list):
                below += [inner for inner in each if isinstance(inner, dict | list)]
        if not below:
            return False
        level = below
    return True


def _json_problem(body: bytes, position: int) -> str:
    """The complaint about one character, worded as the original's scanner does."""
    text = body.decode("utf-8", "replace")
    if position >= len(text.rstrip()):
        return "unexpected end of JSON input"
    before, mark = text[:position].rstrip(), text[position]
    try:
        json.loads(before)
    except RecursionError:
        return TOO_DEEP
    except ValueError:
        pass
    else:
        return f"invalid character {mark!r} after top-level value"
    if before.endswith(("{", ",")) and mark in "},":
        return f"invalid character {mark!r} looking for beginning of object key string"
    if before.endswith("{") and mark != '"':
        return f"invalid character {mark!r} looking for beginning of object key string"
    if before.endswith('"') and mark not in ":,}]":
        return f"invalid character {mark!r} after object key:value pair"
    return f"invalid character {mark!r} looking for beginning of value"


def has_duplicates(body: bytes, value: Any) -> bool:
    """Whether JSON text may hold a key twice; cheap, and wrong only on the careful side.

    A key stands before `":`; the parsed value, written again, has as many of them unless a key was repeated.
    """
    if any(odd in body for odd in (b'" :', b'"\n', b'"\t', b'"\r', b"\\u")):
        return True
    return body.count(b'":') != orjson.dumps(value).count(b'":')


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys in order, repeated ones included."""


def parse_pairs(body: bytes) -> Any:
    """JSON whose objects are `Pairs`; slow, for telling where a key was repeated."""
    return json.loads(body, object_pairs_hook=Pairs)


# --- YAML ------------------------------------------------------------------------------------------------------------

_TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_NULL = {"", "~", "null", "Null", "NULL"}
_integer = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)").fullmatch
_float = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?").fullmatch
_fraction = re.compile(rb'(?:":|[\[,])\s*-?[0-9]+[.eE]').search
_TAG = "tag:yaml.org,2002:"


def parse_yaml(body: bytes) -> tuple[Any, list[str]]:
    """The first document, and the complaints about repeated keys (`line 7: key "a" already set in map`).

    Raises: ParseError.
    """
    if body.startswith(b"{") and (value := _json_in_yaml(body)) is not None:
        return value, []
    import yaml

    try:
        _check_depth(yaml, body)
        node = _compose(yaml, body)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParseError(_yaml_problem(error)) from None
    builder = _Builder()
    return builder.build(node) if node is not None else None, builder.repeated


def _json_in_yaml(body: bytes) -> Any:
    """The value of YAML that is plain JSON, as most of it is that programs send; None where the two may differ."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if _may_be_deep(body) and is_too_deep(value):
        raise ParseError(f"yaml: {TOO_DEEP}")
    return None if _fraction(body) or has_duplicates(body, value) else value


def _check_depth(yaml: Any, body: bytes) -> None:
    """Look at the events first: composing what is too deep would exhaust the stack of the process.

    Raises: ParseError.
    """
    if sum(map(body.count, _NESTING)) <= MAX_DEPTH:
        return
    depth = 0
    for event in yaml.parse(body, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
        name = type(event).__name__
        if name.endswith("StartEvent") and name[0] in "MS" and name != "StreamStartEvent":
            depth += 1
            if depth > MAX_DEPTH:
                raise ParseError(f"yaml: {TOO_DEEP}")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            depth -= 1
        elif name == "DocumentEndEvent":
            return


_NESTING = (b"{", b"[", b"-", b"?", b":")
"""Every level of a YAML document takes one of these."""


def _compose(yaml: Any, body: bytes) -> Any:
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(body)
    try:
        return loader.get_node() if loader.check_node() else None
    finally:
        loader.dispose()


def _yaml_problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"yaml: line {mark.line + 1}: {problem}" if mark is not None else f"yaml: {problem}"


class _Builder:
    """Turns YAML nodes into JSON values; aliases may not blow the document up past a limit."""

    def __init__(self) -> None:
        self.repeated: list[str] = []
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Any) -> Any:
        self._count += 1
        if self._count > _MAX_YAML_NODES or id(node) in self._open:
            raise ParseError("yaml: document contains excessive aliasing")
        if node.id == "scalar":
            return _scalar(node)
        if len(self._open) >= MAX_DEPTH:
            raise ParseError(f"yaml: {TOO_DEEP}")
        self._open.add(id(node))
        try:
            if node.id == "sequence":
                return [self.build(inner) for inner in node.value]
            return self._mapping(node)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.id == "scalar" and key_node.value == "<<" and not key_node.style:
                sources = value_node.value if value_node.id == "sequence" else [value_node]
                for source in reversed(sources):
                    merged |= self.build(source)
                continue
            key = _key(self.build(key_node))
            if key in out:
                self.repeated.append(f"line {key_node.start_mark.line + 1}: key {json.dumps(key)} already set in map")
            out[key] = self.build(value_node)
        return {**merged, **out} if merged else out


def _key(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Hashable) and value is not None:
        return str(value)
    raise ParseError(f"yaml: invalid map key: {value!r}")


def _scalar(node: Any) -> Any:
    text: str = node.value
    tag = node.tag.removeprefix(_TAG)
    if tag == "binary":
        import base64

        return base64.b64decode(text).decode("utf-8", "replace")
    if node.style not in {None, ""} or (tag not in {"str", "null", "bool", "int", "float"}):
        return text
    return _plain(text)


def _plain(text: str) -> Any:
    """What an unquoted word stands for. Times stay text, as they do in the original."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _integer(text):
        return _whole(text.replace("_", ""))
    if _float(text):
        number = float(text)
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return text


def _whole(text: str) -> int:
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-")
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def yaml_documents(body: bytes) -> Iterator[Any]:
    """All documents of a YAML stream, for manifests read from files. Raises: ParseError."""
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)(body)
    try:
        while loader.check_node():
            yield _Builder().build(loader.get_node())
    except yaml.YAMLError as error:
        raise ParseError(_yaml_problem(error)) from None
    finally:
        loader.dispose()
