"""Whether two parts of an object mean the same, however they are written."""

from typing import Any


def same(left: Any, right: Any) -> bool:
    """Equal, where absent, null, empty, zero and false count as the same."""
    if left == right:
        return True
    if isinstance(left, dict) or isinstance(right, dict):
        left, right = left or {}, right or {}
        if not isinstance(left, dict) or not isinstance(right, dict):
            return False
        return all(same(left.get(key), right.get(key)) for key in left.keys() | right.keys())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return not left and not right
