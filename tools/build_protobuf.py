"""Pack the wire format of the built-in kinds into `src/mizzen/_schema/protobuf.json.gz`, from kubectl and helm.

The API's Go structs carry their protobuf field numbers as tags, and a Go program keeps the tags of what it can
decode: helm knows every kind of its API version, kubectl the metrics as well. `tools/clients.py` fetches both.
"""

import gzip
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import build_schema
import clients
import go_types
from go_types import Field, Program

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "mizzen" / "_schema" / "protobuf.json.gz"
PINNED = ROOT / "requirements" / "kubectl.txt"
_METRICS = "k8s.io/metrics/pkg/apis/metrics/v1beta1"
_META = "k8s.io/apimachinery/pkg/apis/meta/v1"
PACKAGES = ("k8s.io/api/", _META, "k8s.io/apiextensions-apiserver/pkg/apis/", _METRICS)

Message = list[list[Any]]
"""Fields as `[number, JSON name, type, flags]`.

The type is a scalar's or special form's name or another message's, the latter after `|` where JSON has the value of
one of its fields instead; before all that stands `*` for a list and `%` for the values of a map of strings.
Flags: `p` present or not (a pointer), `o` left out of JSON when empty, `z` also when it is a message of zeros, `i` its
fields stand in the JSON object around it."""

_EXTENSIONS = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
_SPECIAL = {
    "k8s.io/apimachinery/pkg/api/resource.Quantity": "quantity",
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": "int-or-string",
    "k8s.io/apimachinery/pkg/runtime.RawExtension": "raw",
    f"{_META}.Time": "time",
    f"{_META}.MicroTime": "micro-time",
    f"{_META}.Duration": "duration",
    f"{_META}.FieldsV1": "raw",
    f"{_EXTENSIONS}.JSON": "raw",
}
"""Messages whose JSON is no object of their fields."""
_UNIONS = tuple(f"{_EXTENSIONS}.JSONSchemaPropsOr{other}" for other in ("Array", "Bool", "StringArray"))
"""Messages whose JSON is the value of one of their fields."""
_SCALARS = {
    go_types.BOOL: "bool",
    go_types.INT32: "int",
    go_types.INT64: "int",
    go_types.FLOAT64: "double",
    go_types.STRING: "string",
}

# The aggregator's types are in no client. Ref: k8s.io/kube-aggregator, apiregistration/v1
_REGISTRATION = "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_AGGREGATOR: dict[str, Message] = {
    f"{_REGISTRATION}.APIService": [
        [1, "metadata", _OBJECT_META, "o"],
        [2, "spec", f"{_REGISTRATION}.APIServiceSpec", "o"],
        [3, "status", f"{_REGISTRATION}.APIServiceStatus", "o"],
    ],
    f"{_REGISTRATION}.APIServiceCondition": [
        [1, "type", "string", ""],
        [2, "status", "string", ""],
        [3, "lastTransitionTime", "time", "o"],
        [4, "reason", "string", "o"],
        [5, "message", "string", "o"],
    ],
    f"{_REGISTRATION}.APIServiceList": [
        [1, "metadata", _LIST_META, "o"],
        [2, "items", f"*{_REGISTRATION}.APIService", ""],
    ],
    f"{_REGISTRATION}.APIServiceSpec": [
        [1, "service", f"{_REGISTRATION}.ServiceReference", "po"],
        [2, "group", "string", "o"],
        [3, "version", "string", "o"],
        [4, "insecureSkipTLSVerify", "bool", "o"],
        [5, "caBundle", "bytes", "o"],
        [7, "groupPriorityMinimum", "int", ""],
        [8, "versionPriority", "int", ""],
    ],
    f"{_REGISTRATION}.APIServiceStatus": [[1, "conditions", f"*{_REGISTRATION}.APIServiceCondition", "o"]],
    f"{_REGISTRATION}.ServiceReference": [
        [1, "namespace", "string", "o"],
        [2, "name", "string", "o"],
        [3, "port", "int", "po"],
    ],
}


def published_name(name: str) -> str:
    """`io.k8s.api.core.v1.Pod` of `k8s.io/api/core/v1.Pod`: as the OpenAPI definitions call it."""
    host, _, rest = name.partition("/")
    return ".".join(reversed(host.split("."))) + "." + rest.replace("/", ".")


