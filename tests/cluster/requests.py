"""Random requests, drawn from the server's own OpenAPI documents: mostly nearly right, some utter nonsense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import strategies as st
from mizzen.wire.message import Request

DEPTH = 4
DEFINITION = "things.x.example.com"
NOT_STORED = {"APIService", "Binding", "CertificateSigningRequest", "Eviction", "IPAddress", "Scale", "TokenRequest"}
NAMES = ("a", "a", "a", "b", "b", "c", DEFINITION, "kubernetes", "system:node", "x y", "Ä", "..", "a" * 300, "")
NAMESPACES = ("fuzz", "fuzz", "fuzz", "fuzz", "fuzz", "fuzz", "default", "none", "Ä", "")
PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "merge",
    "application/apply-patch+yaml": "merge",
}
TYPES = ("application/yaml", "application/vnd.kubernetes.protobuf", "text/plain", "")
ACCEPTED = (
    "*/*",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/json;q=x;as",
    "text/html",
    ",;=",
)
QUERIES: Mapping[str, Sequence[str]] = {
    "labelSelector": ("a=b", "a in (b,c)", "!a", "a>1", "((", "a==b,", "Ä=ö", "a notin ()"),
    "fieldSelector": ("metadata.name=a", "status.phase!=Running", "spec.nodeName=", "a", "=,=", "metadata.name=a,x=y"),
    "limit": ("1", "0", "-1", "x", "9" * 30),
    "continue": ("x", "e30", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "//", "Ä"),
    "watch": ("1", "true", "0", "x"),
    "timeoutSeconds": ("0", "1", "-1", "x"),
    "resourceVersion": ("0", "1", "50", "", "x", "-1", "1e3"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "sendInitialEvents": ("true", "false", "x"),
    "allowWatchBookmarks": ("true", "x"),
    "dryRun": ("All", "", "x"),
    "fieldManager": ("me", "", "m" * 200, "\x01"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "x"),
    "force": ("true", "false", "x"),
    "gracePeriodSeconds": ("0", "5", "-1", "x", "9" * 30),
    "propagationPolicy": ("Orphan", "Background", "Foreground", "x"),
    "orphanDependents": ("true", "x"),
    "pretty": ("true", "x"),
    "container": ("app", "x", ""),
    "tailLines": ("1", "-1", "x"),
    "includeObject": ("None", "Object", "x"),
    "Ä": ("ö",),
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 80, 1.5, 1e300]),
    st.sampled_from(["", "a", "b", "100m", "1Gi", "-5", "http", "2024-01-01T00:00:00Z", "10.96.0.9", "::1", "Ä\n", "x" * 300]),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "$patch", "metadata", ""]), inner, max_size=3),
    max_leaves=6,
)


@dataclass(frozen=True)
class Operation:
    """One operation of the API: a method of a path template, and the schema of its body."""

    method: str
    path: str
    schema: Mapping[str, Any] | None = None
    kind: Mapping[str, str] | None = None


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """What an OpenAPI v3 document offers."""
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            media = operation.get("requestBody", {}).get("content", {})
            schema = next((one["schema"] for one in media.values()), None)
            kind = operation.get("x-kubernetes-group-version-kind")
            found.append(Operation(method.upper(), path, schema, kind))
    return found


class Drawing:
    """Draws requests for the operations of some documents."""

    def __init__(self, documents: Sequence[Mapping[str, Any]], examples: Mapping[str, Any]) -> None:
        self._schemas: dict[str, Any] = {}
        for document in documents:
            self._schemas.update(document["components"]["schemas"])
        self.operations = [one for document in documents for one in operations(document)]
        self._examples = examples

    def examples(self) -> list[Request]:
        """Requests that create every example once, under the name `a`."""
        found = {}
        for one in self.operations:
            kind = (one.kind or {}).get("kind", "")
            if one.method == "POST" and "{name}" not in one.path and kind in self._examples and kind not in NOT_STORED:
                name = DEFINITION if kind == "CustomResourceDefinition" else "a"
                example = self._examples[kind]
                body = {**example, "metadata": {**example.get("metadata", {}), "name": example.get("name", name)}}
                path = one.path.replace("{namespace}", "fuzz")
                found[kind] = Request("POST", path, (), {"content-type": "application/json"}, orjson.dumps(body))
        return list(found.values())

    def request(self, draw: st.DrawFn) -> Request:
        """One request."""
        operation = draw(st.sampled_from(self.operations))
        method = operation.method
        if _seldom(draw, 20):
            method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]))
        path = operation.path.replace("{name}", draw(st.sampled_from(NAMES)))
        path = path.replace("{namespace}", draw(st.sampled_from(NAMESPACES)))
        if _seldom(draw, 40):
            path += draw(st.sampled_from(["/", "//", "/x", "/status", "/scale", "/log/x", "/proxy/../..", "/\x00"]))
        query = draw(st.lists(st.sampled_from(sorted(QUERIES)).flatmap(_pair), max_size=3)) if _seldom(draw, 3) else []
        headers = {"accept": "application/json", "content-type": "application/json"}
        if _seldom(draw, 4):
            headers["accept"] = draw(st.sampled_from(ACCEPTED))
        if _seldom(draw, 9):
            headers["content-type"] = draw(st.sampled_from(TYPES))
        if _seldom(draw, 20):
            headers |= {"impersonate-user": draw(st.sampled_from(["jane", "system:node:a", ""])), "accept-encoding": "gzip"}
        return Request(method, path, query, headers, self._body(draw, operation, method, headers))

    def _body(self, draw: st.DrawFn, operation: Operation, method: str, headers: dict[str, str]) -> bytes:
        if method in ("GET", "HEAD"):
            return b""
        if _seldom(draw, 15):
            return draw(st.sampled_from([b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"k8s\x00\x0a\x01", b"- a: [", b"{" * 3000]))
        if method == "PATCH":
            headers["content-type"] = draw(st.sampled_from([*PATCHES, *PATCHES, "application/json"]))
            if PATCHES.get(headers["content-type"]) == "json":
                return orjson.dumps(draw(st.lists(_json_operation, max_size=3)))
        return orjson.dumps(self._object(draw, operation), default=str, option=orjson.OPT_NON_STR_KEYS)

    def _object(self, draw: st.DrawFn, operation: Operation) -> Any:
        """An example that was bent a little, or a value made from the schema."""
        name = (operation.kind or {}).get("kind", "")
        example = self._examples.get(name)
        if example is not None and not _seldom(draw, 5):
            obj = orjson.loads(orjson.dumps(example))
            for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 4]))):
                _bend(draw, obj)
        else:
            obj = self._value(draw, operation.schema or {}, DEPTH)
        if isinstance(obj, dict) and not _seldom(draw, 8):
            kind = operation.kind or {}
            group, version = kind.get("group", ""), kind.get("version", "v1")
            obj |= {"kind": name, "apiVersion": f"{group}/{version}" if group else version}
            meta = obj.get("metadata") if isinstance(obj.get("metadata"), dict) else {}
            obj["metadata"] = {**meta, "name": DEFINITION if "Definition" in name else draw(st.sampled_from(NAMES))}
        return obj

    def _value(self, draw: st.DrawFn, schema: Mapping[str, Any], depth: int) -> Any:
        schema = self._resolved(schema)
        if depth == 0 or _seldom(draw, 25):
            return draw(JUNK)
        if properties := schema.get("properties"):
            wanted = draw(st.lists(st.sampled_from(sorted(properties)), max_size=4, unique=True))
            names = {*wanted, *(schema.get("required") or ())}
            return {name: self._value(draw, properties.get(name, {}), depth - 1) for name in sorted(names)}
        match schema.get("type"):
            case "array":
                return [self._value(draw, schema.get("items", {}), depth - 1) for _ in range(draw(st.integers(0, 2)))]
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                key = draw(st.sampled_from(["a", "app", "x/y", "Ä", ""]))
                return {key: self._value(draw, schema["additionalProperties"], depth - 1)}
            case "integer":
                return draw(st.sampled_from([0, 1, 2, -1, 80, 2**31, 2**63]))
            case "boolean":
                return draw(st.booleans())
            case "string":
                return draw(st.sampled_from(["a", "b", "app", "", "100m", "2024-01-01T00:00:00Z", "None", "x" * 64, "Ä", "1.2.3.4"]))
        return draw(JUNK)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if one := schema.get("allOf"):
            schema = one[0]
        reference = schema.get("$ref")
        resolved: Mapping[str, Any] = self._schemas[reference.rpartition("/")[2]] if reference else schema
        return resolved


def _seldom(draw: st.DrawFn, times: int) -> bool:
    """Once in so many times."""
    return draw(st.integers(1, times)) == times


def _pair(name: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(name), st.sampled_from(QUERIES[name]))


_POINTERS = ("/metadata/labels", "/metadata/labels/a", "/spec", "/spec/containers/0", "/spec/replicas", "/data/a", "", "x", "/-", "/~2", "/metadata")
_json_operation = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]), "path": st.sampled_from(_POINTERS)},
    optional={"value": JUNK, "from": st.sampled_from(_POINTERS)},
)


def _bend(draw: st.DrawFn, obj: Any) -> None:
    """Change something somewhere in an object."""
    while isinstance(obj, dict | list) and obj:
        keys = sorted(obj) if isinstance(obj, dict) else list(range(len(obj)))
        key = draw(st.sampled_from(keys))
        inner = obj[key]
        if not isinstance(inner, dict | list) or not inner or _seldom(draw, 4):
            match draw(st.integers(0, 3)):
                case 0:
                    del obj[key]
                case 1 if isinstance(obj, dict):
                    obj[draw(st.sampled_from(["x", "$patch", "name", "", "$retainKeys"]))] = draw(JUNK)
                case _:
                    obj[key] = draw(JUNK)
            return
        obj = inner
