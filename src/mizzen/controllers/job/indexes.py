"""Sets of completion indexes as Jobs write them: `0,2-4,7`."""

from collections.abc import Iterable


def parse(text: str | None) -> frozenset[int]:
    """The indexes in a text; what does not read as numbers is ignored."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def render(indexes: Iterable[int]) -> str:
    """Runs of three or more with a dash, pairs and single ones apart by commas."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), None]:
        if run and (index is None or index != run[-1] + 1):
            first, last = run[0], run[-1]
            parts.append(str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}")
            run = []
        if index is not None:
            run.append(index)
    return ",".join(parts)
