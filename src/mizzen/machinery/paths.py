"""Three ways to write the place of a value: dotted (`spec.replicas`), JSON pointer (`/spec/replicas`), field path.

A field path is what error messages show: `spec.containers[0].name`, `metadata.labels[app]`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from mizzen.machinery.errors import Object

_ABSENT = object()


def get(value: Any, dotted: str, default: Any = None) -> Any:
    """The value at a dotted path of object keys, or `default` when a step is absent or null on the way."""
    for step in dotted.split("."):
        if not isinstance(value, dict):
            return default
        value = value.get(step, _ABSENT)
        if value is _ABSENT:
            return default
    return default if value is None else value


def put(target: Object, dotted: str, value: Any) -> None:
    """Set the value at a dotted path, making the objects on the way."""
    *way, last = dotted.split(".")
    for step in way:
        inner = target.get(step)
        if not isinstance(inner, dict):
            inner = target[step] = {}
        target = inner
    target[last] = value


def remove(target: Object, dotted: str) -> None:
    """Delete the key at a dotted path; nothing happens when it is absent."""
    *way, last = dotted.split(".")
    for step in way:
        inner = target.get(step)
        if not isinstance(inner, dict):
            return
        target = inner
    target.pop(last, None)


def parse_pointer(pointer: str) -> list[str]:
    """Split a JSON pointer into its unescaped steps; the empty pointer has none.

    Ref: RFC 6901.
    """
    if not pointer:
        return []
    return [unescape(step) for step in pointer.split("/")[1:]]


def format_pointer(steps: Iterable[str]) -> str:
    return "".join(f"/{escape(step)}" for step in steps)


def escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def unescape(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def child(path: str, name: str) -> str:
    """The field path of a named child; at the root it is the name itself."""
    return f"{path}.{name}" if path else name


def index(path: str, position: int) -> str:
    return f"{path}[{position}]"


def key(path: str, name: str) -> str:
    """The field path of a map's entry: `metadata.labels[app]`."""
    return f"{path}[{name}]"


def format_field(steps: Sequence[str | int]) -> str:
    """A field path from its steps, names and positions: `spec.containers[0].name`."""
    path = ""
    for step in steps:
        path = index(path, step) if isinstance(step, int) else child(path, step)
    return path
