"""Counted and timed things, in Prometheus' text format; kept in plain numbers, put into words when asked."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence


class Histogram:
    """How often what took how long; seconds, in buckets with these upper bounds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str, shown: str) -> Iterator[str]:
        """The samples; `shown` are the labels, as `labels` makes them."""
        total, comma = 0, "," if shown else ""
        for bound, count in zip(self._bounds, self._counts, strict=False):
            total += count
            yield f'{name}_bucket{{{shown}{comma}le="{bound}"}} {total}'
        total += self._counts[-1]
        yield f'{name}_bucket{{{shown}{comma}le="+Inf"}} {total}'
        yield f"{name}_sum{{{shown}}} {self._sum:.6f}"
        yield f"{name}_count{{{shown}}} {total}"


def head(name: str, kind: str, about: str) -> Iterator[str]:
    """The lines that introduce a metric: a counter, a gauge or a histogram."""
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"


def family(name: str, kind: str, about: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    """A metric of single numbers, each with its labels."""
    yield from head(name, kind, about)
    for shown, value in samples:
        yield f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def labels(pairs: Mapping[str, str]) -> str:
    """Labels in their text form."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
