"""Objects of any kind, made up from its published schema; no value in them is zero unless presence tells it.

An object inside another (a claim template) has no kind of its own on the wire.
"""

from base64 import b64encode
from random import Random
from typing import Any

from mizzen.machinery.schema import Form, Schema, registry

_SCHEMA_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_DEPTH = 9


def made_up(schema: Schema, rng: Random, depth: int = 0) -> Any:
    """A value of a schema."""
    match schema.form:
        case Form.STRUCT:
            share = 0.5 if depth < 3 else 0.25
            chosen = {key: inner for key, inner in schema.properties.items() if _wanted(inner, rng, share, depth)}
            if depth and "metadata" in schema.properties:
                chosen = {key: inner for key, inner in chosen.items() if key not in ("kind", "apiVersion")}
            return {key: made_up(inner, rng, depth + 1) for key, inner in chosen.items()}
        case Form.LIST:
            assert schema.items is not None
            return [made_up(schema.items, rng, depth + 1) for _ in range(rng.randint(1, 2))]
        case Form.MAP:
            assert schema.items is not None
            return {_text(rng): made_up(schema.items, rng, depth + 1) for _ in range(rng.randint(1, 2))}
        case Form.ANY:
            return _any(schema, rng, depth)
        case _:
            return _scalar(schema.form, rng)


def _wanted(schema: Schema, rng: Random, share: float, depth: int) -> bool:
    deep = schema.form in (Form.STRUCT, Form.LIST, Form.MAP, Form.ANY)
    return rng.random() < share and not (deep and depth >= _DEPTH)


def _scalar(form: Form, rng: Random) -> Any:
    match form:
        case Form.INT32:
            return rng.choice((1, 127, 128, 300, 2**31 - 1, -1, -(2**31)))
        case Form.INT64:
            return rng.choice((1, 128, 2**40, 2**63 - 1, -1, -(2**63)))
        case Form.NUMBER:
            return rng.choice((1, 0.5, -2.25, 1000000))
        case Form.BOOLEAN:
            return True
        case Form.BYTES:
            return b64encode(rng.randbytes(rng.randint(1, 200))).decode()
        case Form.TIME:
            return f"{rng.randint(1969, 2100)}-05-06T07:08:{rng.randint(10, 59)}Z"
        case Form.MICRO_TIME:
            return f"{rng.randint(1969, 2100)}-05-06T07:08:09.{rng.randint(0, 999999):06}Z"
        case Form.QUANTITY:
            return rng.choice(("1", "100m", "1Gi", "0"))
        case Form.INT_OR_STRING:
            return rng.choice((0, 80, -1, "http", "25%"))
        case _:
            return _text(rng)


def _text(rng: Random) -> str:
    return rng.choice(("a", "größe", "x" * 127, "y" * 128, "k8s.io/name")) + str(rng.randint(0, 99))


def _any(schema: Schema, rng: Random, depth: int) -> Any:
    name = schema.short_name
    if not name.startswith("JSONSchemaPropsOr"):
        return {"f:spec": {".": {}, "n": [1, "two", None, 0.5]}}
    props = registry.definition(_SCHEMA_PROPS)
    if name == "JSONSchemaPropsOrStringArray" and rng.random() < 0.5:
        return ["a", "b"]
    if name == "JSONSchemaPropsOrBool" and rng.random() < 0.5:
        return rng.choice((True, False))
    if name == "JSONSchemaPropsOrArray" and rng.random() < 0.5:
        return [made_up(props, rng, depth + 2)]
    return made_up(props, rng, depth + 2)


def lost(sent: Any, got: Any, path: str = "") -> list[str]:
    """The paths where what came back differs, except for zeros that Go would fill in and empty objects it would not."""
    if isinstance(sent, dict) and isinstance(got, dict):
        missing = [f"{path}.{key}" for key, value in sent.items() if key not in got and value != {}]
        added = [f"{path}.{key}" for key, value in got.items() if key not in sent and value not in ("", 0, False)]
        return missing + added + [at for key in sent if key in got for at in lost(sent[key], got[key], f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        pairs = enumerate(zip(sent, got, strict=True))
        return [at for position, (one, other) in pairs for at in lost(one, other, f"{path}[{position}]")]
    return [] if sent == got and isinstance(sent, type(got)) else [path]
