"""What the checks of the Pod Security Standards share: containers, and how a violation is told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mizzen.machinery.errors import Object

FIELDS: Final = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Violation:
    """What a pod does that its level forbids, and where."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


Check = Callable[[Object, Object], Violation | None]
"""Given the pod's metadata and spec."""


def containers(spec: Object) -> Iterator[Object]:
    """All containers of a pod, of whatever sort."""
    for field in FIELDS:
        yield from spec.get(field) or ()


def security(holder: Object) -> Object:
    """The securityContext of a pod or container."""
    context: Object = holder.get("securityContext") or {}
    return context


def quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def plural(noun: str, names: Sequence[str]) -> str:
    """`container "a"`, or `containers "a", "b"`."""
    return f"{noun}{'s' if len(names) != 1 else ''} {quoted(names)}"


def offenders(spec: Object, is_bad: Callable[[Object], bool]) -> list[str]:
    return [container.get("name", "") for container in containers(spec) if is_bad(container)]


def is_windows(spec: Object) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"
