"""What a failing seed says: how to run it alone, and its last decisions as tests that can be pasted.

A pasted test needs no world: it hands the controller the snapshot it saw, and says what it decided.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

from mizzen.reconcile.controller import Controller
from mizzen.reconcile.plan import Plan

_TOLD = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """One round of a controller."""

    controller: Controller
    snapshot: Any
    now: float
    plan: Plan


TOLD: deque[Decision] = deque(maxlen=_TOLD)
"""The latest decisions of the world that runs now."""


def check(seeds: Iterable[int], live: Callable[[int], None]) -> None:
    """Live through every seed; the first that fails tells its story."""
    for seed in seeds:
        TOLD.clear()
        try:
            live(seed)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise AssertionError(f"{error}\n\n{story(seed, live, TOLD)}") from error


def story(seed: int, live: Callable[[int], None], decisions: Iterable[Decision]) -> str:
    """The text of a test for the seed, and of one for each of its last decisions."""
    alone = f"def test_seed_{seed}_of_{live.__name__}() -> None:\n    {live.__name__}({seed})\n"
    return "\n\n".join(["# Paste what fails:", alone, *(pasted(one, at) for at, one in enumerate(decisions, 1))])


def pasted(one: Decision, number: int = 1) -> str:
    """A test that decides once more on what the controller saw."""
    used: set[tuple[str, str]] = set()
    seen, plan = _written(one.snapshot, used), _written(one.plan, used)
    name = one.controller.name.replace("-", "_")
    imports = "".join(f"    from {module} import {kind}\n" for module, kind in sorted(used))
    return (
        f"def test_decision_{number}_of_{name}() -> None:\n"
        "    from mizzen.controllers.all import controllers\n"
        "    from mizzen.controllers.config import Config\n"
        f"{imports}\n"
        f"    decide = next(one.reconcile for one in controllers(Config()) if one.name == {one.controller.name!r})\n"
        f"    seen = {seen}\n"
        f"    assert decide(seen, {one.now!r}) == {plan}\n"
    )


def _written(value: Any, used: set[tuple[str, str]]) -> str:
    """A value as the Python that makes it, without what is at its default."""
    if isinstance(value, Enum):
        used.add((type(value).__module__, type(value).__name__))
        return str(value)
    if isinstance(value, msgspec.Struct):
        return _call(value, value.__struct_fields__, used)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _call(value, [field.name for field in dataclasses.fields(value)], used)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_written(k, used)}: {_written(v, used)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_written(one, used)}, " for one in value).rstrip(" ") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(_written(one, used) for one in value) + "]"
    if isinstance(value, frozenset | set):
        return f"{type(value).__name__}([" + ", ".join(sorted(_written(one, used) for one in value)) + "])"
    return repr(value)


def _call(value: Any, names: Iterable[str], used: set[tuple[str, str]]) -> str:
    kind = type(value)
    used.add((kind.__module__, kind.__name__))
    given = (f"{name}={_written(getattr(value, name), used)}" for name in names if not _is_default(value, name))
    return f"{kind.__name__}({', '.join(given)})"


def _is_default(value: Any, name: str) -> bool:
    if isinstance(value, msgspec.Struct):
        found = {field.name: field.default for field in msgspec.structs.fields(type(value))}
        return bool(found[name] is not msgspec.NODEFAULT and found[name] == getattr(value, name))
    field = type(value).__dataclass_fields__[name]
    return field.default is not dataclasses.MISSING and bool(field.default == getattr(value, name))
