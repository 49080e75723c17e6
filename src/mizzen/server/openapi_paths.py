"""The paths of an OpenAPI document: an operation for every verb of every kind and subresource."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mizzen.machinery.errors import Object
from mizzen.server.discovery import subresources
from mizzen.server.openapi_schemas import DELETE_OPTIONS, PATCH, STATUS, Collected
from mizzen.server.served import Served

_METHODS: Final = {
    "get": "get",
    "list": "get",
    "create": "post",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
_ACTIONS: Final = {"update": "put", "create": "post"}
_WORDS: Final = {
    "get": "read",
    "list": "list",
    "create": "create",
    "update": "replace",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "deleteCollection",
}
_TYPES: Final = ("application/json", "application/yaml")
_PATCH_TYPES: Final = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_STREAM_TYPES: Final = (*_TYPES, "application/json;stream=watch")
_ABOUT: Final = {
    "pretty": "If 'true', then the output is pretty printed.",
    "dryRun": "When present, nothing is persisted. The only valid value is All.",
    "fieldManager": "The name of the actor or entity that makes the changes.",
    "fieldValidation": "What to do about unknown or duplicate fields: Ignore, Warn or Strict.",
    "force": "Take over fields that other managers own. Only for apply patches.",
    "labelSelector": "Restricts the list of returned objects by their labels.",
    "fieldSelector": "Restricts the list of returned objects by their fields.",
    "limit": "The largest number of items to return.",
    "continue": "Where the next page starts.",
    "watch": "Watch for changes to the described resources instead of listing them.",
    "resourceVersion": "The revision to read at.",
    "resourceVersionMatch": "How resourceVersion is applied: Exact or NotOlderThan.",
    "allowWatchBookmarks": "Send BOOKMARK events.",
    "sendInitialEvents": "Begin a watch with the current state.",
    "timeoutSeconds": "How long a list or watch may last.",
    "gracePeriodSeconds": "How long the object may take to end.",
    "orphanDependents": "Deprecated: use propagationPolicy.",
    "propagationPolicy": "What happens to dependents: Orphan, Background or Foreground.",
}
_INTEGERS: Final = frozenset({"limit", "timeoutSeconds", "gracePeriodSeconds"})
_BOOLEANS: Final = frozenset({"watch", "allowWatchBookmarks", "sendInitialEvents", "force", "orphanDependents"})
_LISTING: Final = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_DELETING: Final = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_WRITING: Final = ("dryRun", "fieldManager", "fieldValidation")
_PARAMETERS: Final = {
    "get": (),
    "list": _LISTING,
    "create": _WRITING,
    "update": _WRITING,
    "patch": (*_WRITING, "force"),
    "delete": _DELETING,
    "deletecollection": (*_LISTING[1:-1], *_DELETING),
}


def paths_of(served: Served, collected: Collected) -> Object:
    """Path items of a kind in OpenAPI v3."""
    kind = served.kind
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    place = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"{root}{place}/{kind.plural}"
    own = (kind.group, kind.version, kind.kind)
    paths: Object = {}
    on_all = [verb for verb in ("list", "create", "deletecollection") if verb in kind.verbs]
    if on_all:
        paths[collection] = _item(served, collected, on_all, own, place=place, suffix="")
    if kind.namespaced and "list" in kind.verbs:
        paths[f"{root}/{kind.plural}"] = _item(served, collected, ["list"], own, place="", suffix="ForAllNamespaces")
    on_one = [verb for verb in ("get", "update", "patch", "delete") if verb in kind.verbs]
    if on_one:
        paths[f"{collection}/{{name}}"] = _item(served, collected, on_one, own, place=place + "/{name}", suffix="")
    for name, verbs, answer in subresources(served):
        path = f"{collection}/{{name}}/{name}"
        shown = [verb for verb in ("get", "create", "update", "patch", "delete") if verb in verbs]
        paths[path] = _item(served, collected, shown, answer, place=place + "/{name}", suffix=name.capitalize())
    return paths


def _item(
    served: Served, collected: Collected, verbs: Sequence[str], kind: tuple[str, str, str], *, place: str, suffix: str
) -> Object:
    item: Object = {}
    for verb in verbs:
        item[_METHODS[verb]] = _operation(served, collected, verb, kind, suffix, namespaced="{namespace}" in place)
    names = [name for name in ("name", "namespace") if f"{{{name}}}" in place]
    item["parameters"] = [*(_in_path(name, served) for name in names), _in_query("pretty")]
    return item


def _operation(
    served: Served, collected: Collected, verb: str, kind: tuple[str, str, str], suffix: str, *, namespaced: bool
) -> Object:
    group, version, name = kind
    own = name == served.kind.kind
    schema = collected.kind(served) if own else collected.named(group, version, name)
    answer = {"list": collected.list(served), "deletecollection": STATUS, "delete": STATUS}.get(verb, schema)
    place = "Namespaced" if namespaced else ""
    group_word = "".join(part.capitalize() for part in (served.kind.group.removesuffix(".k8s.io") or "core").split("."))
    operation: Object = {
        "tags": [f"{(served.kind.group.partition('.')[0] or 'core')}_{served.kind.version}"],
        "description": _describe(verb, served.kind.kind, suffix),
        "operationId": _WORDS[verb] + group_word + served.kind.version.capitalize() + place + served.kind.kind + suffix,
        "parameters": [_in_query(parameter) for parameter in _PARAMETERS[verb]],
        "responses": _responses(collected, verb, answer),
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": name},
    }
    if verb == "patch":
        types = _PATCH_TYPES if served.builtin else _PATCH_TYPES[:3]
        operation["requestBody"] = {"content": _content(collected.refer(PATCH), types), "required": True}
    elif verb in ("create", "update"):
        operation["requestBody"] = {"content": {"*/*": {"schema": collected.refer(schema)}}, "required": True}
    elif verb in ("delete", "deletecollection"):
        operation["requestBody"] = {"content": {"*/*": {"schema": collected.refer(DELETE_OPTIONS)}}}
    return operation


def _describe(verb: str, kind: str, suffix: str) -> str:
    what = f"{suffix.lower()} of the specified {kind}" if suffix and suffix != "ForAllNamespaces" else kind
    return {"get": "read", "list": "list or watch objects of kind", "update": "replace"}.get(verb, verb) + f" {what}"


def _responses(collected: Collected, verb: str, answer: str) -> Object:
    types = _STREAM_TYPES if verb == "list" else _TYPES
    good: Object = {"description": "OK", "content": _content(collected.refer(answer), types)}
    responses: Object = {"200": good}
    if verb in ("create", "update", "patch"):
        responses["201"] = {**good, "description": "Created"}
    if verb in ("create", "delete"):
        responses["202"] = {**good, "description": "Accepted"}
    responses["401"] = {"description": "Unauthorized"}
    return responses


def _content(schema: Object, types: tuple[str, ...]) -> Object:
    return {name: {"schema": schema} for name in types}


def _in_path(name: str, served: Served) -> Object:
    about = f"name of the {served.kind.kind}" if name == "name" else "object name and auth scope, such as for teams"
    return {
        "name": name,
        "in": "path",
        "description": about,
        "required": True,
        "schema": {"type": "string", "uniqueItems": True},
    }


def _in_query(name: str) -> Object:
    type_ = "integer" if name in _INTEGERS else "boolean" if name in _BOOLEANS else "string"
    return {
        "name": name,
        "in": "query",
        "description": _ABOUT[name],
        "schema": {"type": type_, "uniqueItems": True},
    }


def version_two_paths(paths: Object) -> Object:
    """The same path items in the form of OpenAPI v2."""
    return {path: dict(_version_two_item(item)) for path, item in paths.items()}


def _version_two_item(item: Object) -> Iterator[tuple[str, Any]]:
    for key, value in item.items():
        if key == "parameters":
            yield key, [_version_two_parameter(one) for one in value]
        else:
            yield key, _version_two_operation(value)


def _version_two_operation(operation: Object) -> Object:
    made = {key: value for key, value in operation.items() if key not in ("requestBody", "responses", "parameters")}
    parameters = [_version_two_parameter(one) for one in operation["parameters"]]
    body = operation.get("requestBody")
    made["consumes"] = ["*/*"]
    made["schemes"] = ["https"]
    if body is not None:
        types = list(body["content"])
        made["consumes"] = types
        schema = body["content"][types[0]]["schema"]
        parameters.insert(0, {"name": "body", "in": "body", "required": body.get("required", False), "schema": schema})
    made["parameters"] = parameters
    made["produces"] = list(_TYPES)
    made["responses"] = {code: _version_two_response(one) for code, one in operation["responses"].items()}
    return made


def _version_two_response(response: Object) -> Object:
    content = response.get("content")
    if not content:
        return response
    return {"description": response["description"], "schema": next(iter(content.values()))["schema"]}


def _version_two_parameter(parameter: Object) -> Object:
    made = {key: value for key, value in parameter.items() if key != "schema"}
    return {**made, **parameter["schema"]}