class Messages:
    """Collects messages from a program's structs."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.found: dict[str, Message] = {}

    def collect(self) -> dict[str, Message]:
        for type in self._program.structs():
            name = self._program.name(type)
            if name.startswith(PACKAGES) and name not in _SPECIAL:
                fields = list(self._fields(type))
                if fields or not any(self._program.fields(type)):
                    self.found[published_name(name)] = fields
        return self.found

    def _fields(self, type: int) -> Iterator[list[Any]]:
        for field in self._program.fields(type):
            protobuf = tag_value(field.tag, "protobuf").split(",")
            if len(protobuf) > 2:
                json_name, *options = tag_value(field.tag, "json").split(",")
                if not json_name and not field.embedded:
                    json_name = protobuf[3].removeprefix("name=")
                flags = "" if json_name else "i"
                if self._program.kind(field.type) == go_types.POINTER:
                    flags += "p"
                if "omitempty" in options:
                    flags += "o"
                if "omitzero" in options:
                    flags += "z"
                yield [int(protobuf[1]), json_name, self._form(field, protobuf[2] == "rep"), flags]

    def _form(self, field: Field, repeated: bool) -> str:
        program, type = self._program, field.type
        if program.kind(type) == go_types.POINTER:
            type = program.element(type)
        if program.kind(type) == go_types.MAP:
            if program.kind(program.key(type)) != go_types.STRING:
                raise ValueError(f"{field.name}: the keys of the map are no strings")
            return "%" + self._value(program.element(type))
        if program.kind(type) != go_types.SLICE or self._is_bytes(type):
            return self._value(type)
        if program.name(type) and not repeated:
            return self._value(type)
        return "*" + self._value(program.element(type))

    def _is_bytes(self, type: int) -> bool:
        return self._program.kind(self._program.element(type)) == go_types.UINT8

    def _value(self, type: int) -> str:
        """A scalar, a special form, or a message; a named list of strings is a form of its own."""
        program = self._program
        kind, name = program.kind(type), program.name(type)
        if kind == go_types.POINTER:
            return self._value(program.element(type))
        if kind == go_types.SLICE:
            if self._is_bytes(type):
                return "bytes"
            if not name or program.kind(program.element(type)) != go_types.STRING:
                raise ValueError(f"a list in a list or map: {name}")
            return "strings"
        if kind == go_types.STRUCT:
            union = "|" if name in _UNIONS else ""
            return _SPECIAL.get(name) or union + published_name(name)
        return _SCALARS[kind]


def tag_value(tag: str, key: str) -> str:
    """What a struct tag says under a key."""
    _, found, rest = f" {tag}".partition(f' {key}:"')
    return rest.partition('"')[0] if found else ""


def served(messages: Mapping[str, Message], definitions: Mapping[str, Any]) -> dict[str, Message]:
    """The messages of the published kinds, of apimachinery and of metrics, with all that they consist of."""
    kept: dict[str, Message] = {}
    always = (published_name(_META), published_name(_METRICS))
    published = [name for name, one in definitions.items() if "x-kubernetes-group-version-kind" in one]
    todo = [*(name for name in messages if name.startswith(always)), *(name for name in published if name in messages)]
    while todo:
        name = todo.pop()
        if name in kept:
            continue
        kept[name] = messages[name]
        forms = (form.lstrip("*%|") for _, _, form, _ in messages[name])
        todo += (form for form in forms if "." in form)
    return kept


def build(target: Path = TARGET) -> None:
    """Pack the messages of the published definitions."""
    definitions = json.loads(build_schema.newest_definitions().read_text())["$defs"]
    clients.main([str(PINNED)])
    (version,) = clients.versions(PINNED)
    messages = dict(_AGGREGATOR)
    for name in ("kubectl", "helm"):
        messages |= Messages(Program(clients.CLIENTS / version / name)).collect()
    text = json.dumps(served(messages, definitions), separators=(",", ":"), sort_keys=True).encode()
    target.write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    build()
    print(f"{TARGET.relative_to(ROOT)}  {TARGET.stat().st_size} bytes")
