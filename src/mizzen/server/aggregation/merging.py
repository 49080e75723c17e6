"""OpenAPI v2 of extension servers, put into the one document of this server.

A definition that another server calls by a name that is taken, and means differently, gets a name of its own.
"""

from collections.abc import Iterator
from typing import Any, Final

from mizzen.machinery.errors import Object

_DEFINITIONS: Final = "#/definitions/"


def add(document: Object, other: Object, group: str, version: str) -> None:
    """Add the paths of one version of another server's document, and the definitions that they need."""
    paths = _paths_under(other, group, version)
    theirs, known = other.get("definitions") or {}, document["definitions"]
    names = {name: _free_name(name, theirs[name], known) for name in _needed(paths, theirs)}
    for name, free in names.items():
        known[free] = _renamed(theirs[name], names)
    document["paths"].update({path: _renamed(item, names) for path, item in paths.items()})


def _paths_under(other: Object, group: str, version: str) -> Object:
    """The paths of one version alone."""
    return {path: item for path, item in (other.get("paths") or {}).items() if _is_under(path, group, version)}


def _is_under(path: str, group: str, version: str) -> bool:
    base = f"/apis/{group}/"
    return path.startswith(base) and path.removeprefix(base).partition("/")[0] in ("", version)


def _needed(value: Any, definitions: Object) -> list[str]:
    """The definitions that a value refers to, and those that they refer to."""
    found: list[str] = []
    waiting = list(_references(value))
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found.append(name)
            waiting += _references(definitions[name])
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(_DEFINITIONS):
            yield target.removeprefix(_DEFINITIONS)
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def _free_name(name: str, definition: Any, known: Object) -> str:
    free, number = name, 1
    while free in known and known[free] != definition:
        number += 1
        free = f"{name}_v{number}"
    return free


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(part, names) for part in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _renamed(part, names) for key, part in value.items()}
    target = renamed.get("$ref")
    if isinstance(target, str) and (free := names.get(target.removeprefix(_DEFINITIONS))):
        renamed["$ref"] = _DEFINITIONS + free
    return renamed
