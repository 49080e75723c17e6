"""Random requests, drawn from the server's own OpenAPI documents: mostly nearly right, some utter nonsense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from mizzen.wire.message import Request

DEPTH = 4
DEFINITION = "things.x.example.com"
NOT_STORED = {"APIService", "Binding", "CertificateSigningRequest", "Eviction", "IPAddress", "Scale", "TokenRequest"}
NAMES = (*(["a"] * 12), *(["b"] * 4), "c", DEFINITION, "kubernetes", "system:node", "x y", "Ä", "..", "a" * 300, "")
NAMESPACES = (*(["fuzz"] * 20), "default", "none", "Ä", "")
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
SCALARS: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 80, 2**31, 2**63, 1.5, 1e300),
    *("", "a", "b", "100m", "1Gi", "-5", "http", "2024-01-01T00:00:00Z", "10.96.0.9", "::1", "Ä\n", "x" * 300),
)
KEYS = ("a", "name", "$patch", "metadata", "")
NONSENSE = (b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"k8s\x00\x0a\x01", b"- a: [", b"{" * 3000)
POINTERS = (
    *("/metadata/labels", "/metadata/labels/a", "/spec", "/spec/containers/0", "/spec/replicas", "/data/a"),
    *("", "x", "/-", "/~2", "/metadata"),
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
        self._restored = self.examples()

    def examples(self) -> list[Request]:
        """Requests that create every example once, under the name `a`."""
        found: dict[str, Request] = {}
        for one in self.operations:
            kind = (one.kind or {}).get("kind", "")
            if one.method == "POST" and "{name}" not in one.path and kind in self._examples and kind not in NOT_STORED:
                name = DEFINITION if kind == "CustomResourceDefinition" else "a"
                example = self._examples[kind]
                named = {} if kind.endswith("Review") else {"name": example.get("name", name)}
                body = {**example, "metadata": {**example.get("metadata", {}), **named}}
                path = one.path.replace("{namespace}", "fuzz")
                found.setdefault(
                    kind, Request("POST", path, (), {"content-type": "application/json"}, orjson.dumps(body))
                )
        return list(found.values())

    def request(self, rng: Random) -> Request:
        """One request; now and then one that brings an example back."""
        if _seldom(rng, 8):
            return rng.choice(self._restored)
        operation = rng.choice(self.operations)
        method, name = operation.method, rng.choice(NAMES)
        if _seldom(rng, 20):
            method = rng.choice(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"))
        path = operation.path.replace("{name}", name).replace("{namespace}", rng.choice(NAMESPACES))
        if _seldom(rng, 40):
            path += rng.choice(("/", "//", "/x", "/status", "/scale", "/log/x", "/proxy/../..", "/\x00"))
        query = [_parameter(rng) for _ in range(rng.randint(1, 3))] if _seldom(rng, 3) else []
        headers = {"accept": "application/json", "content-type": "application/json"}
        if _seldom(rng, 4):
            headers["accept"] = rng.choice(ACCEPTED)
        if _seldom(rng, 12):
            headers |= {"impersonate-user": rng.choice(("jane", "system:node:a", "")), "accept-encoding": "gzip"}
        body = self._body(rng, operation, method, name, headers)
        if headers["content-type"].startswith("application/apply") and not _seldom(rng, 5):
            query.append(("fieldManager", rng.choice(("me", "you"))))
        return Request(method, path, query, headers, body)

    def _body(self, rng: Random, operation: Operation, method: str, name: str, headers: dict[str, str]) -> bytes:
        if method in ("GET", "HEAD"):
            return b""
        if _seldom(rng, 9):
            headers["content-type"] = rng.choice(TYPES)
        if _seldom(rng, 15):
            return rng.choice(NONSENSE)
        if method == "DELETE":
            return orjson.dumps(self._options(rng))
        if method == "PATCH" and not _seldom(rng, 20):
            headers["content-type"] = rng.choice(tuple(PATCHES))
            if PATCHES[headers["content-type"]] == "json":
                return orjson.dumps([_json_operation(rng) for _ in range(rng.randint(0, 3))])
        return orjson.dumps(self._object(rng, operation, name))

    def _options(self, rng: Random) -> Any:
        name = next(name for name in self._schemas if name.endswith("meta.v1.DeleteOptions"))
        value = self._value(rng, self._schemas[name], DEPTH)
        return {**value, "kind": "DeleteOptions", "apiVersion": "v1"} if isinstance(value, dict) else value

    def _object(self, rng: Random, operation: Operation, name: str) -> Any:
        """An example that was bent a little, or a value made from the schema."""
        about = operation.kind or {}
        kind, group, version = about.get("kind", ""), about.get("group", ""), about.get("version", "v1")
        example = self._examples.get(kind)
        if example is not None and not _seldom(rng, 5):
            obj = orjson.loads(orjson.dumps(example))
            for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
                _bend(rng, obj)
        else:
            obj = self._value(rng, operation.schema or {}, DEPTH)
        if isinstance(obj, dict) and not _seldom(rng, 12):
            obj |= {"kind": kind, "apiVersion": f"{group}/{version}" if group else version}
            meta = obj.get("metadata") if isinstance(obj.get("metadata"), dict) else {}
            named = DEFINITION if kind == "CustomResourceDefinition" else name
            obj["metadata"] = {**meta, "name": rng.choice(NAMES) if _seldom(rng, 8) else named}
        return obj

    def _value(self, rng: Random, schema: Mapping[str, Any], depth: int) -> Any:
        schema = self._resolved(schema)
        if depth == 0 or _seldom(rng, 25):
            return _junk(rng)
        if properties := schema.get("properties"):
            wanted = {rng.choice(list(properties)) for _ in range(rng.randint(0, 4))} | set(
                schema.get("required") or ()
            )
            return {name: self._value(rng, properties.get(name, {}), depth - 1) for name in sorted(wanted)}
        match schema.get("type"):
            case "array":
                return [self._value(rng, schema.get("items", {}), depth - 1) for _ in range(rng.randint(0, 2))]
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                return {
                    rng.choice(("a", "app", "x/y", "Ä", "")): self._value(
                        rng, schema["additionalProperties"], depth - 1
                    )
                }
            case "integer":
                return rng.choice((0, 1, 2, -1, 80, 2**31, 2**63))
            case "boolean":
                return rng.random() < 0.5
            case "string":
                return rng.choice(
                    ("a", "b", "app", "", "100m", "2024-01-01T00:00:00Z", "None", "x" * 64, "Ä", "1.2.3.4")
                )
        return _junk(rng)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if one := schema.get("allOf"):
            schema = one[0]
        reference = schema.get("$ref")
        resolved: Mapping[str, Any] = self._schemas[reference.rpartition("/")[2]] if reference else schema
        return resolved


def _seldom(rng: Random, times: int) -> bool:
    """Once in so many times."""
    return rng.random() * times < 1


def _parameter(rng: Random) -> tuple[str, str]:
    name = rng.choice(tuple(QUERIES))
    return name, rng.choice(QUERIES[name])


def _junk(rng: Random, depth: int = 2) -> Any:
    if depth == 0 or rng.random() < 0.6:
        return rng.choice(SCALARS)
    if rng.random() < 0.5:
        return [_junk(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice(KEYS): _junk(rng, depth - 1) for _ in range(rng.randint(0, 3))}


def _json_operation(rng: Random) -> dict[str, Any]:
    operation = {
        "op": rng.choice(("add", "remove", "replace", "move", "copy", "test", "x")),
        "path": rng.choice(POINTERS),
    }
    if not _seldom(rng, 3):
        operation["value"] = _junk(rng)
    return operation if rng.random() < 0.5 else {**operation, "from": rng.choice(POINTERS)}


def _bend(rng: Random, obj: Any) -> None:
    """Change something somewhere in an object."""
    while isinstance(obj, dict | list) and obj:
        key = rng.choice(list(obj) if isinstance(obj, dict) else range(len(obj)))
        inner = obj[key]
        if isinstance(inner, dict | list) and inner and not _seldom(rng, 4):
            obj = inner
            continue
        match rng.randint(0, 3):
            case 0:
                del obj[key]
            case 1 if isinstance(obj, dict):
                obj[rng.choice(("x", "$patch", "name", "", "$retainKeys"))] = _junk(rng)
            case _:
                obj[key] = _junk(rng)
        return
