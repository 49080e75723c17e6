"""Scores by how much of something is used, as a configuration draws them: lines through points.

Ref: https://kubernetes.io/docs/concepts/scheduling-eviction/resource-bin-packing/
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

Shape = tuple[tuple[int, int], ...]
"""Points of (utilization in percent, score of 0…100), ascending."""


def parse(points: Iterable[Mapping[str, Any]], where: str) -> Shape:
    """The points as a configuration file holds them, with scores of 0…10. Raises ValueError."""
    shape = tuple((int(one.get("utilization", 0)), 10 * int(one.get("score", 0))) for one in points)
    if [at for at, _ in shape] != sorted({at for at, _ in shape}):
        raise ValueError(f"{where}: utilization must ascend")
    if any(not 0 <= at <= 100 or not 0 <= score <= 100 for at, score in shape):
        raise ValueError(f"{where}: utilization must be between 0 and 100, score between 0 and 10")
    return shape


def score(shape: Shape, used: int, have: int) -> int:
    """The score of something of which so much is used; level before the first point and after the last."""
    percent = used * 100 // have if have and used <= have else 100
    if percent <= shape[0][0]:
        return shape[0][1]
    for (left, low), (right, high) in pairwise(shape):
        if percent <= right:
            rise = abs(high - low) * (percent - left) // (right - left)
            return low + rise if high > low else low - rise
    return shape[-1][1]
